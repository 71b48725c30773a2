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
    const w = await Window.open(browser, server.next(), { colorScheme });
    const { page } = w;
    await w.axe('login');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('Please enter your username or e-mail address.').waitFor();
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
    await withPeople(w, colorScheme);
    await w.axe('room with lines');
    for (const [name, dialog] of [['Details', 'Workshop'], [/profile and status/, 'Profile']]) {
      await page.getByRole('button', { name }).click();
      for (const fold of await page.locator('dialog summary').all()) await fold.click();
      await page.getByRole('dialog', { name: dialog }).waitFor();
      for (const list of name === 'Details' ? ['Banned people', 'Open invites'] : []) {
        await page.getByRole('list', { name: list }).getByRole('listitem').first().waitFor();
      }
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

/** Somebody banned, an open invite, and lines that tell of it. */
async function withPeople(w, colorScheme) {
  const room = Number(w.page.url().split('/').at(-1));
  const { user } = await server.call('/v1/auth/register', { body: { username: `zoe-${colorScheme}`, password: 'correct horse battery', full_name: 'Zoë' } });
  const token = await w.page.evaluate(() => JSON.parse(localStorage.getItem('parlance.login')).access_token);
  await server.call(`/v1/rooms/${room}/members`, { token, body: { users: [user.id] } });
  await server.call(`/v1/rooms/${room}/bans/${user.id}`, { method: 'PUT', token, body: { until: Date.now() + 3_600_000 } });
  await server.call(`/v1/rooms/${room}/invites`, { token, body: { uses: 3 } });
  await w.note('You banned Zoë until');
}

test('a closed room and a muted member are told without a fault, in both schemes', async () => {
  const owner = await Window.open(browser, server.next());
  const member = await Window.open(browser, server.next(), { colorScheme: 'dark' });
  await owner.register('owner', 'Olga');
  await member.register('member', 'Mika');
  await owner.createGroup('Studio', ['member']);
  await member.openRoom('Studio');
  await owner.moderate('Mika', 'Mute');
  await member.page.getByRole('status').filter({ hasText: 'You are muted in this room.' }).waitFor();
  await member.axe('muted');
  // A screen reader is told who did it.
  await member.page.locator('#polite', { hasText: 'Olga muted you' }).waitFor({ state: 'attached' });
  // Coming back to a room that one can't write in, the focus is on the room.
  await member.page.goto(`${member.url}/#/`);
  await member.openRoom('Studio');
  await member.page.waitForFunction(() => document.activeElement.matches('main.room'));
  await owner.member('Mika', 'muted');
  await owner.axe('details with a muted member');
  await owner.details('Banned people');
  await owner.details('Open invites');
  await owner.page.getByText('There are no open invites.').waitFor();
  await owner.axe('empty lists');
  await owner.page.getByRole('button', { name: 'Archive' }).click();
  await owner.page.getByRole('dialog', { name: 'Archive the room?' }).getByRole('button', { name: 'Archive' }).click();
  await owner.page.getByRole('status').filter({ hasText: 'This room is archived.' }).waitFor();
  await owner.axe('archived');
  for (const w of [owner, member]) {
    w.clean();
    await w.context.close();
  }
});

test('everything is done with the keyboard alone', async () => {
  const w = await Window.open(browser, server.next());
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

test('people are managed with the keyboard alone', async () => {
  const w = await Window.open(browser, server.next());
  const other = await Window.open(browser, server.next());
  const { page } = w;
  await other.register('manolo', 'Manolo');
  await w.register('keeper', 'Keeper');
  await w.createGroup('Tools', ['manolo']);
  await other.openRoom('Tools');
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const press = async (...list) => {
    for (const key of list) await page.keyboard.press(key);
  };
  /** Goes on with the tab key until something has the focus. */
  const tabTo = async (name) => {
    for (let i = 0; i < 40; i += 1) {
      if ((await focused()) === name) return;
      await press('Tab');
    }
    assert.fail(`${name} is not in the tab order`);
  };
  await page.getByRole('button', { name: 'Details' }).focus();
  await press('Enter');
  await page.getByRole('dialog', { name: 'Tools' }).getByText('Manolo').waitFor();
  await tabTo('Actions for Manolo');
  await press('Enter', 'ArrowUp');
  assert.equal(await focused(), 'Ban');
  await press('Enter');
  await page.getByRole('dialog', { name: 'Ban Manolo?' }).waitFor();
  assert.equal(await focused(), 'Ban');
  await press('Enter');
  await other.toast('Keeper banned you from “Tools”.');
  await other.page.waitForFunction(() => document.activeElement.getAttribute('aria-label') === 'New chat');
  await page.locator('dialog:not(.side)').waitFor({ state: 'detached' });
  await tabTo('Banned people');
  await press('Enter');
  await page.getByRole('button', { name: 'Lift the ban on Manolo' }).waitFor();
  await tabTo('Lift the ban on Manolo');
  await press('Enter');
  await page.getByText('Nobody is banned.').waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === 'Banned people');
  await press('Shift+Tab');
  assert.equal(await focused(), 'Open invites');
  await press('Enter');
  await page.getByText('There are no open invites.').waitFor();
  await press('Shift+Tab', 'Enter');
  await tabTo('Create link');
  await press('Enter');
  await page.getByLabel('Invite link').waitFor();
  await page.waitForFunction(() => document.activeElement.readOnly);
  const form = page.locator('details', { has: page.locator('summary', { hasText: 'Invite with a link' }) });
  await tabTo('Withdraw');
  await press('Enter');
  await page.getByText('There are no open invites.').waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === 'Create link');
  await press('Enter');
  await page.waitForFunction(() => document.activeElement.readOnly);
  const withdraw = page.getByRole('list', { name: 'Open invites' }).getByRole('button');
  await withdraw.waitFor();
  const label = await withdraw.getAttribute('aria-label');
  assert.match(label, /^Withdraw the invite by Keeper: Until .* any number of uses$/);
  await tabTo(label);
  await press('Enter');
  await page.getByText('There are no open invites.').waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === 'Open invites');
  // A link that was withdrawn elsewhere is shown no longer.
  await form.getByLabel('Invite link').waitFor({ state: 'detached' });
  await press('Escape');
  await page.waitForFunction(() => document.activeElement.getAttribute('aria-label') === 'Details');
  w.clean();
  other.clean();
});
