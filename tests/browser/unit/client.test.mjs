// What the page asks for, and when: members that could not be loaded, and whom a message mentions.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Disconnected, FaultError } from '../../../web/js/codes.js';
import { newRoom, withMembers } from '../../../web/js/fold.js';

// What the browser's parts of the model look for when they are made; none is used here.
const page = { document: { visibilityState: 'visible' }, window: new EventTarget(), navigator: {}, removeEventListener: () => {} };
for (const [name, value] of Object.entries(page)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
const { Client } = await import('../../../web/js/client.js');
const { storage } = await import('../../../web/js/storage.js');

const ROOM = 5;
const USERS = [[1, 'anna'], [2, 'ben'], [3, 'cleo']].map(([id, username]) => ({ id, username, full_name: '' }));
const member = (user) => ({ user, role: 'member', read: 0, status: 'online' });
const settled = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise((done) => setImmediate(done));
};

/** A client in one room, on a connection that answers from `answers`: an error, or a function of the request's fields. */
function rig({ members = null } = {}) {
  const client = new Client({ session: { login: { user: { ...USERS[0], created_at: 1 } } }, api: {} });
  const asked = [];
  const answers = {
    members: () => ({ members: [1, 2, 3].map(member) }),
    users: ({ ids }) => ({ users: USERS.filter((u) => ids.includes(u.id)) }),
    send: () => ({ seq: 9 }),
  };
  client.persistence = { saveCommand: () => {}, removeCommands: () => {} };
  client.connection = {
    live: true, state: { name: 'live' },
    request: async (op, fields) => {
      asked.push({ op, ...fields });
      const answer = answers[op];
      if (answer instanceof Error) throw answer;
      return answer(fields);
    },
  };
  client.set({ ...client.state, rooms: { [ROOM]: newRoom(ROOM) } });
  if (members) client.change(ROOM, (room) => withMembers(room, members.map(member)));
  const sent = () => asked.filter((a) => a.op === 'send').map((a) => a.mentions);
  return { client, asked, answers, sent, of: (op) => asked.filter((a) => a.op === op).length };
}

test('a mention that is written before the members are known is none the less one', async () => {
  const { client, sent } = rig();
  client.send(ROOM, { text: 'hello @ben' });
  await settled();
  assert.deepEqual(sent(), [[2]]);
});

test('a mention whose member is known by number alone is none the less one', async () => {
  const { client, sent } = rig({ members: [1, 2] });
  client.send(ROOM, { text: 'hello @ben' });
  await settled();
  assert.deepEqual(sent(), [[2]]);
});

test('a message without a mention asks for nothing', async () => {
  const { client, asked } = rig();
  client.send(ROOM, { text: 'hello' });
  await settled();
  assert.deepEqual(asked.map((a) => a.op), ['send']);
});

test('members that can’t be loaded keep no message back; a lost connection does', async () => {
  const refused = rig();
  refused.answers.members = new FaultError({ code: 'internal', detail: '', retry: 'never' });
  refused.client.send(ROOM, { text: 'hello @ben' });
  await settled();
  assert.deepEqual(refused.sent(), [[]]);
  const lost = rig();
  lost.answers.members = new Disconnected();
  lost.client.send(ROOM, { text: 'hello @ben' });
  lost.client.connection.live = false;
  await settled();
  assert.deepEqual([lost.sent(), lost.client.outbox.items[0].state], [[], 'waiting']);
});

test('of people who have left meanwhile the mentions are dropped', async () => {
  const { client, answers, sent } = rig();
  client.set({ ...client.state, users: Object.fromEntries(USERS.map((u) => [u.id, u])) });
  client.change(ROOM, (room) => withMembers(room, [1, 2, 3].map(member)));
  answers.members = () => ({ members: [1, 3].map(member) });
  answers.send = ({ mentions }) => {
    if (mentions.includes(2)) throw new FaultError({ code: 'invalid', detail: 'every mentioned user must be a member of the room', retry: 'never' });
    return { seq: 9 };
  };
  client.send(ROOM, { text: '@ben @cleo' });
  await settled();
  assert.deepEqual(sent(), [[2, 3], [3]]);
});

test('members that could not be loaded are asked for again when they are needed, and by themselves where the server says so', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { client, answers, of } = rig();
  const { members } = answers;
  answers.members = new FaultError({ code: 'internal', detail: '', retry: 'never' });
  await client.loadMembers(ROOM);
  assert.equal(of('members'), 1);
  answers.members = new FaultError({ code: 'busy', detail: '', retry: 'later', retry_after_ms: 700 });
  await client.roster.needMembers(ROOM);
  assert.equal(of('members'), 2);
  answers.members = members;
  t.mock.timers.tick(700);
  await settled();
  assert.deepEqual([of('members'), client.state.rooms[ROOM].members.length, client.loadErrors.size], [3, 3, 0]);
  await client.roster.needMembers(ROOM);
  assert.equal(of('members'), 3);
});

