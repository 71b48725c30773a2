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
function rig(last, read) {
  const r = { read: [] };
  r.client = {
    me: ME, session: { login: { user: { role: 'user' } } }, connection: { live: true, state: {} },
    state: { me: ME, users: {}, presence: {}, typing: {}, rooms: {} },
    drafts: { now: () => ({ text: '', reply: null, edit: null }), restore: async () => {}, write: (_, draft) => draft },
    outbox: { pending: () => [] }, roster: { needMembers: () => {} }, typing: () => {}, read: (_, seq) => r.read.push(seq),
    history: { show: () => {}, reconnected: () => {}, missing: () => false, loadError: () => undefined, older: () => {}, newer: () => {}, quote: () => {} },
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
  const r = rig(10, 10);
  r.view.shown();
  assert.equal(page.scrolledTo, null);
});
