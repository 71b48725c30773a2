// Owner, admin and member in three windows: what each may do with the others, and what the affected one sees at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

const ROOM = 'Workshop';
let server;
let browser;
let anna;
let bela;
let cleo;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  bela = await Window.open(browser, server.next(), { colorScheme: 'dark' });
  cleo = await Window.open(browser, server.next());
  await anna.register('anna', 'Anna Weiß');
  await bela.register('bela', 'Béla Bartók');
  await cleo.register('cleo', 'Cleo Ma');
  await anna.createGroup(ROOM, ['bela', 'cleo']);
  for (const w of [bela, cleo]) await w.openRoom(ROOM);
  await anna.send('Welcome');
  for (const w of [bela, cleo]) await w.see('Welcome');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const field = (w) => w.page.getByRole('textbox', { name: 'Message' });
const focused = (w) => w.page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);

test('a plain member is offered nothing but to write to others', async () => {
  assert.deepEqual(await cleo.offers('Béla'), ['Write a direct message']);
  assert.deepEqual(await cleo.offers('Cleo'), []);
  assert.equal(await (await cleo.details()).locator('summary').count(), 0);
  await cleo.closeDialog();
});

test('who is made an admin may do more at once, with the details open', async () => {
  await bela.details();
  await anna.moderate('Béla', 'Make an admin');
  const dialog = await bela.details();
  await dialog.locator('summary', { hasText: 'Add people' }).waitFor();
  assert.deepEqual(await dialog.locator('summary').allTextContents(), ['Add people', 'Invite with a link', 'Open invites', 'Banned people', 'Settings']);
  await bela.member('Béla', 'admin');
  assert.deepEqual(await bela.offers('Cleo'), ['Write a direct message', 'Mute for an hour', 'Mute', 'Remove', 'Ban']);
  assert.deepEqual(await bela.offers('Anna'), ['Write a direct message']);
  // New members' history is the owner's to choose.
  await bela.details('Settings');
  assert.deepEqual(await dialog.locator('details[open] label').allTextContents(), ['Name']);
  await bela.closeDialog();
  await bela.note('Anna Weiß made you an admin');
  await anna.closeDialog();
  await anna.note('You made Béla Bartók an admin');
});

test('who is muted can’t write from then on, and again once they are let', async () => {
  await field(cleo).fill('a draft');
  await bela.moderate('Cleo', 'Mute');
  await cleo.page.getByText('You are muted in this room.').waitFor();
  await field(cleo).waitFor({ state: 'hidden' });
  assert.equal(await focused(cleo), 'You are muted in this room.');
  await cleo.note('Béla Bartók muted you');
  await bela.member('Cleo', 'muted');
  await bela.moderate('Cleo', 'Unmute');
  await field(cleo).waitFor();
  assert.equal(await field(cleo).inputValue(), 'a draft');
  await until(() => focused(cleo).then((name) => name === 'Message'), 'the focus back in the text');
  await bela.closeDialog();
  await cleo.send('I can speak');
  await bela.see('I can speak');
});

test('a mute for an hour ends by itself', async () => {
  const { access_token: token, user } = await login('bela');
  const room = Number(bela.page.url().split('/').at(-1));
  const members = (await server.call(`/v1/rooms/${room}/members`, { method: 'GET', token })).members;
  const { user: id } = members.find((m) => m.role === 'member');
  assert.notEqual(id, user.id);
  await server.call(`/v1/rooms/${room}/members/${id}/mute`, { method: 'PUT', token, body: { until: Date.now() + 6_000 } });
  await cleo.page.getByText('You are muted in this room until').waitFor();
  // Nobody else does anything until then.
  await field(cleo).waitFor();
  await cleo.send('I can speak again');
  await bela.see('I can speak again');
});

test('who is removed loses the room at once, and is told by whom', async () => {
  await cleo.details();
  await bela.moderate('Cleo', 'Remove', 'Remove');
  await cleo.toast(`Béla Bartók removed you from “${ROOM}”.`);
  assert.equal(new URL(cleo.page.url()).hash, '#/');
  assert.equal(await cleo.page.locator('dialog[open]').count(), 0);
  assert.equal(await cleo.page.getByRole('link', { name: ROOM }).count(), 0);
  await bela.closeDialog();
  for (const [w, text] of [[anna, 'Béla Bartók removed Cleo Ma'], [bela, 'You removed Cleo Ma']]) await w.note(text);
  await anna.page.locator('.room-line', { hasText: '2 members' }).waitFor();
  // An address that was kept shows nothing of the room.
  await cleo.page.goto(bela.page.url().replace(bela.url, cleo.url));
  await cleo.page.reload();
  await cleo.page.getByRole('navigation', { name: 'Chats' }).getByText('No chats yet').waitFor();
  assert.equal(await cleo.page.locator('.message').count(), 0);
  await cleo.page.goto(`${cleo.url}/#/`);
});

