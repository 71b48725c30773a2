// The fold of a log into what is shown: everything once, in order, without a hole, whatever comes first.

import assert from 'node:assert/strict';
import test from 'node:test';
import { find, forget, mergeAround, mergePage, newRoom, pushEntry, trimRecent, WINDOW_MAX, withExtra, withMembers, withRead, withView } from '../../../web/js/fold.js';
import * as store from '../../../web/js/store.js';

const ME = 1;
const BELA = 2;
const post = (seq, by = BELA, more = {}) => ({ seq, at: 1000 + seq, by, client_id: `c${seq}`, posts: seq, append: 7000 + seq, fact: 'posted', id: 90 + seq, content: { text: `m${seq}` }, ...more });
const fact = (seq, name, more = {}) => ({ seq, at: 1000 + seq, by: BELA, client_id: `c${seq}`, posts: 0, append: 7000 + seq, fact: name, ...more });
const view = (last, more = {}) => ({ id: 5, kind: 'group', name: 'Room', peer: null, epoch: 11, last, members: 2, role: 'owner', first: 1, read: 0, unread: 0, history: 'all', archived: false, created_at: 1, updated_at: 2, last_message: null, ...more });
const shown = (seq, more = {}) => ({ room: 5, seq, id: 90 + seq, by: BELA, at: 1000 + seq, client_id: `c${seq}`, content: { text: `m${seq}` }, reply_to: null, mentions: [], meta: {}, revision: 0, edited_at: null, deleted_at: null, reactions: {}, ...more });
const page = (seqs, more = false) => ({ items: seqs.map((s) => (typeof s === 'number' ? shown(s) : s)), more });
const at = (seq) => ({ ...newRoom(5), epoch: 11, seq });
const push = (room, ...entries) => entries.reduce((r, e) => pushEntry(r, e, ME).room, room);
const seqs = (room) => room.items.map((m) => m.seq);

test('a push is shown once, however often it comes', () => {
  let room = push(mergePage(at(2), page([1, 2]), {}), post(3), post(3), post(2));
  assert.deepEqual(seqs(room), [1, 2, 3]);
  assert.equal(pushEntry(room, post(3), ME).outcome, 'repeat');
  room = push(room, post(4));
  assert.deepEqual([room.seq, room.append], [4, 7004]);
});

test('a push that leaves a hole is refused and nothing of it is shown', () => {
  const room = mergePage(at(2), page([1, 2]), {});
  const { room: same, outcome } = pushEntry(room, post(4), ME);
  assert.equal(outcome, 'gap');
  assert.equal(same, room);
});

test('a page that knows more than the pushes doesn’t double what is pushed afterwards', () => {
  const room = push(mergePage(at(2), page([1, 2, 3, 4]), {}), post(3), post(4), post(5));
  assert.deepEqual(seqs(room), [1, 2, 3, 4, 5]);
  assert.equal(room.seq, 5);
});

test('a page that knows less than the pushes is completed by them', () => {
  const pushed = push(at(2), post(3), fact(4, 'edited', { target: 2, revision: 1, content: { text: 'better' } }), post(5));
  const room = mergePage(pushed, page([1, 2]), {});
  assert.deepEqual(seqs(room), [1, 2, 3, 5]);
  assert.equal(find(room, 2).content.text, 'better');
});

test('an edit, a deletion or a reaction before its target is loaded is not lost, and not done twice', () => {
  const pushed = push(at(5), fact(6, 'edited', { target: 1, revision: 2, content: { text: 'second' } }),
    fact(7, 'reacted', { target: 2, emoji: '👍' }), fact(8, 'deleted', { target: 3 }), fact(9, 'reacted', { target: 4, emoji: '👍' }), fact(10, 'unreacted', { target: 4, emoji: '👍' }));
  const stale = mergePage(pushed, page([1, 2, 3, 4]), {});
  const fresh = mergePage(pushed, page([shown(1, { revision: 3, content: { text: 'third' } }), shown(2, { reactions: { '👍': [BELA] } }), shown(3, { content: null, deleted_at: 1 }), 4]), {});
  assert.equal(find(stale, 1).content.text, 'second');
  assert.equal(find(fresh, 1).content.text, 'third');
  for (const room of [stale, fresh]) {
    assert.deepEqual(find(room, 2).reactions, { '👍': [BELA] });
    assert.equal(find(room, 3).content, null);
    assert.deepEqual(find(room, 4).reactions, {});
  }
});

test('an older edit that comes late changes nothing', () => {
  const room = push(mergePage(at(2), page([shown(1, { revision: 2, content: { text: 'new' } })]), {}), fact(3, 'edited', { target: 1, revision: 1, content: { text: 'old' } }));
  assert.equal(find(room, 1).content.text, 'new');
});

