// The start: an invite that the address names is not lost before it can be accepted.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fakePage } from '../support/page.mjs';

const page = fakePage();
const KEY = 'parlance.login';
const USER = { id: 1, username: 'anna', full_name: 'Anna', created_at: 1 };
const login = (expires_at) => JSON.stringify({ user: USER, access_token: 'a', refresh_token: 'r', expires_at });
const settled = async () => {
  for (let i = 0; i < 20; i += 1) await new Promise((done) => setImmediate(done));
};

const rows = new Map();
const shown = [];
const sockets = [];
/** A server: sockets are greeted by `greet`, and answer what a page without rooms asks for. */
class WebSocket {
  constructor() { sockets.push(this); }
  close() {}
  send(text) {
    const { n, op } = JSON.parse(text);
    const body = { resume: { resumed: [] }, rooms: { rooms: [] } }[op] ?? {};
    queueMicrotask(() => this.onmessage({ data: JSON.stringify({ re: n, ok: body }) }));
  }
  greet() { this.onmessage({ data: JSON.stringify({ push: 'hello', now: Date.now(), credits: 64, token_expires_at: Date.now() + 1_000_000 }) }); }
}
const refused = { ok: false, status: 401, text: async () => JSON.stringify({ code: 'unauthenticated', detail: 'no', retry: 'never' }) };
const stubs = {
  location: { hash: '#/join/abc', origin: 'http://x', protocol: 'http:' }, history: { replaceState: (_, __, hash) => { globalThis.location.hash = hash; } },
  localStorage: { getItem: (key) => rows.get(key) ?? null, setItem: (key, value) => rows.set(key, String(value)), removeItem: (key) => rows.delete(key) },
  addEventListener: () => {}, removeEventListener: () => {}, WebSocket, fetch: async () => refused,
  navigator: { onLine: true, locks: { request: async (_, options, work = options) => work(), query: async () => ({ held: [] }) } },
};
for (const [name, value] of Object.entries(stubs)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
// The page's timers keep no test waiting.
const later = setTimeout;
const every = setInterval;
globalThis.setTimeout = (...of) => later(...of).unref();
globalThis.setInterval = (...of) => every(...of).unref();
// Nor do its channels.
globalThis.BroadcastChannel = class extends BroadcastChannel {
  constructor(name) {
    super(name);
    this.unref();
  }
};
const root = page.createElement('div');
const byId = page.getElementById;
page.getElementById = (id) => (id === 'app' ? root : byId(id));
page.addEventListener = () => {};
page.body.append(root);
const make = page.createElement;
page.createElement = (tag) => Object.assign(make(tag), tag === 'dialog' ? { showModal() { shown.push(this); }, close() {} } : {});
const note = () => root.byClass('auth-note')[0]?.textContent;
const code = () => shown[0]?.all((node) => node.tag === 'input')[0]?.value;

test('an invite stays in the address while the page connects, and when the login turns out to have ended', async () => {
  rows.set(KEY, login(0));
  const { toast } = await import('../../../web/js/announce.js');
  for (const ofLogin of [true, false]) toast(`${ofLogin}`, undefined, { stays: true, ofLogin });
  await import('../../../web/js/main.js');
  await settled();
  await new Promise((done) => later(done, 300));
  assert.deepEqual([globalThis.location.hash, shown.length], ['#/join/abc', 0]);
  assert.equal(note(), 'You were logged out. Please log in again to accept the invite.');
  assert.deepEqual(page.body.byClass('toast').map((node) => node.firstElementChild.textContent), ['false']);
  stubs.fetch = globalThis.fetch = async () => ({ ok: true, status: 200, text: async () => JSON.stringify({ user: USER, access_token: 'b', refresh_token: 's', expires_in: 1_800 }) });
  const [username, password] = root.all((node) => node.tag === 'input');
  [username.value, password.value] = ['anna', 'correct horse battery'];
  root.all((node) => node.tag === 'form')[0].dispatch('submit');
  await settled();
  assert.deepEqual([globalThis.location.hash, shown.length], ['#/join/abc', 0]);
  sockets.at(-1).greet();
  await settled();
  assert.deepEqual([globalThis.location.hash, shown.length, code()], ['#/', 1, 'abc']);
});
