// What the browser says of the network is believed at once; no load goes on for ever; and what isn't there is told so, with a way back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { FAKE, patient, Server, until } from './support/server.mjs';

/** Within this a person takes something as a consequence of what they did. */
const AT_ONCE_MS = patient(1_500);
let server;
let browser;
let anna;

before(async () => {
  server = await Server.start(FAKE);
  browser = await launch();
  anna = await Window.open(browser, server.url);
  await anna.register('anna', 'Anna Weiß');
  await anna.createGroup('Kitchen table');
  await anna.send('hello');
  await anna.see('hello');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const banner = () => anna.page.locator('.banner');
const say = (what) => anna.page.evaluate((name) => {
  Object.defineProperty(Navigator.prototype, 'onLine', { get: () => name === 'online', configurable: true });
  dispatchEvent(new Event(name));
}, what);

test('being offline shows at once, and the end of it too', async () => {
  await server.call('/fake/deaf?on=1');
  await say('offline');
  await banner().filter({ hasText: 'You are offline. What you write is kept and sent later.' }).waitFor({ timeout: AT_ONCE_MS });
  await anna.send('written offline');
  // No answer comes: the connection is given up.
  await until(() => server.call('/fake/sessions').then(({ sessions }) => sessions === 0), 'the connection given up', 6_000);
  await server.call('/fake/deaf');
  await say('online');
  await banner().waitFor({ state: 'hidden', timeout: AT_ONCE_MS });
  await until(async () => (await anna.page.locator('.pending').count()) === 0, 'it sent');
});

test('a server that answers all the same is no lost connection', async () => {
  const socket = anna.page.waitForEvent('websocket', { timeout: 4_000 }).then(() => 'another connection', () => 'the same one');
  await say('offline');
  await until(async () => !(await banner().isVisible()), 'the banner gone');
  assert.equal(await socket, 'the same one');
  await say('online');
});

test('a room that isn’t there, or isn’t one’s own, says so and leads back', async () => {
  for (const room of ['999', '9007199254740991']) {
    await anna.page.goto(`${server.url}/#/rooms/${room}`);
    await anna.page.getByText('There is no such chat, or you are not a member of it.').waitFor();
    assert.equal(await anna.page.title(), 'Not found · parlance');
    assert.equal(await anna.page.getByText('Loading…').filter({ visible: true }).count(), 0);
    assert.equal(await anna.page.getByRole('textbox', { name: 'Message' }).isVisible(), false);
    await anna.axe('no such room');
    await anna.page.getByRole('link', { name: 'Back to the chats' }).last().click();
    await anna.page.getByText('Choose a chat, or start a new one.').waitFor();
  }
});

test('an address that means nothing says so and leads back', async () => {
  for (const hash of ['#/nothing', '#/rooms/', '#/rooms/x', '#/join/%E0%A4%A']) {
    await anna.page.goto(`${server.url}/${hash}`);
    await anna.page.getByText('There is nothing at this address.').waitFor();
    await anna.page.getByRole('link', { name: 'Back to the chats' }).click();
    await anna.page.getByText('Choose a chat, or start a new one.').waitFor();
  }
});

test('who is added to the room meanwhile sees it', async () => {
  const bela = await Window.open(browser, server.url);
  await bela.register('bela', 'Béla');
  await bela.createGroup('Later');
  const room = new URL(bela.page.url()).hash;
  await anna.page.goto(`${server.url}/${room}`);
  await anna.page.getByText('There is no such chat, or you are not a member of it.').waitFor();
  await bela.details('Add people');
  await bela.page.getByLabel('Find people').fill('anna');
  await bela.page.getByRole('list', { name: 'People found' }).getByRole('button').first().click();
  await bela.page.getByRole('button', { name: 'Add', exact: true }).click();
  await anna.page.getByRole('main', { name: 'Later' }).waitFor();
  await anna.page.getByRole('textbox', { name: 'Message' }).waitFor();
  await bela.context.close();
});

for (const [op, fault] of [['messages', 'The messages could not be loaded.'], ['members', 'The members could not be loaded.']]) {
  test(`${op} that can’t be loaded are said to be, and loaded at another try`, async () => {
    await anna.page.goto(`${server.url}/#/`);
    await server.call(`/fake/fail?op=${op}&retry=never`);
    await anna.page.reload();
    await anna.openRoom('Kitchen table');
    if (op === 'members') await anna.details();
    await anna.page.getByText(fault).waitFor();
    assert.equal(await anna.page.getByText('Loading…').filter({ visible: true }).count(), 0);
    await server.call('/fake/fail');
    await anna.page.getByRole('button', { name: 'Try again' }).click();
    if (op === 'members') await anna.member('Anna', 'Online');
    else await anna.see('hello');
    assert.equal(await anna.page.getByText(fault).isVisible(), false);
  });
}

test('what the server can’t do just now is tried again by itself', async () => {
  await anna.page.goto(`${server.url}/#/`);
  await server.call('/fake/fail?op=messages&retry=later');
  await anna.page.reload();
  await anna.openRoom('Kitchen table');
  await anna.page.getByText('The messages could not be loaded.').waitFor();
  await server.call('/fake/fail');
  await anna.see('hello');
});

test('an answer that never comes is given up, and asked for again', async () => {
  await anna.page.clock.install();
  await anna.page.goto(`${server.url}/#/`);
  await server.call('/fake/fail?op=messages&retry=silence');
  await anna.page.reload();
  await anna.openRoom('Kitchen table');
  await anna.page.getByText('Loading…').first().waitFor();
  await server.call('/fake/fail');
  await until(async () => {
    await anna.page.clock.fastForward(21_000);
    return anna.message('hello').first().isVisible();
  }, 'the messages after all', 30_000);
  anna.clean({ down: true });
});