test('all users that are wanted at once are asked for, however many they are', async () => {
  const { client, asked } = rig();
  client.loadUsers(Array.from({ length: 450 }, (_, i) => i + 10));
  await settled();
  assert.deepEqual(asked.map((a) => a.ids.length), [200, 200, 50]);
});

test('a group is not made, and no invite used, without a connection: that is said at once', async () => {
  const { client, asked } = rig();
  Object.assign(client.connection, { live: false, state: { name: 'waiting' } });
  await assert.rejects(client.create('Group', [], 'all'), /not connected/);
  await assert.rejects(client.join('code'), /not connected/);
  assert.deepEqual([asked, client.outbox.items], [[], []]);
});

test('what needs a connection waits for the one that is being made, and no longer', async () => {
  for (const [next, outcome] of [['live', /^7$/], ['waiting', /not connected/], ['stopped', /not connected/]]) {
    const { client, answers } = rig();
    answers.create = () => ({ id: 7 });
    const become = (name) => {
      Object.assign(client.connection, { live: name === 'live', state: { name } });
      client.dispatchEvent(new CustomEvent('connection', { detail: client.connection.state }));
    };
    become('connecting');
    const made = client.create('Group', [], 'all').catch((error) => error.message);
    become('resuming');
    become(next);
    assert.match(String(await made), outcome);
  }
});

test('a group that is being made is not made twice', async () => {
  const { client, asked, answers } = rig();
  let answer;
  answers.create = () => new Promise((resolve) => { answer = resolve; });
  const first = client.create('Group', [2], 'all');
  const second = client.create('Group', [2], 'all');
  const other = client.create('Other', [2], 'all');
  await settled();
  answer({ id: 7 });
  assert.equal(await first, 7);
  assert.equal(await second, 7);
  await settled();
  answer({ id: 8 });
  assert.equal(await other, 8);
  assert.deepEqual(asked.map((a) => a.name), ['Group', 'Other']);
  client.create('Group', [2], 'all');
  await settled();
  assert.equal(asked.length, 3);
});

test('a status that can’t be kept is chosen all the same', (t) => {
  const { client } = rig();
  client.connection.request = async () => ({});
  t.mock.method(storage, 'setItem', () => { throw new Error('full'); });
  client.setStatus('away');
  assert.equal(client.status, 'away');
});

test('a direct chat waits for the connection that is being made, and is not asked for without one', async () => {
  const { client, asked, answers } = rig();
  answers.direct = () => ({ id: 8 });
  Object.assign(client.connection, { live: false, state: { name: 'waiting' } });
  await assert.rejects(client.direct(2), /not connected/);
  client.connection.state = { name: 'connecting' };
  const opened = client.direct(2);
  await settled();
  assert.deepEqual(asked, []);
  Object.assign(client.connection, { live: true, state: { name: 'live' } });
  client.dispatchEvent(new CustomEvent('connection', { detail: client.connection.state }));
  assert.equal(await opened, 8);
});

test('whom a message mentions is asked for, members or not', async () => {
  const { client, asked } = rig();
  client.loadUsersOf([{ fact: 'posted', by: 1, mentions: [7] }, { fact: 'edited', by: 8 }]);
  await settled();
  assert.deepEqual(asked.map((a) => a.ids), [[7, 8]]);
});

test('what the browser threw away is kept again; a draft for which there is no room is not tried with every command', () => {
  const client = new Client({ session: { login: { user: { ...USERS[0], created_at: 1 } } }, api: {} });
  const saved = [];
  client.outbox.saveAll = () => saved.push('commands');
  client.drafts.saveAll = () => saved.push('drafts');
  client.persistence.dispatchEvent(new Event('change'));
  assert.deepEqual(saved.splice(0), ['commands']);
  client.persistence.dispatchEvent(new Event('lost'));
  assert.deepEqual(saved, ['commands', 'drafts']);
});

test('who logs out leaves nothing that could be kept again', async () => {
  const client = new Client({ session: { login: { user: { ...USERS[0], created_at: 1 } }, signOut: async () => client.stop() }, api: {} });
  const saved = [];
  const { persistence, drafts, outbox } = client;
  drafts.write(ROOM, { text: 'words', reply: null, edit: null });
  outbox.saveAll = () => saved.push('commands');
  persistence.saveDraft = (_, __, room, { text }) => saved.push(text);
  persistence.clear = async () => {
    saved.length = 0;
    drafts.write(ROOM, { text: 'more words', reply: null, edit: null });
  };
  await client.signOut();
  for (const name of ['change', 'lost']) persistence.dispatchEvent(new Event(name));
  assert.deepEqual(saved, []);
});
