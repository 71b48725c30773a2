// What the page says it keeps: messages and drafts outlive their tab and a server that is away, are sent once by whichever tab is
// there, belong to an account, and go when one logs out. Where the browser keeps nothing, the page says so.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

const ROOM = 'Harbour';
const PROMISE = 'What you write is kept and sent later.';
let server;
let browser;
let anna;
let bela;
let count = 0;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  bela = await Window.open(browser, server.next());
  await anna.register('anna', 'Anna Weiß');
  await bela.register('bela', 'Béla Bartók');
  await anna.createGroup(ROOM, ['bela']);
  await bela.openRoom(ROOM);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

beforeEach(() => { count += 1; });

const down = async () => {
  await server.kill('SIGKILL');
  await anna.page.locator('.banner', { hasText: PROMISE }).waitFor();
};
/** A further tab, in the room. The page itself comes from the server, so it must be there. */
const tab = async (of = anna) => {
  const w = await Window.tab(of.context, of.url);
  await w.openRoom(ROOM);
  await w.page.getByRole('main', { name: ROOM }).waitFor();
  return w;
};
const arrived = (...texts) => until(async () => {
  const seen = (await bela.texts()).filter((text) => texts.includes(text));
  return seen.join() === texts.join();
}, `${texts.join()} once each, in this order`, 45_000);
const nothingPending = (w) => until(async () => (await w.page.locator('.pending').count()) === 0, 'nothing on its way', 45_000);

test('a message written while the server is away outlives its tab, and is sent once when there is one again', async () => {
  await down();
  const texts = [`first ${count}`, `second ${count}`];
  for (const text of texts) await anna.send(text);
  await anna.page.close();
  await server.run();
  anna = await tab();
  await arrived(...texts);
  await nothingPending(anna);
  assert.deepEqual((await anna.texts()).filter((text) => texts.includes(text)), texts);
});

test('another tab that is there sends what a closed one left', async () => {
  const other = await tab();
  await down();
  await other.page.locator('.banner', { hasText: PROMISE }).waitFor();
  await other.send(`left behind ${count}`);
  await anna.send(`still here ${count}`);
  await other.page.close();
  // It shows before the server is back: this tab has it now.
  await anna.message(`left behind ${count}`).waitFor();
  await server.run();
  await arrived(`left behind ${count}`, `still here ${count}`);
  await nothingPending(anna);
});

test('two tabs at once each send their own, once', async () => {
  const other = await tab();
  await down();
  await anna.send(`one ${count}`);
  await other.send(`two ${count}`);
  await server.run();
  for (const text of [`one ${count}`, `two ${count}`]) await bela.see(text);
  await nothingPending(anna);
  await nothingPending(other);
  // A third one finds nothing left to do.
  const third = await tab();
  for (const w of [anna, other, third, bela]) {
    for (const text of [`one ${count}`, `two ${count}`]) await w.see(text);
    const seen = (await w.texts()).filter((text) => text === `one ${count}` || text === `two ${count}`);
    assert.equal(seen.length, 2, seen.join());
  }
  await other.page.close();
  await third.page.close();
});

test('a draft outlives its tab, and goes when it is sent', async () => {
  const field = (w) => w.page.getByRole('textbox', { name: 'Message' });
  await field(anna).pressSequentially('half a thou');
  await anna.page.close();
  anna = await tab();
  await until(async () => (await field(anna).inputValue()) === 'half a thou', 'the draft');
  await anna.send(`a whole thought ${count}`);
  await arrived(`a whole thought ${count}`);
  const next = await tab();
  await next.see(`a whole thought ${count}`);
  assert.equal(await field(next).inputValue(), '');
  await next.page.close();
});

test('an answer and a change that are being written outlive their tab', async () => {
  const field = (w) => w.page.getByRole('textbox', { name: 'Message' });
  const said = `to be answered ${count}`;
  await anna.send(said);
  await arrived(said);
  await anna.message(said).hover();
  await anna.message(said).getByRole('button', { name: 'Reply' }).click();
  await field(anna).pressSequentially(`an answer ${count}`);
  await anna.more(said, 'Edit');
  await field(anna).fill('something else');
  await anna.page.close();
  anna = await tab();
  await until(async () => (await field(anna).inputValue()) === 'something else', 'the change');
  await anna.page.locator('.strip', { hasText: 'Edit message' }).waitFor();
  await field(anna).press('Escape');
  await anna.page.locator('.strip', { hasText: 'Reply to' }).waitFor();
  assert.equal(await field(anna).inputValue(), `an answer ${count}`);
  await field(anna).press('Enter');
  await arrived(`an answer ${count}`);
  await anna.page.locator('.strip').waitFor({ state: 'hidden' });
});

