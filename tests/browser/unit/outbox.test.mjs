// Commands on their way: once, in order, across reconnects and reloads.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Disconnected, FaultError } from '../../../web/js/codes.js';
import { Outbox } from '../../../web/js/outbox.js';

/** An outbox on a connection that the test answers by hand. */
function rig({ kept = new Map(), live = true } = {}) {
  const r = { kept, live, sent: [], later: [], asked: [], renewals: 0 };
  r.box = new Outbox({
    storage: { save: (item) => kept.set(item.client_id, structuredClone(item)), remove: (ids) => ids.forEach((id) => kept.delete(id)) }, changed: () => {},
    request: (op, fields) => new Promise((resolve, reject) => r.sent.push({ op, ...fields, resolve, reject })),
    mentions: (item) => new Promise((resolve, reject) => r.asked.push({ item, resolve, reject })),
    live: () => r.live, authenticate: () => { r.renewals += 1; }, later: (run, ms) => r.later.push({ run, ms }),
  });
  r.send = (text, room = 5) => r.box.submit('send', room, { room, content: { text } });
  r.drop = async () => {
    r.live = false;
    for (const s of r.sent.splice(0)) s.reject(new Disconnected());
    await settled();
  };
  r.back = () => {
    r.live = true;
    r.box.flush();
  };
  return r;
}
const settled = () => new Promise((done) => setImmediate(done));
const fault = (code, retry, retry_after_ms) => new FaultError({ code, detail: code, retry, retry_after_ms });
const texts = (r) => r.sent.map((s) => s.content.text);

test('one message of a room is on its way at a time, in order; rooms don’t wait for each other', async () => {
  const r = rig();
  r.send('a');
  r.send('b');
  r.send('other', 6);
  assert.deepEqual(texts(r), ['a', 'other']);
  r.sent[0].resolve({ seq: 1 });
  await settled();
  assert.deepEqual(texts(r), ['a', 'other', 'b']);
});

test('what was not answered is sent again after a reconnect, in order, under the same client id', async () => {
  const r = rig();
  r.send('a');
  r.send('b');
  const [{ client_id }] = r.sent;
  await r.drop();
  assert.deepEqual(r.sent, []);
  r.back();
  assert.deepEqual([r.sent[0].client_id, texts(r)], [client_id, ['a']]);
  r.sent[0].resolve({ seq: 1, again: true });
  await settled();
  assert.deepEqual(texts(r), ['a', 'b']);
});

test('what was not answered is kept for the next tab, and only that', async () => {
  const r = rig();
  r.send('done');
  r.send('open');
  r.send('later');
  r.sent[0].resolve({ seq: 1 });
  await settled();
  const again = rig();
  again.box.adopt([...r.kept.values()].reverse());
  assert.deepEqual(again.box.pending(5).map((i) => i.fields.content.text), ['open', 'later']);
  assert.equal(again.sent[0].client_id, r.sent[1].client_id);
});

test('an entry that the log shows is not sent again, even when its answer was lost', async () => {
  const r = rig();
  const answer = r.send('a');
  const { client_id } = r.sent[0];
  await r.drop();
  r.box.arrived(client_id);
  await answer;
  r.back();
  assert.deepEqual([r.sent, r.box.items], [[], []]);
});

test('an answered message is shown until its entry comes, whichever of the two comes first', async () => {
  const r = rig();
  r.send('a');
  r.sent[0].resolve({ seq: 9 });
  await settled();
  assert.equal(r.box.pending(5)[0].state, 'sent');
  r.box.shown(5, 8);
  assert.equal(r.box.pending(5).length, 1);
  r.box.arrived(r.sent[0].client_id);
  assert.equal(r.box.pending(5).length, 0);
  r.send('b');
  r.box.arrived(r.sent[1].client_id);
  r.sent[1].resolve({ seq: 10 });
  await settled();
  assert.equal(r.box.pending(5).length, 0);
});

test('a refusal for good is shown and doesn’t hold the next one up; trying again uses the same client id', async () => {
  const r = rig();
  const refused = assert.rejects(r.send('a'), { code: 'muted' });
  r.send('b');
  r.sent[0].reject(fault('muted', 'never'));
  await refused;
  await settled();
  assert.deepEqual([r.box.pending(5)[0].state, r.box.pending(5)[0].fault], ['failed', 'muted']);
  assert.equal(texts(r)[1], 'b');
  r.sent[1].resolve({ seq: 1 });
  await settled();
  r.box.retry(r.sent[0].client_id);
  assert.equal(r.sent[2].client_id, r.sent[0].client_id);
});

test('"later" waits as long as it is told, keeps the order, and uses the same client id', async () => {
  const r = rig();
  r.send('a');
  r.send('b');
  r.sent[0].reject(fault('busy', 'later', 250));
  await settled();
  assert.deepEqual([texts(r), r.later[0].ms], [['a'], 250]);
  r.later[0].run();
  assert.deepEqual([texts(r), r.sent[1].client_id], [['a', 'a'], r.sent[0].client_id]);
});

test('an expired token is renewed before the next try', async () => {
  const r = rig();
  r.send('a');
  r.sent[0].reject(fault('token_expired', 'authenticate'));
  await settled();
  assert.equal(r.renewals, 1);
  r.later[0].run();
  assert.equal(r.sent.length, 2);
});

test('a refused edit is told to who asked, and is over', async () => {
  const r = rig();
  const refused = assert.rejects(r.box.submit('edit', 5, { room: 5, seq: 1 }), { code: 'stale' });
  r.sent[0].reject(fault('stale', 'refresh'));
  await refused;
  assert.deepEqual(r.box.items, []);
});

