// Invites, names, archives, and the lines that tell of them, in two windows and across a restart of the server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { patient, Server, until } from './support/server.mjs';

let server;
let browser;
let anna;
let bela;
let room;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  bela = await Window.open(browser, server.next(), { colorScheme: 'dark' });
  await anna.register('anna', 'Anna Weiß');
  await bela.register('bela', 'Béla Bartók');
  await anna.createGroup('Garden');
  await anna.send('Nobody here yet');
  await until(() => anna.texts().then((t) => t.length === 1), 'the message');
  room = Number(anna.page.url().split('/').at(-1));
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const token = async (username) => (await server.call('/v1/auth/login', { body: { username, password: 'correct horse battery' } })).access_token;
const invites = () => anna.page.getByRole('list', { name: 'Open invites' });

/** Makes a link, for so many uses. */
async function makeLink(uses) {
  const dialog = await anna.details();
  const form = dialog.locator('details', { has: anna.page.locator('summary', { hasText: 'Invite with a link' }) });
  if (!(await form.getAttribute('open').then((open) => open !== null))) await form.locator('summary').click();
  await form.getByLabel('How often it can be used (optional)').fill(uses);
  const before = (await form.getByLabel('Invite link').count()) ? await form.getByLabel('Invite link').inputValue() : '';
  await form.getByRole('button', { name: 'Create link' }).click();
  return until(async () => {
    if (!(await form.getByLabel('Invite link').count())) return null;
    const link = await form.getByLabel('Invite link').inputValue();
    return link !== before && link;
  }, 'the link');
}

/** Follows a link of anna's in the other window up to the answer. People have one address for all nodes; here each has its own. */
async function follow(link) {
  await bela.page.goto(`${bela.url}/#/`);
  await bela.page.goto(link.replace(anna.url, bela.url));
  await bela.page.getByRole('dialog', { name: 'Join with an invite' }).getByRole('button', { name: 'Join' }).click();
}

async function refused(link, text) {
  await follow(link);
  await bela.page.getByRole('dialog').locator('.field-note', { hasText: text }).waitFor();
  assert.equal(await bela.page.getByLabel('Invite code or link').getAttribute('aria-invalid'), 'true');
  await bela.closeDialog();
}

let first;

test('a link leads into the room, and is used up', async () => {
  first = await makeLink('1');
  assert.ok(first.startsWith(`${anna.url}/#/join/`), first);
  await anna.details('Open invites');
  await invites().locator('li', { hasText: 'Anna Weiß' }).filter({ hasText: '1 use left' }).waitFor();
  await follow(first);
  await bela.page.getByRole('main', { name: 'Garden' }).waitFor();
  await bela.see('Nobody here yet');
  await bela.note('You joined with an invite');
  await anna.page.getByText('There are no open invites.').waitFor();
  await anna.member('Béla', 'Online');
  await anna.note('Béla Bartók joined with an invite');
});

test('who is a member already is told so', async () => {
  const link = await makeLink('');
  await refused(link, 'You are already a member of this room.');
  await invites().locator('li', { hasText: 'any number of uses' }).waitFor();
  await invites().getByRole('button', { name: /^Withdraw the invite by Anna Weiß/ }).click();
  await anna.page.getByText('There are no open invites.').waitFor();
  await bela.openRoom('Garden');
  await (await bela.details()).getByRole('button', { name: 'Leave' }).click();
  await bela.page.locator('dialog:not(.side)').getByRole('button', { name: 'Leave' }).click();
  await bela.toast('You left “Garden”.');
  await refused(link, 'This invite has expired, was withdrawn, or was used up. Ask for another one.');
});

