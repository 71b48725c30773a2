// Oneself: what is saved is what was written, and is there after a reload.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fakePage } from '../support/page.mjs';

fakePage();
const { Client } = await import('../../../web/js/client.js');
const { nameForm } = await import('../../../web/js/profile.js');
const { Session } = await import('../../../web/js/session.js');

const KEY = 'parlance.login';
const ANNA = { id: 1, username: 'anna', full_name: 'Anna', created_at: 1 };
const settled = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise((done) => setImmediate(done));
};

/** The form of Anna, whose address the server tells once `answer` is called. */
function rig(email = 'anna@example.org') {
  globalThis.navigator.locks = { request: async (_, work) => work() };
  const rows = new Map([[KEY, JSON.stringify({ user: ANNA, access_token: 'a', refresh_token: 'r', expires_at: 1 })]]);
  const storage = { getItem: (key) => rows.get(key) ?? null, setItem: (key, value) => rows.set(key, value) };
  const r = { changes: [], me: { ...ANNA, email } };
  const api = {
    me: () => new Promise((resolve) => { r.answer = (me = r.me) => resolve(me); }),
    changeMe: async (change) => {
      r.changes.push(change);
      r.me = { ...r.me, ...change };
      return r.me;
    },
  };
  r.client = new Client({ session: new Session({ post: async () => ({}), storage }), api });
  r.stored = () => JSON.parse(rows.get(KEY));
  const form = nameForm(r.client);
  r.field = (name) => form.querySelectorAll('input').find((input) => input.attributes.name === name);
  r.save = async () => {
    form.dispatch('submit');
    await settled();
  };
  return r;
}

test('an address that is cleared is removed; one that isn’t known yet is not', async () => {
  const r = rig();
  r.field('full_name').value = 'Anna B.';
  await r.save();
  assert.deepEqual(r.changes, [{ full_name: 'Anna B.' }]);
  r.answer();
  await settled();
  assert.equal(r.field('email').value, 'anna@example.org');
  r.field('email').value = ' ';
  await r.save();
  assert.deepEqual([r.changes.at(-1), r.field('email').value], [{ email: null }, '']);
});

test('what is not touched is not changed', async () => {
  const r = rig();
  r.answer();
  await settled();
  await r.save();
  assert.deepEqual(r.changes, []);
});

test('a name that was changed is there after a reload, and the tokens stay', async () => {
  const r = rig();
  r.answer();
  await settled();
  r.field('full_name').value = 'Anna B.';
  await r.save();
  const { user, access_token, refresh_token } = r.stored();
  assert.deepEqual([user.full_name, user.created_at, access_token, refresh_token], ['Anna B.', 1, 'a', 'r']);
  assert.equal(r.client.state.users[1].full_name, 'Anna B.');
});

test('what was written before the server answered stays, wherever the focus is', async () => {
  const r = rig();
  r.field('full_name').value = 'Anna B.';
  r.answer();
  await settled();
  assert.deepEqual([r.field('full_name').value, r.field('email').value], ['Anna B.', 'anna@example.org']);
});

test('a name that was saved is not undone by what the server had said before', async () => {
  const r = rig();
  const before = r.me;
  r.field('full_name').value = 'Anna B.';
  await r.save();
  r.answer(before);
  await settled();
  assert.deepEqual([r.field('full_name').value, r.client.state.users[1].full_name, r.stored().user.full_name], ['Anna B.', 'Anna B.', 'Anna B.']);
});
