// The connection: greeting, resume, credits, what each end of it asks for, token renewal.

import assert from 'node:assert/strict';
import test from 'node:test';
import { afterClose, backoff, Disconnected } from '../../../web/js/codes.js';
import { Connection } from '../../../web/js/socket.js';

/** Time that passes when the test says so. */
class Clock {
  time = 0;
  timers = new Map();
  #next = 1;
  now = () => this.time;
  set = (run, ms) => {
    this.timers.set(this.#next, { run, at: this.time + ms });
    return this.#next++;
  };
  clear = (id) => this.timers.delete(id);
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
      await settled();
    }
    this.time = end;
  }
}
const settled = () => new Promise((done) => setImmediate(done));

async function rig({ token = async () => 'tok', resume } = {}) {
  const r = { sockets: [], pushes: [], states: [], wishes: [], clock: new Clock(), outs: 0 };
  r.connection = new Connection({
    open: (protocols) => {
      const socket = { protocols, sent: [], send: (text) => socket.sent.push(JSON.parse(text)), close: () => { socket.closed = true; } };
      socket.says = (frame) => socket.onmessage?.({ data: JSON.stringify(frame) });
      socket.ends = async (code) => {
        socket.onclose?.({ code });
        await settled();
      };
      r.sockets.push(socket);
      return socket;
    },
    token: (wish) => {
      r.wishes.push(wish);
      return token(wish);
    },
    resume: resume ?? (() => r.connection.request('resume', { positions: {} })),
    push: (push) => r.pushes.push(push), changed: (state) => r.states.push(state.name), signedOut: () => { r.outs += 1; }, clock: r.clock, random: () => 0.5,
  });
  r.hello = async (more = {}) => {
    r.sockets.at(-1).says({ push: 'hello', session: 1, user: 1, now: 0, credits: 64, heartbeat_ms: 25000, token_expires_at: 1_800_000, ...more });
    await settled();
  };
  r.live = async (more) => {
    await r.hello(more);
    const socket = r.sockets.at(-1);
    socket.says({ re: socket.sent.at(-1).n, ok: { resumed: [] } });
    await settled();
  };
  r.connection.start();
  await settled();
  return r;
}

test('it greets, resumes, and only then is live', async () => {
  const r = await rig();
  assert.deepEqual(r.sockets[0].protocols, ['parlance.v1.json', 'bearer', 'tok']);
  await r.hello();
  assert.deepEqual(r.sockets[0].sent, [{ n: 1, op: 'resume', positions: {} }]);
  assert.equal(r.connection.live, false);
  await r.sockets[0].says({ re: 1, ok: { resumed: [] } });
  await settled();
  assert.deepEqual(r.states, ['connecting', 'resuming', 'live']);
});

test('each request gets its own reply, in whatever order they come', async () => {
  const r = await rig();
  await r.live();
  const [a, b] = [r.connection.request('rooms'), r.connection.request('room', { room: 9 })];
  r.sockets[0].says({ re: 3, fault: { code: 'not_found', detail: 'no', retry: 'never' } });
  r.sockets[0].says({ re: 2, ok: { rooms: [] } });
  assert.deepEqual(await a, { rooms: [] });
  await assert.rejects(b, { code: 'not_found' });
});

test('no more requests are in flight than there are credits', async () => {
  const r = await rig();
  await r.live({ credits: 2 });
  const socket = r.sockets[0];
  for (let i = 0; i < 5; i += 1) r.connection.request('ping');
  assert.equal(socket.sent.length - 1, 2);
  socket.says({ re: 2, ok: {} });
  assert.equal(socket.sent.length - 1, 3);
});

test('a lost connection fails what was in flight, and comes back with a growing pause', async () => {
  const r = await rig();
  await r.live();
  const lost = assert.rejects(r.connection.request('rooms'), Disconnected);
  await r.sockets[0].ends(1006);
  await lost;
  const pauses = [];
  for (let i = 0; i < 4; i += 1) {
    pauses.push(r.connection.state.at - r.clock.now());
    await r.clock.pass(pauses.at(-1));
    await r.sockets.at(-1).ends(1006);
  }
  assert.deepEqual(pauses, [375, 750, 1500, 3000]);
});