test('pages go on both ends only where they border on the window', () => {
  let room = mergePage(at(100), page([50, 51], true), {});
  assert.equal(mergePage(room, page([30, 31]), { before: 40 }), room);
  room = mergePage(room, page([48, 49], false), { before: 50 });
  assert.deepEqual([seqs(room), room.atStart, room.atEnd], [[48, 49, 50, 51], true, true]);
  const apart = mergeAround(room, page([9, 10], true), page([11, 12], true));
  assert.equal(mergePage(apart, page([13]), { after: 51 }), apart);
  assert.deepEqual(seqs(mergePage(apart, page([13, 14], true), { after: 12 })), [9, 10, 11, 12, 13, 14]);
});

test('a window away from the live end shows no live message until it has come there without a hole', () => {
  let room = mergeAround(at(100), page([9, 10], true), page([11], true));
  room = push(room, post(101));
  assert.deepEqual(seqs(room), [9, 10, 11]);
  room = mergePage(room, page([50, 100], false), { after: 11 });
  assert.deepEqual([seqs(room), room.atEnd], [[9, 10, 11, 50, 100, 101], true]);
});

test('a long window lets go of its far end, and then isn’t live any more', () => {
  const many = Array.from({ length: WINDOW_MAX }, (_, i) => i + 100);
  const room = mergePage(mergePage(at(999), page(many, true), {}), page([98, 99], true), { before: 100 });
  assert.equal(room.items.length, WINDOW_MAX);
  assert.deepEqual([room.items[0].seq, room.atEnd], [98, false]);
});

test('pushes are kept as long as a page is on its way, then only the latest', () => {
  const room = push(at(0), ...Array.from({ length: 250 }, (_, i) => post(i + 1)));
  assert.equal(room.recent.length, 250);
  assert.equal(trimRecent(room).recent.length, 200);
});

test('unread counts each message once, whether the view or the push comes first', () => {
  const pushFirst = withView(push(at(2), post(3), post(4)), view(3, { unread: 1 }), ME);
  const viewFirst = push(withView(at(2), view(3, { unread: 1 }), ME), post(3), post(4));
  assert.equal(pushFirst.view.unread, 2);
  assert.equal(viewFirst.view.unread, 2);
  assert.equal(push(viewFirst, post(5, ME)).view.unread, 2);
  assert.equal(withRead(viewFirst, ME, 4, ME).view.unread, 0);
});

test('an old view doesn’t take back what pushes have told', () => {
  const room = push(withView(at(2), view(2), ME), fact(3, 'renamed', { name: 'New' }));
  assert.equal(withView(room, view(2, { read: 2 }), ME).view.name, 'New');
  assert.equal(withView(room, view(2, { read: 2 }), ME).view.read, 2);
});

test('the last message follows edits and deletions', () => {
  let room = push(withView(mergePage(at(2), page([1, 2]), {}), view(2, { last_message: shown(2) }), ME), post(3));
  assert.equal(room.view.last_message.seq, 3);
  room = push(room, fact(4, 'edited', { target: 3, revision: 1, content: { text: 'x' } }));
  assert.equal(room.view.last_message.content.text, 'x');
  room = push(room, fact(5, 'deleted', { target: 3 }));
  assert.deepEqual([room.view.last_message.seq, room.previewStale], [2, false]);
  const elsewhere = push(withView(at(4), view(4, { last_message: shown(3) }), ME), fact(5, 'deleted', { target: 3 }));
  assert.deepEqual([elsewhere.view.last_message, elsewhere.previewStale], [null, true]);
});

test('a quote outside the window follows what happens to its message', () => {
  const pushed = push(mergePage(at(100), page([99, 100], true), {}), fact(101, 'edited', { target: 7, revision: 1, content: { text: 'new' } }));
  const room = push(withExtra(pushed, shown(7)), fact(102, 'deleted', { target: 7 }));
  assert.equal(find(withExtra(pushed, shown(7)), 7).content.text, 'new');
  assert.equal(find(room, 7).content, null);
});

test('a reset forgets the room’s log and makes pages of the old one void', () => {
  const room = forget(mergePage(at(5), page([1, 2]), {}), 12, 3);
  assert.deepEqual([room.loaded, room.items, room.epoch, room.seq, room.append, room.generation], [false, [], 12, 3, null, 1]);
});

const world = (rooms) => ({ ...store.initial(ME), rooms: Object.fromEntries(rooms.map((r) => [r.id, r])) });

test('a resume says of each room where the pushes have come to', () => {
  const state = world([push(at(2), post(3)), { ...newRoom(6), epoch: 12, seq: 0 }, newRoom(7)]);
  assert.deepEqual(store.positions(state), { 5: { epoch: 11, seq: 3, append: 7003 }, 6: { epoch: 12, seq: 0 } });
});

