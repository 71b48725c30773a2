// Keyboard, screen reader and contrast: axe on every view in both colour schemes, and a whole chat without a mouse.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { Server } from './support/server.mjs';

let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing, ${colorScheme}`, async () => {
    const w = await Window.open(browser, server.url, { colorScheme });
    const { page } = w;
    await w.axe('login');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('Please enter a username.').waitFor();
    await w.axe('login with an error');
    await w.register(`axe-${colorScheme}`, 'Axe Man');
    await w.axe('no chats');
    await page.getByRole('button', { name: 'New chat' }).click();
    await w.axe('menu');
    await page.getByRole('menuitem', { name: 'New group' }).click();
    await w.axe('new group');
    await page.keyboard.press('Escape');
    await w.createGroup('Workshop');
    await w.send('A first message with a [link](https://example.org) and `code`');
    await w.send('Look:\n```js\nlet a = 1;\n```');
    await w.send('🎉');
    await w.message('A first message').hover();
    await w.message('A first message').getByRole('button', { name: 'React' }).click();
    await w.axe('palette');
    await page.getByRole('menuitem', { name: /thumbs up/ }).click();
    await w.message('A first message').locator('.reaction').waitFor();
    await w.message('A first message').hover();
    await w.message('A first message').getByRole('button', { name: 'Reply' }).click();
    await w.axe('room with a reply begun');
    await w.send('An answer');
    await w.message('An answer').locator('.quote').waitFor();
    await w.axe('room');
    for (const [name, dialog] of [['Details', 'Workshop'], [/profile and status/, 'Profile']]) {
      await page.getByRole('button', { name }).click();
      for (const fold of await page.locator('dialog summary').all()) await fold.click();
      await page.getByRole('dialog', { name: dialog }).waitFor();
      await w.axe(dialog);
      await page.keyboard.press('Escape');
    }
    await page.setViewportSize({ width: 380, height: 700 });
    await w.axe('narrow room');
    await page.getByRole('link', { name: 'Back to the chats' }).click();
    await w.axe('narrow list');
    w.clean();
    await w.context.close();
  });
}

test('everything is done with the keyboard alone', async () => {
  const w = await Window.open(browser, server.url);
  const { page } = w;
  const keys = async (...list) => {
    for (const key of list) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  assert.equal(await page.evaluate(() => document.activeElement.name), 'username');
  await keys('Tab', 'Tab', 'Tab', 'Enter');
  await page.getByRole('heading', { name: 'Create an account' }).waitFor();
  await page.keyboard.type('keys');
  await keys('Tab');
  await page.keyboard.type('Key Board');
  await keys('Tab', 'Tab');
  await page.keyboard.type('correct horse battery');
  await keys('Enter');
  await page.getByRole('navigation', { name: 'Chats' }).waitFor();
  await page.getByRole('button', { name: 'New chat' }).focus();
  await keys('Enter');
  assert.equal(await focused(), 'New group');
  await keys('ArrowDown');
  assert.equal(await focused(), 'Direct chat');
  await keys('Escape');
  assert.equal(await focused(), 'New chat');
  await keys('Enter', 'Enter');
  await page.getByRole('dialog', { name: 'New group' }).waitFor();
  await page.keyboard.type('By keys');
  await keys('Enter');
  await page.getByRole('main', { name: 'By keys' }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === 'TEXTAREA');
  await page.keyboard.type('first');
  await keys('Shift+Enter');
  await page.keyboard.type('second line');
  await keys('Enter');
  await w.see('second line');
  await page.locator('.pending').waitFor({ state: 'detached' });
  await keys('ArrowUp');
  await page.getByText('Edit message').waitFor();
  await keys('End');
  await page.keyboard.type('!');
  await keys('Enter');
  await w.see('second line!');
  // Back into the messages: one stop in the tab order, then its buttons.
  await page.locator('.message[tabindex="0"]').focus();
  await keys('e', 'ArrowRight', 'Enter');
  await page.getByRole('button', { name: /❤️ 1/ }).waitFor();
  await page.waitForFunction(() => document.activeElement.closest('.message'));
  await page.locator('.message[tabindex="0"]').focus();
  await keys('r');
  await page.waitForFunction(() => document.activeElement.tagName === 'TEXTAREA');
  await page.keyboard.type('answer');
  await keys('Enter');
  await w.message('answer').locator('.quote').waitFor();
  w.clean();
});
