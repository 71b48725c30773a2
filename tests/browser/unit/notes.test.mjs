// Lines between messages: each once, in its place, asked for only where the messages leave numbers out; and what they say.

import assert from 'node:assert/strict';
import test from 'node:test';
import { forget, lines, mergeAround, mergePage, newRoom, pushEntry } from '../../../web/js/fold.js';
import { History, unfilled } from '../../../web/js/history.js';
import { named, noteText } from '../../../web/js/notes.js';
import * as store from '../../../web/js/store.js';

const ME = 1;
const BELA = 2;
const CLEO = 3;
const entry = (seq, fact, more = {}) => ({ seq, at: 1000 + seq, by: BELA, client_id: `c${seq}`, posts: 0, append: 7000 + seq, fact, ...more });
const post = (seq) => entry(seq, 'posted', { id: 90 + seq, content: { text: `m${seq}` } });
const shown = (seq) => ({ room: 5, seq, id: 90 + seq, by: BELA, at: 1000 + seq, client_id: `c${seq}`, content: { text: `m${seq}` }, reply_to: null, mentions: [], meta: {}, revision: 0, edited_at: null, deleted_at: null, reactions: {} });
const page = (seqs, more = false) => ({ items: seqs.map(shown), more });
const renamed = (seq) => entry(seq, 'renamed', { name: `name ${seq}` });
const at = (seq) => ({ ...newRoom(5), epoch: 11, seq });
const push = (room, ...entries) => entries.reduce((r, e) => pushEntry(r, e, ME).room, room);
const seqs = (room) => lines(room).map((line) => line.seq);

test('what is pushed stands between the messages, reactions and direct rooms’ beginnings do not', () => {
  const room = push(mergePage(at(2), page([1, 2]), {}), renamed(3), post(4), entry(5, 'reacted', { target: 4, emoji: '👍' }), entry(6, 'joined'));
  assert.deepEqual(seqs(room), [1, 2, 3, 4, 6]);
  const direct = push(mergePage(at(0), page([]), {}), entry(1, 'created', { kind: 'direct', members: [ME, BELA] }));
  assert.deepEqual(seqs(direct), []);
});

test('what was pushed before the page came is not lost, and lies within the window', () => {
  const room = mergePage(push(at(2), renamed(3), post(4), renamed(5)), page([4], true), {});
  assert.deepEqual(seqs(room), [4, 5]);
});

test('a window away from the live end takes no live line, and a reset forgets all', () => {
  const room = push(mergeAround(at(100), page([9, 10], true), page([11], true)), renamed(101));
  assert.deepEqual(seqs(room), [9, 10, 11]);
  assert.deepEqual(forget(push(mergePage(at(2), page([1, 2]), {}), renamed(3)), 12, 0).notes, []);
});

test('only what messages leave out of a stretch is asked for', () => {
  const items = (...numbers) => numbers.map((seq) => ({ seq }));
  assert.equal(unfilled(items(1, 2, 3), 0, 3), null);
  assert.equal(unfilled([], 4, 4), null);
  assert.deepEqual(unfilled(items(2, 3), 0, 3), { after: 0, before: 2 });
  assert.deepEqual(unfilled(items(1, 3, 4, 7, 8), 0, 8), { after: 1, before: 7 });
  assert.deepEqual(unfilled(items(5), 4, 9), { after: 5, before: 10 });
  assert.deepEqual(unfilled([], 0, 2), { after: 0, before: 3 });
});

/** A client of a log, whose connection fails the requests that `fails` picks. */
function client(log, fails = () => null) {
  const asked = [];
  const connection = {
    live: true, state: {},
    request: async (op, fields) => {
      asked.push({ op, ...fields });
      const error = fails(op, asked);
      if (error) throw Object.assign(new Error('no'), error);
      const { before = Infinity, after = 0, limit } = fields;
      const all = log.filter((e) => e.seq > after && e.seq < before && (op === 'entries' || e.fact === 'posted'));
      const items = fields.after === undefined ? all.slice(-limit) : all.slice(0, limit);
      return { items: op === 'entries' ? items : items.map((e) => shown(e.seq)), more: items.length < all.length };
    },
  };
  const room = { ...at(log.at(-1).seq), view: { first: 1 } };
  const self = {
    connection, asked, state: { ...store.initial(ME), rooms: { 5: room } },
    change: (id, change) => { self.state = store.changeRoom(self.state, id, change); },
    loadUsers: () => {}, loadUsersOf: () => {}, loadMembers: () => {},
  };
  self.history = new History(self);
  self.history.open = 5;
  return self;
}
const settled = () => new Promise((done) => setImmediate(done));
const entriesAsked = (of) => of.asked.filter((a) => a.op === 'entries').map(({ after, before }) => [after, before]);