test('the outcomes of a resume: live goes on, too far and reset begin anew, gone goes', () => {
  const start = world([5, 6, 7, 8].map((id) => ({ ...mergePage(at(2), page([1, 2]), {}), id })));
  const state = store.resumed(start, [
    { room: 5, epoch: 11, from: 2, last: 9, outcome: 'live' }, { room: 6, epoch: 11, from: 20000, last: 20000, outcome: 'too_far' },
    { room: 7, epoch: 99, from: 1, last: 1, outcome: 'reset' }, { room: 8, epoch: 11, from: 0, last: 0, outcome: 'gone' },
    { room: 9, epoch: 3, from: 44, last: 44, outcome: 'live' }]);
  assert.equal(state.rooms[5], start.rooms[5]);
  assert.deepEqual([state.rooms[6].loaded, state.rooms[6].seq], [false, 20000]);
  assert.deepEqual([state.rooms[7].loaded, state.rooms[7].seq, state.rooms[7].epoch], [false, 1, 99]);
  assert.equal(state.rooms[8], undefined);
  assert.deepEqual([state.rooms[9].seq, state.rooms[9].epoch], [44, 3]);
});

test('a live outcome that starts elsewhere than this client stands is taken as a new beginning', () => {
  const state = store.resumed(world([mergePage(at(2), page([1, 2]), {})]), [{ room: 5, epoch: 11, from: 4, last: 4, outcome: 'live' }]);
  assert.equal(state.rooms[5].loaded, false);
});

test('pushes: a hole asks for another connection, a reset and a new room for a load, a lost room for leaving', () => {
  const state = world([at(2)]);
  const effect = (push) => store.pushed(state, push, 0).effects[0]?.do;
  assert.equal(effect({ push: 'entry', room: 5, entry: post(9) }), 'reconnect');
  assert.equal(effect({ push: 'reset', room: 5, epoch: 12, from: 0 }), 'load_room');
  assert.equal(effect({ push: 'room_added', room: 6, epoch: 1, from: 0 }), 'load_room');
  assert.equal(effect({ push: 'room_gone', room: 5 }), 'left');
  assert.equal(effect({ push: 'of_a_later_version', room: 5 }), undefined);
});

test('somebody who writes stops by saying so, by sending, or after six seconds', () => {
  const writes = store.pushed(world([at(2)]), { push: 'typing', room: 5, user: BELA, on: true }, 0).state;
  assert.deepEqual(Object.keys(writes.typing[5]), ['2']);
  assert.deepEqual(store.pushed(writes, { push: 'typing', room: 5, user: BELA, on: false }, 1).state.typing[5], {});
  assert.deepEqual(store.pushed(writes, { push: 'entry', room: 5, entry: post(3) }, 1).state.typing[5], {});
  assert.deepEqual(Object.keys(store.expireTyping(writes, 5_999).typing[5]), ['2']);
  assert.deepEqual(store.expireTyping(writes, 6_000).typing[5], {});
});

test('rooms are listed by their latest activity', () => {
  const room = (id, last) => ({ ...newRoom(id), view: view(2, { id, created_at: 10, last_message: last && shown(1, { at: last }) }) });
  assert.deepEqual(store.roomList(world([room(1, 50), room(2, 0), room(3, 90)])).map((r) => r.id), [3, 1, 2]);
});

test('a read mark that was heard before the members came, or while they were on their way, is kept', () => {
  const members = [{ user: 7, role: 'member', read: 0 }, { user: 8, role: 'member', read: 6 }];
  const room = withMembers(withRead(newRoom(5), 7, 4, ME), members);
  assert.deepEqual(room.members.map((m) => m.read), [4, 6]);
  assert.deepEqual(withRead(room, 7, 3, ME), room);
  assert.deepEqual(withRead(room, 8, 9, ME).members.map((m) => m.read), [4, 9]);
});

test('what was pushed of presence is not undone by an answer that may be older', () => {
  const answer = (status) => [{ user: BELA, status, last_seen: null }];
  const push = (state, status, now) => store.pushed(state, { push: 'presence', room: 5, user: BELA, status }, now).state;
  const status = (state) => state.presence[BELA].status;
  let state = store.withAnsweredPresence(store.initial(ME), answer('online'), 10_000);
  assert.equal(status(state), 'online');
  state = push(state, 'away', 20_000);
  assert.equal(status(store.withAnsweredPresence(state, answer('online'), 19_000)), 'away', 'asked before the push');
  assert.equal(status(store.withAnsweredPresence(state, answer('online'), 20_300)), 'away', 'asked just after it');
  assert.equal(status(store.withAnsweredPresence(state, answer('online'), 25_000)), 'online', 'a push may be lost');
  assert.equal(status(push(state, 'online', 20_010)), 'online');
});
