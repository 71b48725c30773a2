// A room on the screen: where the line of the unread stands when things change under it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { forget, mergePage, newRoom, pushEntry, withView } from '../../../web/js/fold.js';
import { fakePage } from '../support/page.mjs';

const page = fakePage();
const { RoomView } = await import('../../../web/js/room.js');

const ME = 1;
const message = (seq, by = 2) => ({ room: 5, seq, id: seq, by, at: 1_000 + seq, client_id: `c${seq}`, content: { text: `m${seq}` }, reply_to: null, mentions: [], revision: 0, edited_at: null, deleted_at: null, reactions: {} });
const posted = (seq) => ({ ...message(seq), fact: 'posted', posts: seq, append: seq });
const view = (last, read, unread) => ({ id: 5, kind: 'group', name: 'Room', peer: null, role: 'member', members: 2, first: 1, last, read, unread, archived: false, created_at: 1, last_message: null });
const items = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));

/** The room in which `read` of `last` messages were read, all of them loaded. */
function rig(last, read, connection = { live: true, state: {} }) {
  const r = { read: [], asked: [], pending: [] };
  r.client = {
    me: ME, session: { login: { user: { role: 'user' } } }, connection,
    state: { me: ME, users: {}, presence: {}, typing: {}, rooms: {} },
    drafts: { now: () => ({ text: '', reply: null, edit: null }), restore: async () => {}, write: (_, draft) => draft },
    outbox: { pending: () => r.pending }, roster: { needMembers: () => {} }, typing: () => {}, touch: () => r.view.render(), read: (_, seq) => r.read.push(seq),
    history: { show: () => {}, reconnected: () => {}, missing: () => false, loadError: () => undefined, older: () => {}, newer: () => {}, quote: () => {}, busy: () => false,
      latest: () => r.asked.push('latest'), around: async (_, seq) => r.asked.push(seq) },
  };
  r.put = (room) => { r.client.state.rooms[5] = room; };
  r.room = () => r.client.state.rooms[5];
  r.put(withView(mergePage({ ...newRoom(5), epoch: 1, seq: last }, { items: items(1, last), more: false }, {}), view(last, read, last - read), ME));
  page.scrolledTo = null;
  r.view = new RoomView(r.client, 5);
  page.body.append(r.view.node);
  r.view.timeline.scroller.rect = { top: 100, bottom: 500 };
  r.view.render();
  return r;
}
/** The number of the message after the line, or undefined. */
const afterLine = (r) => Number(r.view.timeline.items.querySelector('.unread-line')?.nextElementSibling.dataset.seq);

test('the line of the unread stands anew after a reset', () => {
  const r = rig(10, 10);
  assert.ok(Number.isNaN(afterLine(r)));
  r.put(forget(r.room(), 2, 200));
  r.view.render();
  assert.equal(r.view.timeline.items.children.length, 0);
  r.put(withView(r.room(), view(200, 100, 100), ME));
  r.view.render();
  r.put(mergePage(r.room(), { items: items(90, 200), more: true }, {}));
  r.view.render();
  assert.equal(afterLine(r), 101);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
});

test('who comes back to the tab goes on at the first of what came meanwhile', () => {
  const r = rig(10, 10);
  for (let seq = 11; seq <= 60; seq += 1) r.put(pushEntry(r.room(), posted(seq), ME).room);
  page.visibilityState = 'hidden';
  r.view.render();
  assert.deepEqual([page.scrolledTo, r.read.filter((seq) => seq > 10)], [null, []]);
  page.visibilityState = 'visible';
  r.view.shown();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
});

test('who comes back to a tab in which nothing came stays where they were', () => {
  const r = atEnd(5);
  r.readAll();
  r.view.shown();
  assert.deepEqual([page.scrolledTo, afterLine(r)], [null, 6]);
});

/** The room, of which one sees the end. */
function atEnd(read = 10, connection = undefined) {
  const r = rig(10, read, connection);
  r.readAll = () => {
    r.put(withView(r.room(), view(10, 10, 0), ME));
    page.scrolledTo = null;
  };
  r.push = (from, to) => {
    for (let seq = from; seq <= to; seq += 1) r.put(pushEntry(r.room(), posted(seq), ME).room);
  };
  r.lose = () => {
    Object.assign(r.client.connection, { live: false });
    r.view.cut();
    r.view.render();
  };
  r.live = () => {
    r.client.connection.live = true;
    r.view.render();
  };
  r.last = () => r.read.at(-1);
  return r;
}

