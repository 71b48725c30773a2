// Which part of a room's messages is loaded: where one goes on reading, wherever one was before.

import assert from 'node:assert/strict';
import test from 'node:test';
import { mergeAround, mergePage, newRoom } from '../../../web/js/fold.js';
import { History } from '../../../web/js/history.js';
import * as store from '../../../web/js/store.js';

const ME = 1;
const BELA = 2;
const settled = () => new Promise((done) => setImmediate(done));
const message = (seq, by = BELA) => ({ room: 5, seq, by, at: seq, content: { text: `m${seq}` }, reply_to: null, mentions: [], revision: 0, deleted_at: null, reactions: {} });
/** Messages of a log, numbered from 1: who wrote how many, one after the other. */
const log = (...runs) => runs.flatMap(([by, count]) => Array.from({ length: count }, () => by)).map((by, i) => message(i + 1, by));

/** A client of a log that has been read up to `read`. */
function client(messages, read, room = {}) {
  const asked = [];
  const unread = messages.filter((m) => m.seq > read && m.by !== ME).length;
  const connection = {
    live: true, state: {},
    request: async (op, fields) => {
      asked.push(fields);
      const { before = Infinity, after = 0, limit } = fields;
      const all = messages.filter((m) => m.seq > after && m.seq < before);
      const items = fields.after === undefined ? all.slice(-limit) : all.slice(0, limit);
      return { items, more: items.length < all.length };
    },
  };
  const last = messages.at(-1).seq;
  const start = { ...newRoom(5), epoch: 11, seq: last, view: { first: 1, read, unread, last }, ...room };
  const self = {
    me: ME, connection, asked, state: { ...store.initial(ME), rooms: { 5: start } }, touch: () => {},
    change: (id, change) => { self.state = store.changeRoom(self.state, id, change); },
    loadUsers: () => {}, loadUsersOf: () => {}, loadMembers: () => {},
  };
  self.history = new History(self);
  return self;
}
const seqs = (of) => of.state.rooms[5].items.map((m) => m.seq);

test('a room whose window lies elsewhere shows nothing of it before the right one is there', async () => {
  const messages = log([BELA, 300]);
  const of = client(messages, 300, mergeAround(newRoom(5), { items: messages.slice(0, 10), more: false }, { items: messages.slice(10, 20), more: true }));
  of.change(5, (room) => ({ ...room, seq: 300, view: { first: 1, read: 300, unread: 0, last: 300 } }));
  of.history.show(5);
  assert.equal(of.state.rooms[5].loaded, false);
  await settled();
  const room = of.state.rooms[5];
  assert.deepEqual([room.loaded, room.atEnd, room.items.at(-1).seq], [true, true, 300]);
});

test('a window that lies where one goes on stays, and so does any while there is no connection', async () => {
  const messages = log([BELA, 300]);
  const right = client(messages, 300, mergePage(newRoom(5), { items: messages.slice(-50), more: true }, {}));
  right.change(5, (room) => ({ ...room, view: { first: 1, read: 300, unread: 0, last: 300 } }));
  right.history.show(5);
  assert.deepEqual([right.state.rooms[5].loaded, right.asked], [true, []]);
  const away = client(messages, 300, mergeAround(newRoom(5), { items: messages.slice(0, 10), more: false }, { items: messages.slice(10, 20), more: true }));
  away.change(5, (room) => ({ ...room, view: { first: 1, read: 300, unread: 0, last: 300 } }));
  away.connection.live = false;
  away.history.show(5);
  await settled();
  assert.deepEqual([away.state.rooms[5].loaded, seqs(away).length], [true, 20]);
});

test('the first unread message is loaded however many of one’s own stand before it', async () => {
  const of = client(log([BELA, 100], [ME, 180], [BELA, 200]), 100);
  of.history.show(5);
  await settled();
  assert.ok(seqs(of).includes(281), `${seqs(of)[0]} to ${seqs(of).at(-1)}`);
  assert.deepEqual([seqs(of)[0], of.state.rooms[5].atEnd], [76, false]);
  assert.deepEqual(seqs(of), Array.from({ length: seqs(of).length }, (_, i) => 76 + i));
});

test('what is loaded to begin with has an end, even where all of it is one’s own', async () => {
  const of = client(log([BELA, 1], [ME, 5_000], [BELA, 1]), 1);
  of.history.show(5);
  await settled();
  assert.ok(of.asked.length < 20 && seqs(of).length <= 700, `${of.asked.length} requests, ${seqs(of).length} messages`);
  const elsewhere = client(log([BELA, 1], [ME, 5_000]), 1);
  elsewhere.history.open = 5;
  await elsewhere.history.around(5, 1_000);
  assert.equal(elsewhere.asked.length, 2);
});

test('a window that ends before the first unread message is not where one goes on', async () => {
  const messages = log([BELA, 100], [ME, 80], [BELA, 20]);
  for (const [from, to] of [[0, 100], [70, 150]]) {
    const of = client(messages, 100, mergeAround(newRoom(5), { items: [], more: from > 0 }, { items: messages.slice(from, to), more: true }));
    of.change(5, (room) => ({ ...room, view: { first: 1, read: 100, unread: 20, last: 200 } }));
    of.history.show(5);
    await settled();
    assert.ok(seqs(of).includes(181), `${from} to ${to}`);
  }
});

test('all whom messages name are asked for: who wrote, is mentioned or reacted, also in a quoted one', async () => {
  const named = (seq, more) => ({ ...message(seq), mentions: [70 + seq], reactions: { '👍': [80 + seq] }, ...more });
  const of = client([named(1, {})], 1);
  const wanted = [];
  of.loadUsers = (ids) => wanted.push(...ids);
  await of.history.latest(5);
  assert.deepEqual(wanted, [BELA, 71, 81]);
  of.connection.request = async () => named(3);
  of.history.quote(5, 3);
  await settled();
  assert.deepEqual(wanted.slice(3), [BELA, 73, 83]);
});