test('lines are asked for with each page, as far as it reaches, in as many pages as it takes', async () => {
  const log = [entry(1, 'created', { kind: 'group', members: [BELA] }), ...Array.from({ length: 60 }, (_, i) => post(i + 2)),
    renamed(62), ...Array.from({ length: 250 }, (_, i) => entry(63 + i, 'reacted', { target: 5, emoji: '👍' })), renamed(313), post(314)];
  const of = client(log);
  await of.history.latest(5);
  await settled();
  assert.deepEqual(of.state.rooms[5].notes.map((n) => n.seq), [62, 313]);
  assert.deepEqual(entriesAsked(of), [[61, 314], [261, 314]]);
  await of.history.older(5);
  await settled();
  assert.deepEqual(seqs(of.state.rooms[5]).slice(0, 3), [1, 2, 3]);
  assert.deepEqual(entriesAsked(of).slice(2), [[0, 2]]);
});

test('what a lost connection left is asked for over the next one, what is refused is not', async () => {
  let error = { name: 'Disconnected' };
  const of = client([post(1), renamed(2), post(3)], (op) => (op === 'entries' ? error : null));
  await of.history.latest(5);
  await settled();
  assert.deepEqual(seqs(of.state.rooms[5]), [1, 3]);
  error = null;
  of.history.reconnected();
  await settled();
  assert.deepEqual(seqs(of.state.rooms[5]), [1, 2, 3]);
  const refused = client([post(1), renamed(2)], (op) => (op === 'entries' ? { retry: 'never' } : null));
  await refused.history.latest(5);
  refused.history.reconnected();
  await settled();
  assert.equal(entriesAsked(refused).length, 1);
});

test('lines of a log that was reset meanwhile are dropped', async () => {
  const of = client([post(1), renamed(2), post(3)]);
  const request = of.connection.request;
  of.connection.request = async (op, fields) => {
    const answer = await request(op, fields);
    if (op === 'entries') of.change(5, (room) => forget(room, 99, 0));
    return answer;
  };
  await of.history.latest(5);
  await settled();
  assert.deepEqual(of.state.rooms[5].notes, []);
});

test('every line says who did what, and to whom', () => {
  const users = [[1, 'Anna'], [2, 'Béla'], [3, 'Cleo']].map(([id, full_name]) => ({ id, full_name, username: full_name }));
  const state = store.withUsers(store.initial(ME), users);
  const says = (fact, more) => noteText(state, entry(1, fact, more));
  assert.equal(says('created', { members: [BELA, ME, CLEO] }), 'Béla created the room with you and Cleo');
  assert.equal(says('created', { members: [ME], by: ME }), 'You created the room');
  assert.equal(says('added', { users: [CLEO] }), 'Béla added Cleo');
  assert.equal(says('joined'), 'Béla joined with an invite');
  assert.equal(says('left', { heir: ME }), 'Béla left. You own the room now');
  assert.equal(says('left', { heir: CLEO }), 'Béla left. Cleo owns the room now');
  assert.equal(says('kicked', { user: CLEO }), 'Béla removed Cleo');
  assert.equal(says('banned', { user: CLEO, by: ME }), 'You banned Cleo');
  assert.match(says('banned', { user: CLEO, until: 1_800_000_000_000 }), /^Béla banned Cleo until .*2027/);
  assert.equal(says('unbanned', { user: CLEO }), 'Béla lifted the ban on Cleo');
  assert.equal(says('muted', { user: ME }), 'Béla muted you');
  assert.equal(says('unmuted', { user: ME }), 'Béla unmuted you');
  assert.equal(says('promoted', { user: CLEO, role: 'admin' }), 'Béla made Cleo an admin');
  assert.equal(says('promoted', { user: CLEO, role: 'member' }), 'Béla made Cleo a regular member');
  assert.equal(says('promoted', { user: ME, role: 'owner' }), 'Béla transferred ownership of the room to you');
  assert.equal(says('renamed', { name: 'X' }), 'Béla named the room “X”');
  assert.equal(says('configured', { history: 'all' }), 'Béla let new members read everything');
  assert.equal(says('archived'), 'Béla archived the room');
  assert.equal(says('unarchived'), 'Béla unarchived the room');
  assert.deepEqual(named(entry(1, 'kicked', { user: CLEO, heir: ME })), [BELA, CLEO, ME]);
});

test('a mute’s end is noticed once', () => {
  const state = { ...store.initial(ME), rooms: { 5: { ...newRoom(5), members: [{ user: ME, muted_until: 100 }, { user: BELA, muted_until: 0 }] } } };
  assert.deepEqual([[0, 99], [99, 100], [100, 200]].map(([since, until]) => store.muteEnded(state, since, until)), [false, true, false]);
});
