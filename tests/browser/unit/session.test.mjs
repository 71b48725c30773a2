// Renewing a login in several tabs, each of which reads what another one stored only a moment later, as in browsers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MARGIN_MS, Session } from '../../../web/js/session.js';

const LATE_MS = 100;
const KEY = 'parlance.login';
const own = Object.getOwnPropertyDescriptor(globalThis, 'navigator');

before(() => {
  let last = Promise.resolve();
  const request = (_, work) => (last = last.then(work, work));
  Object.defineProperty(globalThis, 'navigator', { value: { locks: { request } }, configurable: true });
});
after(() => (own ? Object.defineProperty(globalThis, 'navigator', own) : delete globalThis.navigator));

/** Tabs over one server, which counts what each refresh token was used for. */
function tabs(count) {
  const used = [];
  const post = async (_, { refresh_token }) => {
    used.push(refresh_token);
    return { user: { id: 1 }, access_token: `access ${used.length}`, refresh_token: `refresh ${used.length}`, expires_in: 1_800 };
  };
  const first = { user: { id: 1 }, access_token: 'access 0', refresh_token: 'refresh 0', expires_at: Date.now() + 10 * MARGIN_MS };
  const copies = Array.from({ length: count }, () => new Map([[KEY, JSON.stringify(first)]]));
  const storage = (mine) => ({
    getItem: (key) => mine.get(key) ?? null,
    setItem: (key, value) => {
      mine.set(key, value);
      setTimeout(() => copies.forEach((copy) => copy.set(key, value)), LATE_MS);
    },
  });
  return { used, sessions: copies.map((copy) => new Session({ post, storage: storage(copy) })) };
}

test('tabs that are refused together renew the login once', async () => {
  const { used, sessions } = tabs(3);
  const tokens = await Promise.all(sessions.map((session) => session.token({ not: 'access 0' })));
  assert.deepEqual(used, ['refresh 0']);
  assert.deepEqual(tokens, ['access 1', 'access 1', 'access 1']);
});

test('who renews has the new token at once, whatever others wait for', async () => {
  const { sessions } = tabs(1);
  const began = performance.now();
  assert.equal(await sessions[0].token({ not: 'access 0' }), 'access 1');
  assert.ok(performance.now() - began < LATE_MS);
});