test('what came while the connection was lost is gone on with from its beginning, though it comes after the connection', () => {
  const r = atEnd();
  r.lose();
  r.put(withView(r.room(), view(70, 10, 60), ME));
  r.view.render();
  r.live();
  for (const [from, to] of [[11, 40], [41, 69]]) {
    r.push(from, to);
    r.view.timeline.scroller.dispatch('scroll');
    r.view.render();
    assert.deepEqual([page.scrolledTo, r.last() > 10], [null, false]);
  }
  r.push(70, 70);
  r.view.timeline.scroller.dispatch('scroll');
  assert.equal(r.last() > 10, false);
  r.view.render();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
});

test('after a connection in whose absence nothing came one stays at the end, and reads on', () => {
  const r = atEnd(5);
  r.readAll();
  r.lose();
  r.live();
  assert.deepEqual([page.scrolledTo, afterLine(r)], [null, 6]);
  r.push(11, 11);
  r.view.render();
  assert.deepEqual([page.scrolledTo, afterLine(r), r.last()], [null, 6, 11]);
});

test('what was read without a connection is not gone back to', () => {
  const r = atEnd();
  page.visibilityState = 'hidden';
  r.push(11, 60);
  r.view.render();
  r.lose();
  page.visibilityState = 'visible';
  r.view.shown();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
  page.scrolledTo = null;
  assert.equal(r.last() > 10, false);
  for (const name of ['connecting', 'resuming']) {
    r.client.connection.state = { name };
    r.view.render();
  }
  r.live();
  assert.deepEqual([page.scrolledTo, r.last()], [null, 60]);
});

test('what came meanwhile begins after what was seen, though it could not be marked as read', () => {
  const r = atEnd(5);
  assert.equal(afterLine(r), 6);
  r.lose();
  r.put(withView(r.room(), view(12, 5, 7), ME));
  r.live();
  r.push(11, 12);
  r.view.render();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
});

test('what comes to a room that was opened before all had come is gone on with from its beginning', () => {
  const r = atEnd(10, { live: false, state: { name: 'resuming' } });
  r.push(11, 60);
  r.view.render();
  assert.equal(page.scrolledTo, null);
  r.live();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
});

test('a room of which entries are on their way is neither settled in nor read', () => {
  const r = rig(10, 10);
  r.read.length = 0;
  r.put(withView({ ...r.room(), seq: 10 }, view(12, 10, 2), ME));
  r.view.render();
  assert.deepEqual([r.view.timeline.lastSeen, page.scrolledTo], [0, null]);
});

test('who looks at a room without its having the focus goes on at what came meanwhile; a line stays where nothing came', () => {
  const r = atEnd();
  page.hasFocus = () => false;
  r.push(11, 70);
  r.view.render();
  assert.equal(r.last() > 10, false);
  page.hasFocus = () => true;
  r.view.shown();
  assert.equal(afterLine(r), 11);
  assert.ok(page.scrolledTo?.classList.contains('unread-line'));
  r.put(withView(r.room(), view(70, 70, 0), ME));
  r.view.shown();
  assert.equal(afterLine(r), 11);
});

test('who went to the end, or whose mark is on its way, is not taken back when the window has the focus again', () => {
  const r = atEnd();
  r.push(11, 70);
  r.view.render();
  r.view.shown();
  assert.ok(Number.isNaN(afterLine(r)), 'seen, though not yet marked');
  page.hasFocus = () => false;
  r.push(71, 130);
  r.view.render();
  r.view.timeline.toEnd();
  page.hasFocus = () => true;
  r.view.shown();
  assert.deepEqual([page.scrolledTo, r.last()], [null, 130]);
});

/** The room's first ten messages of a hundred, in a window that is scrolled to its end. */
function away() {
  const r = rig(10, 10);
  r.put({ ...r.room(), atEnd: false });
  r.view.render();
  r.timeline = r.view.timeline;
  r.rows = () => r.timeline.items.children.map((row) => row.className.split(' ').includes('pending') ? 'pending' : Number(row.dataset.seq)).filter(Boolean);
  return r;
}
const PENDING = { client_id: 'p', state: 'waiting', fields: { content: { text: 'on its way' } } };