test('an invite that is used up, withdrawn, expired or none at all says so', async () => {
  const gone = 'This invite has expired, was withdrawn, or was used up. Ask for another one.';
  await refused(first, gone);
  const withdrawn = await makeLink('');
  await (await anna.details()).locator('.invite').getByRole('button', { name: 'Withdraw' }).click();
  await anna.toast('The invite was withdrawn.');
  await refused(withdrawn, gone);
  const owner = await token('anna');
  const body = { expires_at: Date.now() + 1_500 };
  const { code } = await server.call(`/v1/rooms/${room}/invites`, { token: owner, body });
  await until(() => Date.now() > body.expires_at, 'its end');
  await refused(`${anna.url}/#/join/${code}`, gone);
  await refused(`${anna.url}/#/join/nothing-like-it`, gone);
  await anna.closeDialog();
});

test('who is banned can’t follow a link', async () => {
  const owner = await token('anna');
  const { user } = await server.call('/v1/auth/login', { body: { username: 'bela', password: 'correct horse battery' } });
  const link = await makeLink('');
  await server.call(`/v1/rooms/${room}/bans/${user.id}`, { method: 'PUT', token: owner, body: {} });
  await refused(link, 'You are banned from this room.');
  await server.call(`/v1/rooms/${room}/bans/${user.id}`, { method: 'DELETE', token: owner });
  await follow(link);
  await bela.page.getByRole('main', { name: 'Garden' }).waitFor();
  await anna.closeDialog();
});

test('a new name shows everywhere at once, and is not taken back by somebody who changes something else', async () => {
  const admin = await token('anna');
  const { user } = await server.call('/v1/auth/login', { body: { username: 'bela', password: 'correct horse battery' } });
  await server.call(`/v1/rooms/${room}/members/${user.id}/role`, { method: 'PUT', token: admin, body: { role: 'admin' } });
  const settings = await anna.details('Settings');
  await bela.details('Settings');
  await bela.page.getByLabel('Name', { exact: true }).fill('Vegetable garden');
  await bela.page.getByRole('button', { name: 'Save' }).click();
  for (const w of [anna, bela]) {
    await w.page.getByRole('main', { name: 'Vegetable garden', includeHidden: true }).waitFor({ state: 'attached' });
    await w.page.locator('.room-name', { hasText: 'Vegetable garden' }).waitFor();
    await w.page.getByRole('dialog', { name: 'Vegetable garden' }).waitFor();
  }
  await bela.closeDialog();
  await bela.note('You named the room “Vegetable garden”');
  await anna.note('Béla Bartók named the room “Vegetable garden”');
  assert.equal(await settings.getByLabel('Name', { exact: true }).inputValue(), 'Vegetable garden');
  await settings.getByLabel('New members can read').selectOption('since_joined');
  await settings.getByRole('button', { name: 'Save' }).click();
  await bela.note('Anna Weiß let new members read what was sent since they joined');
  await anna.closeDialog();
  assert.equal(await bela.page.title(), 'Vegetable garden · parlance');
});

test('an archived room is closed for all at once, and opened again', async () => {
  await bela.page.getByRole('textbox', { name: 'Message' }).fill('half a thought');
  await bela.details();
  await (await anna.details()).getByRole('button', { name: 'Archive' }).click();
  await anna.page.getByRole('dialog', { name: 'Archive the room?' }).getByRole('button', { name: 'Archive' }).click();
  for (const w of [anna, bela]) {
    await w.page.getByText('This room is archived.').waitFor();
    await w.page.getByRole('textbox', { name: 'Message' }).waitFor({ state: 'hidden' });
    await w.page.locator('.room-line', { hasText: 'archived' }).waitFor();
  }
  // Only the way out is left to an admin whose details were open.
  await bela.page.locator('dialog summary').first().waitFor({ state: 'detached' });
  assert.deepEqual(await (await bela.details()).locator('.form-actions button').allTextContents(), ['Leave']);
  await bela.closeDialog();
  await bela.message('Nobody here yet').hover();
  assert.equal(await bela.message('Nobody here yet').getByRole('button', { name: 'Reply' }).count(), 0);
  await bela.note('Anna Weiß archived the room');
  await (await anna.details()).getByRole('button', { name: 'Unarchive' }).click();
  await bela.note('Anna Weiß unarchived the room');
  const field = bela.page.getByRole('textbox', { name: 'Message' });
  await field.waitFor();
  assert.equal(await field.inputValue(), 'half a thought');
  await bela.send('A whole thought');
  await anna.see('A whole thought');
});