test('a server that greets but can’t be resumed with is not hammered', async () => {
  const r = await rig();
  for (let i = 0; i < 3; i += 1) {
    await r.hello();
    await r.sockets.at(-1).ends(1013);
    await r.clock.pass(r.connection.state.at - r.clock.now());
  }
  await r.sockets.at(-1).ends(1013);
  assert.equal(r.connection.state.at - r.clock.now(), 3000);
});

test('every close code says whether to come back', () => {
  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4503, 4508, 4509, 4529]) assert.equal(afterClose(code), 'back', code);
  for (const code of [4400, 4403, 4404, 4409, 4410, 4413, 4422]) assert.equal(afterClose(code), 'stop', code);
  assert.equal(afterClose(4401), 'authenticate');
});

test('44xx stops; another start tries anew', async () => {
  const r = await rig();
  await r.sockets[0].ends(4403);
  assert.deepEqual(r.connection.state, { name: 'stopped', code: 4403 });
  await r.clock.pass(120_000);
  assert.equal(r.sockets.length, 1);
});

test('4401 asks for another token at once; a second one in a row waits; no login ends it', async () => {
  const tokens = ['old', 'new', 'newer', null];
  const r = await rig({ token: async () => tokens.shift() });
  await r.sockets[0].ends(4401);
  assert.deepEqual([r.sockets.length, r.wishes[1]], [2, { not: 'old' }]);
  await r.sockets[1].ends(4401);
  assert.equal(r.connection.state.name, 'waiting');
  await r.clock.pass(1_000);
  assert.deepEqual(r.wishes[2], { not: 'new' });
  await r.sockets[2].ends(4401);
  await r.clock.pass(5_000);
  assert.deepEqual([r.outs, r.connection.state.name], [1, 'idle']);
});

test('an announced restart is waited for as long as it says', async () => {
  const r = await rig();
  await r.live();
  r.sockets[0].says({ push: 'reconnect', after_ms: 7000, reason: 'draining' });
  await r.sockets[0].ends(1012);
  assert.equal(r.connection.state.at - r.clock.now(), 7000);
  r.connection.nudge();
  assert.equal(r.sockets.length, 1);
  await r.clock.pass(7000);
  assert.equal(r.sockets.length, 2);
});

test('the token is renewed on the open connection before it ends', async () => {
  const r = await rig({ token: async (wish) => (wish.margin ? 'fresh' : 'tok') });
  await r.live();
  await r.clock.pass(34_000);
  assert.equal(r.sockets[0].sent.some((f) => f.op === 'token'), false);
  // The quiet connection is asked for signs of life meanwhile.
  for (let t = 0; t < 1_740_000; t += 5_000) {
    await r.clock.pass(5_000);
    const { n, op } = r.sockets[0].sent.at(-1);
    if (op !== 'resume') r.sockets[0].says({ re: n, ok: {} });
    await settled();
  }
  const renewal = r.sockets[0].sent.find((f) => f.op === 'token');
  assert.equal(renewal.token, 'fresh');
  assert.equal(r.sockets.length, 1);
});

test('a connection that has died in silence is noticed and replaced', async () => {
  const r = await rig();
  await r.live();
  await r.clock.pass(36_000);
  assert.equal(r.sockets[0].sent.at(-1).op, 'ping');
  await r.clock.pass(9_000);
  assert.equal(r.sockets[0].closed, true);
  assert.equal(r.sockets.length, 2);
});

test('nothing of an old connection reaches the state once there is another one', async () => {
  const r = await rig();
  await r.live();
  const old = r.sockets[0].onmessage;
  r.connection.restart();
  old({ data: JSON.stringify({ push: 'entry', room: 1, entry: {} }) });
  assert.deepEqual(r.pushes, []);
});

test('pauses grow to 30 s, and half of each is chance', () => {
  assert.deepEqual([backoff(0, () => 0), backoff(0, () => 1), backoff(50, () => 0), backoff(50, () => 1)], [250, 500, 15_000, 30_000]);
});
