// Who may not write is offered nothing that writes, and is offered it again once they may; and whom a message mentions.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { FAKE, patient, Server, until } from './support/server.mjs';

const ROOM = 'Workshop';
let server;
let browser;
let owner;
let member;
let room;

before(async () => {
  server = await Server.start(FAKE);
  browser = await launch();
  owner = await Window.open(browser, server.url);
  member = await Window.open(browser, server.url, { colorScheme: 'dark' });
  await owner.register('olga', 'Olga');
  await member.register('ben', 'Ben García');
  const others = [['cleo', 'Cleo'], ['garcía', 'José'], ['ben.li', 'Benny Li']];
  for (const [username, full_name] of others) await server.call('/v1/auth/register', { body: { username, full_name, password: 'correct horse battery' } });
  await owner.createGroup(ROOM, ['ben', 'cleo', 'garcía', 'ben.li']);
  room = Number(owner.page.url().split('/').at(-1));
  await member.openRoom(ROOM);
  await owner.send('a message of the owner');
  await member.see('a message of the owner');
  await member.send('a message of the member');
  await owner.see('a message of the member');
  for (const emoji of ['heart', 'party']) await react(owner, emoji);
  await react(member, 'heart');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function react(w, name) {
  await w.message('a message of the owner').hover();
  await w.message('a message of the owner').getByRole('button', { name: 'React' }).click();
  await w.page.getByRole('menuitem', { name: new RegExp(name) }).click();
  await w.message('a message of the owner').getByRole('button', { name: new RegExp(`${name === 'heart' ? '❤️' : '🎉'}.*you`) }).waitFor();
}

/** What a message offers: its buttons, and its menu. */
async function offered(w, text) {
  const row = w.message(text).first();
  await row.hover();
  const buttons = await row.locator('.tools button').evaluateAll((all) => all.map((b) => b.getAttribute('aria-label')));
  await row.getByRole('button', { name: 'More' }).click();
  const items = await w.page.getByRole('menuitem').allTextContents();
  await w.page.keyboard.press('Escape');
  await w.page.locator('.menu').waitFor({ state: 'detached' });
  return [...buttons, ...items];
}
const WRITES = ['React', 'Reply', 'Edit'];
const may = async (w) => (await offered(w, 'a message of the member')).filter((item) => WRITES.includes(item));
const field = (w) => w.page.getByRole('textbox', { name: 'Message' });
const height = (w) => field(w).evaluate((node) => node.getBoundingClientRect().height);
const chips = (w) => w.page.locator('.reaction').evaluateAll((all) => all.map((chip) => [chip.textContent, chip.getAttribute('aria-disabled')]));
const BEN = 2;

test('who may write is offered all of it', async () => {
  assert.deepEqual(await may(member), WRITES);
});

const BARS = [
  ['muted', () => owner.moderate('Ben García', 'Mute'), () => owner.moderate('Ben García', 'Unmute'), 'You are muted in this room.'],
  ['in an archive', async () => {
    await (await owner.details()).getByRole('button', { name: 'Archive' }).click();
    await owner.page.getByRole('dialog', { name: 'Archive the room?' }).getByRole('button', { name: 'Archive' }).click();
  }, async () => (await owner.details()).getByRole('button', { name: 'Unarchive' }).click(), 'This room is archived.'],
];
for (const [how, close, open, text] of BARS) {
  test(`who is ${how} is offered nothing that writes, and the field is as before afterwards`, async () => {
    await field(member).fill('three\nlines\nof text');
    const before = await height(member);
    assert.ok(before > 50, String(before));
    await close();
    await member.page.getByRole('status').filter({ hasText: text }).waitFor();
    await until(async () => (await may(member)).length === 0, 'nothing offered');
    await member.page.keyboard.press('ArrowUp');
    assert.equal(await member.page.getByText('Edit message').count(), 0);
    // What one added oneself can be taken back where the server allows that.
    assert.deepEqual(await chips(member), how === 'muted' ? [['❤️2', null], ['🎉1', 'true']] : [['❤️2', 'true'], ['🎉1', 'true']]);
    await owner.page.locator('dialog:not(.side)').waitFor({ state: 'detached' });
    // Opened anew, the field is hidden from the start, and has no height that could be measured.
    await member.page.goto(`${server.url}/#/`);
    await member.openRoom(ROOM);
    await member.page.getByRole('status').filter({ hasText: text }).waitFor();
    await open();
    await field(member).waitFor();
    assert.equal(await height(member), before);
    assert.equal(await field(member).inputValue(), 'three\nlines\nof text');
    await until(async () => (await may(member)).length === 3, 'all of it offered again');
    await field(member).fill('');
    await owner.closeDialog().catch(() => {});
  });
}

test('a mute that ends by itself opens the field again, at its size, without anything being said', async () => {
  const before = await height(member);
  const token = await owner.page.evaluate(() => JSON.parse(localStorage.getItem('parlance.login')).access_token);
  const socket = new (await import('ws')).default(`${server.url.replace('http', 'ws')}/v1/connect`, ['parlance.v1.json', 'bearer', token]);
  await new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ n: 1, op: 'mute', room, user: BEN, until: Date.now() + patient(4_000) }));
  await member.page.getByRole('status').filter({ hasText: 'You are muted in this room until' }).waitFor();
  await member.page.reload();
  await member.page.getByRole('status').filter({ hasText: 'You are muted in this room until' }).waitFor();
  await field(member).waitFor();
  assert.ok(Math.abs((await height(member)) - before) < 1);
  assert.deepEqual(await may(member), WRITES);
  socket.close();
});

