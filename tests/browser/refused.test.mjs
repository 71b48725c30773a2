// What becomes of kept messages that can't be sent after all, and of those that the browser could not keep at first or lost since:
// nothing that somebody wrote is gone without a word.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { FAKE, Server, until } from './support/server.mjs';

const PROMISE = 'What you write is kept and sent later.';
const BROKEN = 'This browser can’t keep what you write: leave this tab open until it has been sent.';
let server;
let browser;
let owner;
let anna;
let member;
let room;
let count = 0;

before(async () => {
  server = await Server.start();
  browser = await launch();
  const account = (username) => server.call('/v1/auth/register', { body: { username, password: 'correct horse battery' } });
  owner = (await account('olga')).access_token;
  member = (await account('anna')).user.id;
  anna = await Window.open(browser, server.next());
  await anna.login('anna');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const name = () => `Room ${count}`;
beforeEach(async () => {
  count += 1;
  ({ id: room } = await server.call('/v1/rooms', { token: owner, body: { kind: 'group', name: name(), members: [member] } }));
});

const down = async () => {
  await server.kill('SIGKILL');
  await anna.page.locator('.banner', { hasText: 'Not connected.' }).waitFor();
};
const tab = async () => {
  anna = await Window.tab(anna.context, anna.url);
};
/** Has messages written in a tab that is closed while the server is away; afterwards that is there again, and no tab. */
async function leaveBehind(...texts) {
  await anna.openRoom(name());
  await anna.page.getByRole('main', { name: name() }).waitFor();
  await down();
  for (const text of texts) await anna.send(text);
  await until(async () => (await anna.kept()).length === texts.length, 'the messages kept');
  await anna.page.close();
  await server.run();
}
const said = async () => (await server.call(`/v1/rooms/${room}/messages`, { method: 'GET', token: owner })).items.map((m) => m.content.text);
const refused = () => anna.page.locator('.failed .unsent', { hasText: 'Not sent: You are muted in this room.' });

test('a message that is refused stays in its room with the reason, also in later tabs, until it is sent', async () => {
  await leaveBehind('wait for me');
  await server.call(`/v1/rooms/${room}/members/${member}/mute`, { method: 'PUT', token: owner, body: {} });
  for (let i = 0; i < 2; i += 1) {
    await tab();
    await anna.openRoom(name());
    await refused().waitFor();
    await anna.axe('a refused message');
    if (i === 0) await anna.page.close();
  }
  await server.call(`/v1/rooms/${room}/members/${member}/mute`, { method: 'DELETE', token: owner });
  await anna.page.getByRole('textbox', { name: 'Message' }).waitFor();
  await anna.page.getByRole('button', { name: 'Try again' }).click();
  await until(async () => (await anna.page.locator('.pending').count()) === 0, 'it sent');
  assert.deepEqual(await said(), ['wait for me']);
  await until(async () => (await anna.kept()).length === 0, 'nothing kept any more');
});

test('a refused message that is discarded is gone for good', async () => {
  await leaveBehind('never mind');
  await server.call(`/v1/rooms/${room}/members/${member}/mute`, { method: 'PUT', token: owner, body: {} });
  await tab();
  await anna.openRoom(name());
  await refused().waitFor();
  await anna.page.getByRole('button', { name: 'Discard' }).click();
  await refused().waitFor({ state: 'detached' });
  await until(async () => (await anna.kept()).length === 0, 'nothing kept any more');
  await anna.page.reload();
  await anna.page.getByRole('main', { name: name() }).waitFor();
  await server.call(`/v1/rooms/${room}/members/${member}/mute`, { method: 'DELETE', token: owner });
  await anna.page.getByRole('textbox', { name: 'Message' }).waitFor();
  assert.equal(await anna.page.locator('.pending').count(), 0);
  assert.deepEqual(await said(), []);
});

for (const [texts, note] of [[['just one'], 'Not sent: “just one”.'], [['the first', 'the second'], '2 messages were not sent.']]) {
  test(`who was removed meanwhile is told what was not sent: ${texts.length}`, async () => {
    await leaveBehind(...texts);
    await server.call(`/v1/rooms/${room}/members/${member}`, { method: 'DELETE', token: owner });
    await anna.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await tab();
    const toasts = anna.page.locator('.toast', { hasText: 'You are no longer a member of that chat.' });
    await toasts.filter({ hasText: note }).waitFor();
    assert.equal(await toasts.count(), 1);
    await anna.axe('a note that stays');
    await toasts.getByRole('button', { name: 'Copy text' }).click();
    assert.equal(await anna.page.evaluate(() => navigator.clipboard.readText()), texts.join('\n\n'));
    await until(async () => (await anna.kept()).length === 0, 'nothing kept any more');
    assert.deepEqual(await said(), []);
    await anna.page.reload();
    await anna.page.getByRole('navigation', { name: 'Chats' }).waitFor();
    assert.equal(await toasts.count(), 0);
  });
}

test('what was written while the browser was full is kept as soon as it is not, whatever was written in between', async () => {
  const { url } = anna;
  await anna.context.close();
  const context = await browser.newContext();
  await context.addInitScript(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function whereThereIsRoom(...row) {
      if (!globalThis.full) return put.apply(this, row);
      this.transaction.abort();
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  anna = await Window.tab(context, url);
  await anna.login('anna');
  await anna.openRoom(name());
  await anna.page.getByRole('main', { name: name() }).waitFor();
  await down();
  await anna.page.evaluate(() => { globalThis.full = true; });
  await anna.send('while it was full');
  await anna.page.locator('.banner', { hasText: BROKEN }).waitFor();
  await anna.page.evaluate(() => { globalThis.full = false; });
  await anna.send('afterwards');
  await anna.page.locator('.banner', { hasText: PROMISE }).waitFor();
  await until(async () => (await anna.kept()).length === 2, 'both kept');
  await anna.page.close();
  await server.run();
  await tab();
  await until(async () => (await said()).length === 2, 'both sent');
  assert.deepEqual(await said(), ['while it was full', 'afterwards']);
});

test('what a closed tab left is sent even where nothing more can be written', async () => {
  await leaveBehind('read and sent');
  await anna.context.addInitScript(() => { globalThis.full = true; });
  await tab();
  await until(async () => (await said()).length === 1, 'it sent');
  await anna.page.evaluate(() => { globalThis.full = false; });
  await until(async () => (await anna.kept()).length === 0, 'nothing kept any more');
});

test('data of the site that somebody clears is kept again by the tab that has it', async () => {
  await anna.openRoom(name());
  await anna.page.getByRole('main', { name: name() }).waitFor();
  await down();
  await anna.send('cleared away');
  await until(async () => (await anna.kept()).length === 1, 'the message kept');
  await anna.page.evaluate(() => new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('parlance');
    request.onsuccess = resolve;
    request.onerror = reject;
  }));
  await until(async () => (await anna.kept()).length === 1, 'the message kept again');
  await anna.page.close();
  await server.run();
  await tab();
  await until(async () => (await said()).length === 1, 'it sent');
});

test('nothing went wrong but for the server being away', () => anna.clean({ down: true }));

test('a server that was set up anew at the same address gets nothing that was written to the old one', async () => {
  const fake = await Server.start(FAKE);
  const carl = await Window.open(browser, fake.url);
  await carl.register('carl', 'Carl');
  await carl.createGroup('Old');
  await fake.kill();
  await carl.page.locator('.banner', { hasText: PROMISE }).waitFor();
  await carl.send('for the old one alone');
  await until(async () => (await carl.kept()).length === 1, 'the message kept');
  await carl.page.close();
  fake.data += '-anew';
  await fake.run();
  const dora = await Window.tab(carl.context, fake.url);
  await dora.page.getByText('You were logged out. Please log in again.').waitFor();
  await dora.register('dora', 'Dora');
  await dora.createGroup('New');
  await dora.send('hello');
  await dora.page.locator('.pending').waitFor({ state: 'detached' });
  // The same numbers: the first user, the first room.
  assert.deepEqual(await dora.texts(), ['hello']);
  assert.equal((await dora.kept()).length, 1, 'it waits for its own account');
  await dora.context.close();
  await fake.stop();
});