test('a room that is gone takes its messages along', async () => {
  const r = rig({ live: false });
  const gone = assert.rejects(r.send('a'));
  r.send('b', 6);
  r.box.dropRoom(5);
  await gone;
  assert.deepEqual(r.box.items.map((i) => i.room), [6]);
});

test('leaving a room is done where that is seen before the answer', async () => {
  const r = rig();
  const left = r.box.submit('leave', 5, { room: 5 });
  r.box.dropRoom(5);
  await left;
  assert.deepEqual(r.box.items, []);
});

test('what another tab left goes in where it was written, and once', async () => {
  const r = rig({ live: false });
  r.box.submit('send', 5, { content: { text: 'second' } }, { at: 20 });
  const left = { client_id: 'left', room: 5, op: 'send', fields: { content: { text: 'first' } }, at: 10, state: 'sending' };
  const refused = { ...left, client_id: 'refused', at: 30, state: 'failed', fault: 'muted' };
  r.box.adopt([left, refused]);
  r.box.adopt([left]);
  assert.deepEqual(r.box.pending(5).map((i) => [i.fields.content.text, i.state]), [['first', 'waiting'], ['second', 'waiting'], ['first', 'failed']]);
  r.back();
  assert.deepEqual(texts(r), ['first']);
});

test('a refusal is kept, an answer, an end and a room that is gone are not', async () => {
  const r = rig();
  r.send('refused').catch(() => {});
  r.send('done');
  r.send('elsewhere', 6).catch(() => {});
  assert.equal(r.kept.size, 3);
  r.sent[0].reject(fault('muted', 'never'));
  await settled();
  assert.equal(r.kept.get(r.sent[0].client_id).state, 'failed');
  r.sent.at(-1).resolve({ seq: 1 });
  await settled();
  r.box.dropRoom(6);
  assert.deepEqual([...r.kept.keys()], [r.sent[0].client_id]);
  r.box.retry(r.sent[0].client_id);
  assert.equal(r.kept.get(r.sent[0].client_id).fault, undefined);
  r.box.discard(r.sent[0].client_id);
  assert.equal(r.kept.size, 0);
});

test('messages written in the same millisecond keep their order', () => {
  const r = rig({ live: false });
  for (const text of ['a', 'b', 'c']) r.send(text);
  const again = rig({ live: false });
  again.box.adopt([...r.kept.values()].reverse());
  assert.deepEqual(again.box.pending(5).map((i) => i.fields.content.text), ['a', 'b', 'c']);
});

const outsider = () => new FaultError({ code: 'invalid', detail: 'every mentioned user must be a member of the room', retry: 'never' });
const mention = (r, mentions, more) => r.box.submit('send', 5, { room: 5, content: { text: '@ben @cleo' }, mentions }, more);

test('whom a message mentions is found before it is sent, where the members were not known when it was written', async () => {
  const r = rig();
  mention(r, [], { unresolved: true });
  r.send('next');
  assert.deepEqual([r.sent, r.asked.length], [[], 1]);
  r.asked[0].resolve([2, 3]);
  await settled();
  assert.deepEqual([r.sent.length, r.sent[0].mentions], [1, [2, 3]]);
  assert.deepEqual([...r.kept.values()][0].fields.mentions, [2, 3]);
});

test('a message whose mentions can’t be found yet waits for the next connection, also in another tab', async () => {
  const r = rig();
  mention(r, [], { unresolved: true });
  r.live = false;
  r.asked[0].reject(new Disconnected());
  await settled();
  const other = rig();
  other.box.adopt([...r.kept.values()]);
  assert.deepEqual([other.sent, other.asked.length], [[], 1]);
  r.back();
  assert.equal(r.asked.length, 2);
});

test('a message that was given up while its mentions were looked for is not sent', async () => {
  const r = rig();
  mention(r, [], { unresolved: true }).catch(() => {});
  r.box.dropRoom(5);
  r.asked[0].resolve([2]);
  await settled();
  assert.deepEqual([r.sent, r.box.items], [[], []]);
});

test('a message that mentions somebody who has left is sent without that mention', async () => {
  const r = rig();
  mention(r, [2, 3]);
  r.sent[0].reject(outsider());
  await settled();
  assert.equal(r.box.items[0].state, 'sending');
  r.asked[0].resolve([3]);
  await settled();
  const [first, second] = r.sent;
  assert.deepEqual([second.mentions, second.content, second.client_id], [[3], first.content, first.client_id]);
});

test('a message whose mentions are refused again is sent without any, and refused for good after that', async () => {
  const r = rig();
  mention(r, [2, 3]).catch(() => {});
  for (const mentions of [[2, 3], [2], []]) {
    assert.deepEqual(r.sent.at(-1).mentions, mentions);
    r.sent.at(-1).reject(outsider());
    await settled();
    r.asked.shift()?.resolve([2]);
    await settled();
  }
  assert.deepEqual([r.sent.length, r.box.items[0].state], [3, 'failed']);
});

test('another reason to refuse a message with mentions is told', async () => {
  const r = rig();
  mention(r, [2]).catch(() => {});
  r.sent[0].reject(new FaultError({ code: 'invalid', detail: 'a message must have a text', retry: 'never' }));
  await settled();
  assert.deepEqual([r.asked.length, r.box.items[0].state], [0, 'failed']);
});
