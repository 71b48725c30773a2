// Two people in two windows of a real browser: chatting, and the server killed under them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

const ROOM = 'Kitchen table';
let server;
let browser;
let anna;
let bela;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  bela = await Window.open(browser, server.next(), { colorScheme: 'dark' });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A word of bela's presence as anna's list of members tells it. */
const presence = async (word) => {
  const { page } = anna;
  await page.getByRole('button', { name: 'Details' }).click();
  await page.locator('.member', { hasText: 'Béla' }).getByText(word).waitFor();
  await page.keyboard.press('Escape');
};

test('two people register and meet in a room', async () => {
  await anna.register('anna', 'Anna Weiß');
  await bela.register('bela', 'Béla Bartók');
  await anna.createGroup(ROOM, ['bela']);
  await bela.openRoom(ROOM);
  await bela.page.getByRole('main', { name: ROOM }).waitFor();
});

test('what one writes, the other sees at once, as text and nothing else', async () => {
  await anna.send('Guten Morgen! <img src=x onerror=alert(1)> https://example.org/a_(b).');
  await bela.see('Guten Morgen! <img');
  const link = bela.message('Guten Morgen').getByRole('link');
  assert.equal(await link.getAttribute('href'), 'https://example.org/a_(b)');
  assert.match(await link.getAttribute('rel'), /noopener/);
  await bela.send('صباح الخير 🙂');
  await anna.see('صباح الخير 🙂');
});

test('an unread count shows elsewhere, and goes when one reads', async () => {
  await bela.page.goto(`${bela.url}/#/`);
  await anna.send('Are you there?');
  await bela.page.locator('.badge', { hasText: '1' }).waitFor();
  await bela.openRoom(ROOM);
  await bela.page.locator('.badge').waitFor({ state: 'detached' });
});

test('one sees that the other is writing, has read, and is there', async () => {
  await bela.page.getByRole('textbox', { name: 'Message' }).pressSequentially('I');
  await anna.page.locator('.typing-line', { hasText: 'Béla Bartók is writing' }).waitFor();
  await bela.page.getByRole('textbox', { name: 'Message' }).fill('');
  await anna.page.locator('.typing-line', { hasText: /^$/ }).waitFor({ state: 'attached' });
  await bela.page.bringToFront();
  await anna.page.locator('.readers', { hasText: 'Read by Béla Bartók' }).waitFor();
  await presence('Online');
  await bela.page.getByRole('button', { name: /profile and status/ }).click();
  await bela.page.getByRole('radio', { name: 'Do not disturb' }).check();
  await bela.page.keyboard.press('Escape');
  await presence('Do not disturb');
});

test('messages are edited, answered, reacted to and deleted', async () => {
  await anna.more('Are you there?', 'Edit');
  await anna.send('Are you at home?');
  await bela.see('Are you at home?');
  assert.equal(await bela.message('Are you there?').count(), 0);
  await bela.message('Are you at home?').getByRole('button', { name: 'edited' }).click();
  await bela.page.getByRole('dialog', { name: 'Edit history' }).getByText('Are you there?').waitFor();
  await bela.page.keyboard.press('Escape');
  await bela.message('Are you at home?').hover();
  await bela.message('Are you at home?').getByRole('button', { name: 'Reply' }).click();
  await bela.send('Yes, @anna');
  await anna.message('Yes, @anna').locator('.mention.me').waitFor();
  await anna.message('Yes, @anna').getByRole('button', { name: /Are you at home/ }).waitFor();
  await anna.message('Yes, @anna').hover();
  await anna.message('Yes, @anna').getByRole('button', { name: 'React' }).click();
  await anna.page.getByRole('menuitem', { name: /heart/ }).click();
  await bela.message('Yes, @anna').getByRole('button', { name: /by Anna Weiß/ }).waitFor();
  await anna.send('a slip');
  await bela.see('a slip');
  await anna.more('a slip', 'Delete');
  await anna.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await bela.see('Message deleted');
});

test('nothing went wrong up to here', () => {
  anna.clean();
  bela.clean();
});

test('the server is killed: both come back by themselves, nothing is lost or doubled', async () => {
  await anna.send('before');
  await bela.see('before');
  await server.kill('SIGKILL');
  for (const w of [anna, bela]) await w.page.locator('.banner', { hasText: 'Not connected' }).waitFor();
  for (const i of [1, 2, 3]) await anna.send(`anna while down ${i}`);
  for (const i of [1, 2]) await bela.send(`bela while down ${i}`);
  await anna.page.reload().catch(() => {});
  await server.run();
  // The reload above found no server; a person would press the button again, and finds all that was written.
  const address = `${anna.url}/${new URL(bela.page.url()).hash}`;
  // The page of the reload that failed may still be on its way, and ends the first try.
  await until(() => anna.page.goto(address).then(() => true, () => false), 'the page again');
  await anna.page.getByRole('main', { name: ROOM }).waitFor();
  for (const w of [anna, bela]) {
    await until(async () => (await w.texts()).filter((t) => t.includes('while down')).length === 5, 'all five messages', 45_000);
    await until(async () => (await w.page.locator('.pending').count()) === 0, 'none on its way');
    await w.page.locator('.banner').waitFor({ state: 'hidden' });
  }
  const [a, b] = [await anna.texts(), await bela.texts()];
  assert.deepEqual(a, b);
  assert.equal(new Set(a).size, a.length);
  assert.deepEqual(a.filter((t) => t.startsWith('anna while')), [1, 2, 3].map((i) => `anna while down ${i}`));
  assert.deepEqual(a.filter((t) => t.startsWith('bela while')), [1, 2].map((i) => `bela while down ${i}`));
  await anna.send('after');
  await bela.see('after');
});

test('long histories load upwards as one scrolls, without a hole', async () => {
  const login = await server.call('/v1/auth/login', { body: { username: 'anna', password: 'correct horse battery' } });
  const room = Number(bela.page.url().split('/').at(-1));
  await server.sendAll(login.access_token, room, Array.from({ length: 160 }, (_, i) => `line ${i + 1}`));
  await bela.see('line 160');
  await bela.page.reload();
  await bela.see('line 160');
  await until(async () => {
    await bela.page.locator('.timeline').evaluate((node) => { node.scrollTop = 0; });
    return (await bela.page.getByText('This is the beginning of the chat.').count()) && bela.page.getByText('This is the beginning of the chat.').isVisible();
  }, 'the first message');
  const lines = (await bela.texts()).filter((t) => t.startsWith('line ')).map((t) => Number(t.slice(5)));
  assert.deepEqual(lines, Array.from({ length: 160 }, (_, i) => i + 1));
});

test('nothing went wrong but for the server being away', () => {
  anna.clean({ down: true });
  bela.clean({ down: true });
});
