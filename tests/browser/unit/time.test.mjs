// Times go by the server's clock, whatever the device's says.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fakePage } from '../support/page.mjs';

fakePage();
const { Client } = await import('../../../web/js/client.js');
const { isMuted } = await import('../../../web/js/people.js');
const { restriction } = await import('../../../web/js/permissions.js');
const { ago, brief, dayName, keepClock, serverNow } = await import('../../../web/js/time.js');
const { invites } = await import('../../../web/js/details.js');

const HOUR = 3_600_000;

for (const [what, off] of [['two hours fast', 2 * HOUR], ['two hours slow', -2 * HOUR]]) {
  test(`a device’s clock that is ${what} ends no mute, and makes none longer`, (t) => {
    t.after(() => keepClock(Date.now()));
    const now = Date.now() - off;
    keepClock(now);
    assert.ok(Math.abs(serverNow() - now) < 1_000);
    assert.deepEqual([isMuted({ muted_until: now + HOUR }), isMuted({ muted_until: now - HOUR })], [true, false]);
    const client = { me: 1, session: { login: { user: { role: 'user' } } } };
    assert.equal(restriction(client, { members: [{ user: 1, muted_until: now + HOUR }] })?.kind, 'muted');
    assert.deepEqual([ago(now - 5 * 60_000), dayName(now), brief(now - 86_400_000)], ['5 minutes ago', 'Today', 'Yesterday']);
  });
}

test('the server says what time it is with each connection', async (t) => {
  t.after(() => keepClock(Date.now()));
  const client = new Client({ session: { login: { user: { id: 1, username: 'anna', full_name: '', created_at: 1 } } }, api: {} });
  const { resume } = client.connection;
  client.connection = { live: true, state: { name: 'live' }, request: async (op) => (op === 'resume' ? { resumed: [] } : { rooms: [] }) };
  await resume({ push: 'hello', now: Date.now() - 5 * HOUR });
  assert.ok(Math.abs(serverNow() - (Date.now() - 5 * HOUR)) < 1_000);
});

test('an invite ends a day from now by the server’s clock', async (t) => {
  t.after(() => keepClock(Date.now()));
  keepClock(Date.now() + 2 * HOUR);
  let asked;
  const client = { connection: { request: async (_, fields) => { asked = fields; throw new Error('enough'); } } };
  const { node } = invites(client, { id: 5 });
  node.querySelector('select').value = '24';
  await Promise.all(node.querySelector('form').dispatch('submit'));
  assert.ok(Math.abs(asked.expires_at - (Date.now() + 26 * HOUR)) < 1_000);
});
