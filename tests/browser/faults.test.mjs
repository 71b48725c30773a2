// What a sound server seldom does, by the test double: the page resets, comes back, renews its login, and stays whole.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { FAKE, Server, until } from './support/server.mjs';

let server;
let browser;
let anna;

before(async () => {
  server = await Server.start(FAKE);
  browser = await launch();
  anna = await Window.open(browser, server.url);
  await anna.register('anna', 'Anna Weiß');
  await anna.createGroup('Kitchen table');
  for (const i of [1, 2, 3]) await anna.send(`note ${i}`);
  await whole();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const NOTES = ['note 1', 'note 2', 'note 3'];
const whole = (w = anna) => until(async () => {
  const texts = await w.texts();
  return texts.join() === NOTES.join() && (await w.page.locator('.pending').count()) === 0;
}, 'the notes, each once');

for (const outcome of ['reset', 'too_far']) {
  test(`a resume that says ${outcome} loads the room anew`, async () => {
    await server.call(`/fake/${outcome}`);
    const socket = anna.page.waitForEvent('websocket');
    await server.call('/fake/close?code=4503');
    await socket;
    await whole();
    NOTES.push(`after ${outcome}`);
    await anna.send(NOTES.at(-1));
    await whole();
  });
}

test('an announced restart is waited for, and said', async () => {
  await server.call('/fake/reconnect?ms=2500');
  await anna.page.locator('.banner', { hasText: 'restarting' }).waitFor();
  NOTES.push('written meanwhile');
  await anna.send('written meanwhile');
  await anna.page.locator('.banner').waitFor({ state: 'hidden' });
  await whole();
});

test('two tabs whose tokens are void renew the login once, and go on', async () => {
  const tab = await Window.tab(anna.context, `${server.url}/${new URL(anna.page.url()).hash}`);
  await whole(tab);
  const refreshes = [];
  anna.context.on('request', (r) => r.url().endsWith('/v1/auth/refresh') && refreshes.push(r.url()));
  await server.call('/fake/expire');
  await server.call('/fake/close?code=4401');
  NOTES.push('from the second tab');
  await tab.send('from the second tab');
  await whole();
  await whole(tab);
  assert.equal(refreshes.length, 1);
  await tab.page.close();
});

test('a connection that is refused for good isn’t tried again', async () => {
  await server.call('/fake/close?code=4403');
  await anna.page.locator('.banner', { hasText: 'refused the connection (4403)' }).waitFor();
  await anna.page.getByRole('button', { name: 'Reload' }).click();
  await whole();
});

test('a room that is gone is left', async () => {
  await server.call('/fake/gone');
  await server.call('/fake/close?code=4503');
  await anna.page.getByText('You are no longer a member of “Kitchen table”.').waitFor();
  assert.equal(new URL(anna.page.url()).hash, '#/');
  anna.clean({ down: true });
});
