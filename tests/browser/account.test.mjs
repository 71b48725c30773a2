// One's own account in several windows: changing the password, and the status that others see.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { patient, Server, until } from './support/server.mjs';

const OLD = 'correct horse battery';
const NEW = 'staple battery horse';
const MINUTE = 60_000;
let server;
let browser;
let anna;
let bela;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  bela = await Window.open(browser, server.next(), { colorScheme: 'dark' });
  await anna.register('anna', 'Anna Weiß');
  await bela.register('bela', 'Béla Bartók');
  await anna.createGroup('Kitchen', ['bela']);
  await bela.openRoom('Kitchen');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const profile = (w) => w.page.getByRole('button', { name: /profile and status/ });

async function choose(w, status) {
  await profile(w).click();
  await w.page.getByRole('radio', { name: status }).check();
  await w.closeDialog();
}

/** What anna sees of bela. */
const seen = async (status) => {
  await anna.member('Béla', status);
  await anna.closeDialog();
};
const ownDot = (w, status) => w.page.locator(`.me .dot.${status}`).waitFor();

test('a chosen status is seen by others at once, by oneself, and after a reload', async () => {
  for (const [word, status] of [['Away', 'away'], ['Do not disturb', 'do_not_disturb'], ['Online', 'online']]) {
    await choose(bela, word);
    await ownDot(bela, status);
    await seen(word);
  }
  await choose(bela, 'Do not disturb');
  await seen('Do not disturb');
  await bela.page.reload();
  await ownDot(bela, 'do_not_disturb');
  await seen('Do not disturb');
});

test('all tabs go by the status that is chosen in one', async () => {
  const tab = await Window.tab(bela.context, bela.url);
  await ownDot(tab, 'do_not_disturb');
  await choose(tab, 'Online');
  await ownDot(bela, 'online');
  await seen('Online');
  tab.clean();
  await tab.page.close();
});

test('who does nothing for some minutes is away, and is back with the first key', async () => {
  await bela.page.clock.install();
  await bela.page.reload();
  await ownDot(bela, 'online');
  await bela.page.clock.fastForward(4 * MINUTE);
  await bela.page.mouse.move(200, 200);
  await bela.page.clock.fastForward(4 * MINUTE);
  await ownDot(bela, 'online');
  await bela.page.clock.fastForward(2 * MINUTE);
  await ownDot(bela, 'away');
  await seen('Away');
  await bela.page.keyboard.press('Shift');
  await ownDot(bela, 'online');
  await seen('Online');
});

test('a page that nobody looks at is no sign of being there', async () => {
  const look = (visibility) => bela.page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }, visibility);
  await look('hidden');
  await bela.page.clock.fastForward(6 * MINUTE);
  await seen('Away');
  await look('visible');
  await seen('Online');
});

test('who chose not to be disturbed, or to be away, stays so whatever they do or don’t', async () => {
  for (const [word, status] of [['Do not disturb', 'do_not_disturb'], ['Away', 'away']]) {
    await choose(bela, word);
    await seen(word);
    await bela.page.clock.fastForward(6 * MINUTE);
    await bela.page.mouse.move(100, 100);
    await bela.page.keyboard.press('Shift');
    await bela.send(`I am ${status}`);
    await anna.see(`I am ${status}`);
    await ownDot(bela, status);
    await seen(word);
  }
  await choose(bela, 'Online');
  bela.clean();
});

test('who is away stays it across a lost connection', async () => {
  await bela.page.clock.fastForward(6 * MINUTE);
  await seen('Away');
  await server.kill('SIGKILL');
  await bela.page.locator('.banner', { hasText: 'Not connected' }).waitFor();
  await server.run();
  await anna.page.locator('.banner').waitFor({ state: 'hidden', timeout: patient(40_000) });
  await until(async () => {
    await bela.page.clock.fastForward(31_000);
    return (await bela.page.locator('.banner:visible').count()) === 0;
  }, 'the connection again');
  await ownDot(bela, 'away');
  await seen('Away');
  await bela.page.keyboard.press('Shift');
  await seen('Online');
  bela.clean({ down: true });
});