test('who is banned is in the list of the banned until they are let in again', async () => {
  await add(anna, 'cleo');
  await cleo.openRoom(ROOM);
  await cleo.see('Welcome');
  await cleo.page.goto(`${cleo.url}/#/`);
  await bela.details('Banned people');
  await bela.page.getByText('Nobody is banned.').waitFor();
  await anna.moderate('Cleo', 'Ban', 'Ban');
  await cleo.toast(`Anna Weiß banned you from “${ROOM}”.`);
  const list = bela.page.getByRole('list', { name: 'Banned people' });
  await list.locator('li', { hasText: 'Cleo Ma' }).filter({ hasText: 'Until the ban is lifted' }).waitFor();
  await anna.closeDialog();
  const refused = await anna.details('Add people');
  await anna.page.getByLabel('Find people').fill('cleo');
  await refused.getByRole('list', { name: 'People found' }).getByRole('button').first().click();
  await refused.getByRole('button', { name: 'Add', exact: true }).click();
  await refused.getByRole('alert').filter({ hasText: 'banned from this room' }).first().waitFor();
  await anna.closeDialog();
  await list.getByRole('button', { name: 'Lift the ban on Cleo Ma' }).focus();
  await bela.page.keyboard.press('Enter');
  await bela.toast('The ban on Cleo Ma was lifted.');
  await bela.page.getByText('Nobody is banned.').waitFor();
  await until(() => focused(bela).then((name) => name === 'Banned people'), 'the focus on the list’s head');
  await bela.closeDialog();
  await anna.note('Béla Bartók lifted the ban on Cleo Ma');
  await add(anna, 'cleo');
  await cleo.openRoom(ROOM);
  await cleo.see('Welcome');
});

test('a ban is undone on the spot', async () => {
  await anna.moderate('Cleo', 'Ban', 'Ban');
  await cleo.toast('banned you from');
  await anna.page.locator('dialog.side').getByRole('button', { name: 'Undo' }).click();
  await anna.toast('The ban on Cleo Ma was lifted.');
  await anna.closeDialog();
  await add(anna, 'cleo');
  await cleo.openRoom(ROOM);
});

test('the room is handed over, and the one who had it is an admin', async () => {
  await anna.moderate('Béla', 'Transfer ownership', 'Transfer');
  await bela.note('Anna Weiß transferred ownership of the room to you');
  await anna.member('Anna', 'admin');
  await anna.member('Béla', 'owner');
  assert.deepEqual(await anna.offers('Béla'), ['Write a direct message']);
  assert.equal(await (await anna.details()).getByRole('button', { name: 'Archive' }).count(), 0);
  await (await bela.details()).getByRole('button', { name: 'Archive' }).waitFor();
});

test('who is no admin any more loses what admins may do at once', async () => {
  await anna.details('Add people');
  await anna.page.getByLabel('Find people').focus();
  await bela.moderate('Anna', 'Make a regular member');
  await anna.page.locator('dialog summary').first().waitFor({ state: 'detached' });
  assert.equal(await focused(anna), 'Close', 'the focus is where it can be seen');
  assert.deepEqual(await anna.offers('Cleo'), ['Write a direct message']);
  await anna.closeDialog();
  await bela.closeDialog();
  await anna.note('Béla Bartók made you a regular member');
});

test('an owner who leaves leaves it to somebody', async () => {
  await (await bela.details()).getByRole('button', { name: 'Leave' }).click();
  await bela.page.locator('dialog:not(.side)').getByRole('button', { name: 'Leave' }).click();
  await bela.toast(`You left “${ROOM}”.`);
  await anna.note('Béla Bartók left. You own the room now');
  await (await anna.details()).getByRole('button', { name: 'Archive' }).waitFor();
  await anna.closeDialog();
  await cleo.note('Béla Bartók left. Anna Weiß owns the room now');
});

test('all of it is there, in order, when the page is loaded anew', async () => {
  const live = await anna.notes();
  assert.deepEqual(live.slice(0, 3), ['You created the room with Béla Bartók and Cleo Ma', 'You made Béla Bartók an admin', 'Béla Bartók muted Cleo Ma']);
  await anna.page.reload();
  // The names of those who left come a moment later.
  await until(async () => (await anna.notes()).length === live.length && !(await anna.notes()).some((note) => note.includes('User ')), 'all notes');
  assert.deepEqual(await anna.notes(), live);
  for (const w of [anna, bela, cleo]) w.clean();
});

const login = (username) => server.call('/v1/auth/login', { body: { username, password: 'correct horse battery' } });

async function add(w, username) {
  const dialog = await w.details('Add people');
  await w.page.getByLabel('Find people').fill(username);
  await dialog.getByRole('list', { name: 'People found' }).getByRole('button').first().click();
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await w.toast('Added.');
  await w.closeDialog();
}