test('an account that only reads is offered nothing that writes, anywhere', async () => {
  const reader = await Window.open(browser, server.url);
  await reader.page.getByLabel('Username or e-mail').fill('cleo');
  await reader.page.getByLabel('Password').fill('correct horse battery');
  await reader.page.getByRole('button', { name: 'Log in' }).click();
  await reader.page.getByRole('navigation', { name: 'Chats' }).waitFor();
  await reader.page.evaluate(() => {
    const login = JSON.parse(localStorage.getItem('parlance.login'));
    login.user.role = 'readonly';
    localStorage.setItem('parlance.login', JSON.stringify(login));
  });
  await reader.page.reload();
  await reader.openRoom(ROOM);
  await reader.page.getByText('Your account can read, but not write.').waitFor();
  assert.deepEqual(await may(reader), []);
  assert.equal(await field(reader).isVisible(), false);
  await reader.page.getByRole('button', { name: 'New chat' }).click();
  assert.deepEqual(await reader.page.getByRole('menuitem').allTextContents(), ['Join with an invite']);
  await reader.page.keyboard.press('Escape');
  reader.clean();
  await reader.context.close();
});

test('names are mentioned in any case, after any sign that is no letter, and the longest one is meant', async () => {
  for (const [text, marked] of [['@Ben hello', '@Ben'], ['hello @CLEO!', '@CLEO'], ['(@ben) and', '@ben'], ['“@García”', '@García'], ['@BEN.LI, see', '@BEN.LI'], ['write to anna@ben.org', null]]) {
    await owner.send(text);
    const row = member.message(text).last();
    await row.waitFor();
    assert.deepEqual(await row.locator('.mention').allTextContents(), marked ? [marked] : [], text);
    assert.equal(await row.locator('.mention.me').count(), marked?.toLowerCase() === '@ben' ? 1 : 0, text);
  }
});

test('a name that is begun is completed in any case and after any sign that is no letter', async () => {
  for (const [begun, username] of [['@GAR', 'garcía'], ['(@cl', 'cleo'], ['@jos', 'garcía'], ['@BENNY L', null]]) {
    await field(owner).fill('');
    await field(owner).pressSequentially(begun);
    const list = owner.page.getByRole('listbox', { name: 'Members' });
    if (!username) {
      await list.waitFor({ state: 'hidden' });
      continue;
    }
    await list.getByRole('option').filter({ hasText: `@${username}` }).waitFor();
    await owner.page.keyboard.press('ArrowDown');
    while (!(await list.locator('[aria-selected=true]').textContent()).includes(`@${username}`)) await owner.page.keyboard.press('ArrowDown');
    await owner.page.keyboard.press('Enter');
    assert.equal(await field(owner).inputValue(), `${begun.slice(0, begun.indexOf('@') + 1)}${username} `);
  }
  await field(owner).fill('');
  owner.clean();
  member.clean();
});