async function change(w, old, next) {
  const { page } = w;
  if (!(await page.getByRole('dialog', { name: 'Profile' }).count())) {
    await profile(w).click();
    await page.locator('summary', { hasText: 'Change the password' }).click();
  }
  await page.getByLabel('Current password').fill(old);
  await page.getByLabel('New password').fill(next);
  await page.getByRole('button', { name: 'Change password' }).click();
}

test('a password is changed only by who knows the present one, and to one that is long enough', async () => {
  const { page } = anna;
  await change(anna, 'not this one', NEW);
  await page.getByText('This is not your current password.').waitFor();
  assert.equal(await page.getByLabel('Current password').getAttribute('aria-invalid'), 'true');
  await change(anna, OLD, 'short');
  await until(() => page.getByLabel('New password').getAttribute('aria-invalid').then((bad) => bad === 'true'), 'the new one refused');
  assert.equal(await page.getByLabel('Current password').getAttribute('aria-invalid'), null);
});

test('a changed password ends all other logins at once, and the own one goes on', async () => {
  const laptop = await Window.open(browser, server.next());
  await login(laptop, OLD);
  await laptop.openRoom('Kitchen');
  await change(anna, OLD, NEW);
  await anna.toast('The password was changed.');
  await laptop.page.getByText('You were logged out. Please log in again.').waitFor();
  assert.equal(await laptop.page.locator('.message').count(), 0);
  await anna.closeDialog();
  await anna.send('still here');
  await bela.see('still here');
  // The own login is renewed as before, once its access token is old.
  await anna.page.evaluate(() => localStorage.setItem('parlance.login', JSON.stringify({ ...JSON.parse(localStorage.getItem('parlance.login')), expires_at: 0 })));
  const renewed = anna.page.waitForResponse((r) => r.url().endsWith('/v1/auth/refresh'));
  await anna.page.reload();
  assert.equal((await renewed).status(), 200);
  await anna.see('still here');
  await laptop.page.getByLabel('Username or e-mail').fill('anna');
  await laptop.page.getByLabel('Password').fill(OLD);
  await laptop.page.getByRole('button', { name: 'Log in' }).click();
  await laptop.page.getByText('Wrong username or password.').waitFor();
  await login(laptop, NEW);
  await laptop.openRoom('Kitchen');
  await laptop.see('still here');
  laptop.clean();
  anna.clean({ down: true });
});

test('a password that is easily guessed is refused with the reason at its field, mostly before it is sent', async () => {
  const w = await Window.open(browser, server.next());
  const { page } = w;
  const sent = [];
  page.on('request', (r) => r.method() === 'POST' && sent.push(r.url()));
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('Username').fill('carla');
  const field = page.getByLabel('Password');
  const note = page.locator('.field', { has: field }).locator('.field-note');
  for (const [password, why] of [['aaaaaaaa', 'same few characters'], ['qwertyuiop', 'row of'], ['carla1234', 'your name']]) {
    await field.fill(password);
    await page.getByRole('button', { name: 'Create account' }).click();
    await note.filter({ hasText: why }).waitFor();
    assert.equal(await field.getAttribute('aria-invalid'), 'true', password);
  }
  assert.deepEqual(sent, []);
  // The server knows common passwords, the page doesn't.
  await field.fill('starwars');
  await page.getByRole('button', { name: 'Create account' }).click();
  await note.filter({ hasText: 'too common' }).waitFor();
  assert.equal(sent.length, 1);
  await w.axe('a password that is refused');
  await field.fill('correct horse battery');
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('navigation', { name: 'Chats' }).waitFor();
  w.clean();
  await w.context.close();
});

async function login({ page }, password) {
  await page.getByLabel('Username or e-mail').fill('anna');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation', { name: 'Chats' }).waitFor();
}