test('nothing went wrong up to here', () => {
  anna.clean();
  bela.clean();
});

test('what happened while one was away stands in its place after a resume, and after a reload', async () => {
  await bela.context.setOffline(true);
  await bela.page.evaluate(() => dispatchEvent(new Event('offline')));
  const owner = await token('anna');
  await server.kill('SIGKILL');
  // A browser that is offline may not tell of the end: then silence does, after 8 s, and an attempt that leads nowhere takes 15 s more.
  await bela.page.locator('.banner', { hasText: /offline|Not connected/ }).waitFor({ timeout: patient(30_000) });
  await server.run();
  await server.call(`/v1/rooms/${room}`, { method: 'PATCH', token: owner, body: { name: 'Orchard' } });
  await server.call(`/v1/rooms/${room}/messages`, { token: owner, body: { content: { text: 'between two names' } } });
  await server.call(`/v1/rooms/${room}`, { method: 'PATCH', token: owner, body: { name: 'Apple orchard' } });
  await bela.context.setOffline(false);
  await bela.page.evaluate(() => dispatchEvent(new Event('online')));
  const rows = () => bela.page.locator('.note, .message').evaluateAll((all) => all.slice(-3).map((n) => (n.querySelector('.words') ?? n).textContent));
  const right = async () => {
    const [before, between, last] = await rows();
    return /named the room “Orchard”/.test(before) && between === 'between two names' && /named the room “Apple orchard”/.test(last);
  };
  await until(right, 'the three in their order', 30_000);
  await bela.page.reload();
  await until(right, 'the three in their order, after a reload');
  anna.clean({ down: true });
});

test('lines come with the messages between which they stand, however far back', async () => {
  const owner = await token('anna');
  for (let i = 1; i <= 65; i += 1) {
    await server.call(`/v1/rooms/${room}/messages`, { token: owner, body: { content: { text: `line ${i}` } } });
    if (i % 20 === 0) await server.call(`/v1/rooms/${room}`, { method: 'PATCH', token: owner, body: { name: `Orchard ${i}` } });
  }
  // Where something is unread, a room opens there, and not at its end; the mark may take a moment to get to all nodes.
  await anna.see('line 65');
  await until(async () => (await server.call(`/v1/rooms/${room}`, { method: 'GET', token: owner })).unread === 0, 'all to be read');
  await anna.page.reload();
  await anna.see('line 65');
  const orchards = async () => (await anna.notes()).filter((text) => /“Orchard \d/.test(text)).map((text) => Number(text.match(/\d+/)[0]));
  // The window that is loaded first ends before the first of them: its page holds fifty messages.
  await until(async () => (await orchards()).join() === '20,40,60', 'the names among the messages');
  const all = await anna.page.locator('.note, .message').evaluateAll((rows) => rows.map((n) => n.textContent));
  const at = (text) => all.findIndex((row) => row.includes(text));
  assert.ok(at('line 40') < at('“Orchard 40”') && at('“Orchard 40”') < at('line 41'));
  await until(async () => {
    await anna.page.locator('.timeline').evaluate((node) => { node.scrollTop = 0; });
    return (await anna.notes())[0] === 'You created the room';
  }, 'the first line of all');
  assert.deepEqual(await orchards(), [20, 40, 60]);
  // New members read what was sent since they joined, and that is the first line that they see.
  await until(async () => {
    await bela.page.locator('.timeline').evaluate((node) => { node.scrollTop = 0; });
    return (await bela.notes())[0] === 'You joined with an invite';
  }, 'the joining');
});