test('the end that one wants to see is come to once it is loaded, whatever scrolls meanwhile', () => {
  const r = away();
  r.timeline.toEnd();
  assert.equal(r.asked[0], 'latest');
  r.timeline.scroller.dispatch('scroll');
  r.put({ ...r.room(), items: items(51, 100), atEnd: true });
  r.timeline.scroller.scrollHeight = 5_000;
  r.view.render();
  assert.equal(r.timeline.scroller.scrollTop, 5_000);
});

test('without a connection one sees what one sends at the end of what is loaded, and the end once there is a connection', () => {
  const r = away();
  r.client.connection.live = false;
  r.pending = [PENDING];
  r.view.render();
  assert.equal(r.rows().at(-1), 10);
  r.timeline.toEnd();
  assert.deepEqual([r.rows().at(-1), r.asked], ['pending', []]);
  r.client.connection.live = true;
  r.view.render();
  assert.deepEqual(r.asked, ['latest']);
});

test('who scrolls up, or goes to a message, stays there', () => {
  const press = (more) => (r) => {
    r.timeline.scroller.clientWidth = 500;
    r.timeline.scroller.dispatch('pointerdown', more);
  };
  const key = (more) => (r) => r.timeline.scroller.dispatch('keydown', more);
  const ups = [(r) => r.timeline.scroller.dispatch('wheel', { deltaY: -1 }), (r) => r.timeline.scroller.dispatch('touchmove'),
    key({ key: 'PageUp' }), key({ key: ' ', shiftKey: true }), press({ offsetX: 505 }), press({ offsetX: -5 }), (r) => r.timeline.jump(3)];
  const others = [key({ key: ' ', shiftKey: false }), press({ offsetX: 250 }), (r) => press({ offsetX: 505, target: r.timeline.items })(r), (r) => r.timeline.jump(50)];
  for (const up of [...ups, ...others]) {
    const r = away();
    r.pending = [PENDING];
    r.client.connection.live = false;
    r.timeline.toEnd();
    up(r);
    r.client.connection.live = true;
    r.view.render();
    assert.deepEqual([r.asked, r.rows().at(-1)], ups.includes(up) ? [[], 10] : [['latest'], 'pending']);
  }
});

test('a message that can’t be gone to is said so, and not gone to later', async () => {
  const toasts = page.getElementById('toasts');
  const said = () => toasts.children.at(-1)?.textContent ?? '';
  for (const [seq, live, text] of [[50, false, /^This message is not loaded/], [2, true, /^This message was sent before you joined/], [50, true, /^The message could not be loaded/]]) {
    toasts.replaceChildren();
    const r = rig(100, 100);
    r.put({ ...r.room(), items: items(90, 100), atStart: false, view: { ...r.room().view, first: 10 } });
    r.view.render();
    r.client.connection.live = live;
    await r.view.timeline.jump(seq);
    assert.match(said(), text);
    page.scrolledTo = null;
    r.put({ ...r.room(), items: items(10, 100) });
    r.view.render();
    assert.equal(page.scrolledTo, null);
  }
});

test('who can’t go to a message follows the end on', async () => {
  for (const [seq, live] of [[50, false], [2, true], [50, true]]) {
    const r = rig(100, 100);
    r.put({ ...r.room(), items: items(90, 100), atStart: false, view: { ...r.room().view, first: 10 } });
    r.view.render();
    r.client.connection.live = live;
    const { scroller } = r.view.timeline;
    const come = (number, height) => {
      r.put(pushEntry(r.room(), posted(number), ME).room);
      scroller.scrollHeight = height;
      r.view.render();
      return scroller.scrollTop;
    };
    r.client.history.around = async () => { come(101, 5_000); };
    await r.view.timeline.jump(seq);
    assert.equal(come(102, 6_000), 6_000, `${seq} ${live}`);
  }
});

test('the button that goes to the end leaves the focus to the messages', () => {
  const r = rig(10, 10);
  const { down, scroller } = r.view.timeline;
  scroller.scrollHeight = 5_000;
  scroller.dispatch('scroll');
  assert.equal(down.hidden, false);
  down.focus();
  down.click();
  assert.deepEqual([down.hidden, page.activeElement === scroller], [true, true]);
});

test('a message that is quoted is gone to once it is loaded', async () => {
  const r = rig(100, 100);
  r.put({ ...r.room(), items: items(90, 100), extras: { 50: message(50) }, atStart: false });
  r.view.render();
  r.client.history.around = async () => r.put({ ...r.room(), items: items(25, 75), atEnd: false });
  await r.view.timeline.jump(50);
  r.view.render();
  assert.equal(page.scrolledTo?.dataset.seq, 50);
});