test('what one account left is neither shown nor sent under another one, and logging out forgets it', async () => {
  const w = await Window.open(browser, server.next());
  await w.register('carl', 'Carl');
  await w.createGroup('Alone');
  await w.page.getByRole('textbox', { name: 'Message' }).fill('a draft of carl');
  await until(async () => (await w.kept()).length === 1, 'the draft kept');
  await down();
  await w.send('unsent words of carl');
  await w.page.getByRole('textbox', { name: 'Message' }).fill('another draft');
  await until(async () => (await w.kept()).length === 2, 'the message and the draft kept');
  // The login ends by another way than logging out, and somebody else uses the browser.
  await w.page.evaluate(() => localStorage.removeItem('parlance.login'));
  await server.run();
  await w.page.reload();
  await w.register('dora', 'Dora');
  assert.equal(await w.page.locator('.pending').count(), 0);
  assert.equal((await w.kept()).length, 2);
  await w.page.getByRole('button', { name: /profile and status/ }).click();
  await w.page.getByRole('button', { name: 'Log out' }).click();
  await w.page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  assert.equal((await w.kept()).length, 2, 'what is another account’s stays');
  // Back again, it is sent; and what is not sent yet is asked about before it is forgotten.
  await w.login('carl');
  await w.openRoom('Alone');
  await w.see('unsent words of carl');
  await nothingPending(w);
  await until(async () => (await w.page.getByRole('textbox', { name: 'Message' }).inputValue()) === 'another draft', 'the draft');
  await down();
  await w.send('words to forget');
  await w.page.getByRole('button', { name: /profile and status/ }).click();
  await w.page.getByRole('button', { name: 'Log out' }).click();
  await w.page.getByRole('dialog', { name: 'Log out?' }).getByRole('button', { name: 'Log out' }).click();
  await w.page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  await until(async () => (await w.kept()).length === 0, 'all of it forgotten');
  await server.run();
  w.clean({ down: true });
  await w.context.close();
});

test('logging out in one tab asks about what another one has not sent, and forgets that too', async () => {
  const w = await Window.open(browser, server.next());
  await w.login('anna');
  const other = await tab(w);
  await down();
  await other.page.locator('.banner', { hasText: PROMISE }).waitFor();
  await other.send(`never to be sent ${count}`);
  await until(async () => (await w.kept()).length === 1, 'the message kept');
  await w.page.getByRole('button', { name: /profile and status/ }).click();
  await w.page.getByRole('button', { name: 'Log out' }).click();
  await w.page.getByRole('dialog', { name: 'Log out?' }).getByRole('button', { name: 'Log out' }).click();
  for (const each of [w, other]) await each.page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  assert.deepEqual(await w.kept(), []);
  await server.run();
  await w.login('anna');
  await w.openRoom(ROOM);
  await w.send(`after logging in again ${count}`);
  await arrived(`after logging in again ${count}`);
  assert.equal(await bela.message(`never to be sent ${count}`).count(), 0);
  await w.context.close();
});

const BROKEN = [
  ['blocks everything that a site could store', () => {
    for (const name of ['indexedDB', 'localStorage']) Object.defineProperty(globalThis, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
  }],
  ['has nothing of the kind', () => { Object.defineProperty(globalThis, 'indexedDB', { value: undefined }); }],
  ['forbids the very question', () => { Object.defineProperty(globalThis, 'indexedDB', { get() { throw new DOMException('denied', 'SecurityError'); } }); }],
  ['forbids it', () => { Object.defineProperty(globalThis, 'indexedDB', { value: { open() { throw new DOMException('denied', 'SecurityError'); } } }); }],
  ['is full', () => {
    IDBObjectStore.prototype.put = function put() {
      this.transaction.abort();
      throw new DOMException('full', 'QuotaExceededError');
    };
  }],
];
for (const [how, breaks] of BROKEN) {
  test(`a browser that ${how} is told of instead of a promise`, async () => {
    const context = await browser.newContext();
    await context.addInitScript(breaks);
    const w = await Window.tab(context, server.next());
    await w.login('anna');
    await w.openRoom(ROOM);
    await down();
    await w.send(`not kept ${how}`);
    await w.page.locator('.banner', { hasText: 'This browser can’t keep what you write: leave this tab open until it has been sent.' }).waitFor();
    assert.equal(await w.page.getByText(PROMISE).count(), 0);
    await server.run();
    // As long as the tab is open it is sent all the same.
    await arrived(`not kept ${how}`);
    await nothingPending(w);
    w.clean({ down: true });
    await context.close();
  });
}

test('without Web Locks, as over plain http, a tab that is closed is followed by another one', async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
  const first = await Window.tab(context, server.next());
  await first.login('anna');
  await first.openRoom(ROOM);
  const second = await tab(first);
  await down();
  await first.page.locator('.banner', { hasText: PROMISE }).waitFor();
  await first.send(`without locks ${count}`);
  await first.page.close({ runBeforeUnload: true });
  // A lease of the tab that is closed, should it have one just then, holds for 15 s.
  await second.message(`without locks ${count}`).waitFor({ timeout: 30_000 });
  await server.run();
  await arrived(`without locks ${count}`);
  await nothingPending(second);
  await context.close();
});

test('nothing went wrong but for the server being away', () => {
  anna.clean({ down: true });
  bela.clean({ down: true });
});
