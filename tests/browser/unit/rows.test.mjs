// Rows and dialogs offer what can be done just now, and say what is missing.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fakePage } from '../support/page.mjs';

const page = fakePage();
const { fillPending } = await import('../../../web/js/message.js');
const { loading } = await import('../../../web/js/loading.js');
const { form } = await import('../../../web/js/dialog.js');
const { field } = await import('../../../web/js/dom.js');
const { explain } = await import('../../../web/js/codes.js');
const { Tools } = await import('../../../web/js/details.js');

const buttons = (node) => node.all((n) => n.tag === 'button').map((n) => n.textContent);

test('a message that was not sent can be tried again only by who may write', () => {
  const state = { me: 1, users: {} };
  const item = { client_id: 'c', state: 'failed', reason: 'No.', fields: { content: { text: 'hello' }, mentions: [] } };
  for (const [restricted, offered] of [[null, ['Try again', 'Discard']], ['muted', ['Discard']], ['archived', ['Discard']], ['readonly', ['Discard']]]) {
    const node = page.createElement('li');
    fillPending(node, state, item, { first: true, restricted }, {});
    assert.deepEqual(buttons(node), offered, String(restricted));
  }
});

test('what waits for the connection says so, and can’t be tried again by hand', () => {
  const state = loading('The members', () => {});
  const says = () => [state.node.hidden, state.node.children[0].textContent, state.node.children[1].hidden];
  state.show('Waiting for the connection…');
  assert.deepEqual(says(), [false, 'Waiting for the connection…', true]);
  state.show(true);
  assert.deepEqual(says(), [false, 'Loading…', true]);
  state.show(new Error('No'));
  assert.deepEqual(says(), [false, 'The members could not be loaded. No', false]);
  state.show(null);
  assert.equal(says()[0], true);
});

test('a form that waits for its answer says so after a while, and is sent once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let sent = 0;
  let answer;
  const node = form({ label: 'Create', children: [], submit: () => {
    sent += 1;
    return new Promise((resolve) => { answer = resolve; });
  } });
  const done = node.dispatch('submit');
  node.dispatch('submit');
  const note = node.byClass('form-wait')[0];
  assert.deepEqual([sent, note.textContent], [1, '']);
  t.mock.timers.tick(3_000);
  assert.equal(note.textContent, 'Waiting for the server…');
  answer();
  await Promise.all(done);
  assert.deepEqual([note.textContent, node.button('Create').getAttribute('aria-disabled')], ['', null]);
});

test('a field takes the direction of what is written in it, unless it is no text', () => {
  const dir = (props) => field('Name', props).input.getAttribute('dir');
  assert.deepEqual([{}, { type: 'search' }, { type: 'password' }, { type: 'number' }, { type: 'email' }, { tag: 'select' }, { readonly: true }].map(dir), ['auto', 'auto', null, null, null, null, null]);
});

test('storage that is full is told in words', () => {
  assert.match(explain(Object.assign(new Error('x'), { name: 'QuotaExceededError' })), /^This browser has no room left/);
});

test('tools of a room go when the account may only read from now on', () => {
  const client = { me: 1, session: { login: { user: { role: 'user' } } }, state: { users: {} } };
  const tools = new Tools(client, page.createElement('dialog'), () => {});
  const room = { id: 5, members: [], view: { kind: 'group', role: 'owner', archived: false, name: 'Room', history: 'all' } };
  tools.render(room);
  assert.ok(tools.node.button('Archive'));
  client.session.login = { user: { role: 'readonly' } };
  tools.render(room);
  assert.equal(tools.node.button('Archive'), undefined);
});
