// Where a room opens, and that one stays where one reads: at the first unread message, under a line that doesn't move.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

const ROOM = 'Long story';
const UNREAD = 300;
let server;
let browser;
let anna;
let room;
let bela;

before(async () => {
  server = await Server.start();
  browser = await launch();
  anna = await Window.open(browser, server.next());
  await anna.register('anna', 'Anna Weiß');
  bela = (await server.call('/v1/auth/register', { body: { username: 'bela', password: 'correct horse battery', full_name: 'Béla' } })).access_token;
  await anna.createGroup(ROOM, ['bela']);
  room = Number(anna.page.url().split('/').at(-1));
  await sayAll('old', 40);
  await anna.see('old 40');
  await anna.page.bringToFront();
  await until(async () => (await view()).unread === 0, 'all read');
  await anna.page.goto(`${anna.url}/#/`);
  await sayAll('new', UNREAD);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const say = (text) => server.call(`/v1/rooms/${room}/messages`, { token: bela, body: { content: { text } } });
/** Says much, numbered from 1. */
const sayAll = (word, count) => server.sendAll(bela, room, Array.from({ length: count }, (_, i) => `${word} ${i + 1}`));
const view = async () => {
  const token = await anna.page.evaluate(() => JSON.parse(localStorage.getItem('parlance.login')).access_token);
  return server.call(`/v1/rooms/${room}`, { method: 'GET', token });
};
/** The messages' words that stand on the screen, from the top. */
const onScreen = () => anna.page.locator('.timeline').evaluate((box) => {
  const { top, bottom } = box.getBoundingClientRect();
  return [...box.querySelectorAll('.message .words, .unread-line')].filter((node) => {
    const r = node.getBoundingClientRect();
    return r.bottom > top && r.top < bottom;
  }).map((node) => (node.matches('.unread-line') ? '---' : node.textContent));
});
/** The row after the line, wherever it is. */
const afterLine = () => anna.page.locator('.unread-line + .message .words').textContent();
const scroll = (by) => anna.page.locator('.timeline').evaluate((box, y) => { box.scrollTop += y; }, by);
const opened = () => until(async () => (await onScreen()).includes('---'), 'the line on the screen');

test('a room with more unread messages than a page opens at the first of them', async () => {
  await anna.page.reload();
  await anna.page.locator('.badge', { hasText: String(UNREAD) }).waitFor();
  await anna.openRoom(ROOM);
  await opened();
  const rows = await onScreen();
  const line = rows.indexOf('---');
  assert.deepEqual(rows.slice(line - 1, line + 3), ['old 40', '---', 'new 1', 'new 2']);
  assert.ok(line < rows.length / 2, rows.join());
});

test('the line stays where it was while pages load on both sides, and what was on the screen stays there', async () => {
  assert.equal(await afterLine(), 'new 1');
  await until(async () => {
    await scroll(700);
    return (await onScreen()).includes('new 120');
  }, 'further pages below', 60_000);
  assert.equal(await afterLine(), 'new 1');
  assert.equal(await anna.page.locator('.unread-line').count(), 1);
  // Up again, where earlier pages are put in above what one reads: the row in the middle doesn't move by itself.
  const far = anna.page.locator('.message', { has: anna.page.getByText('old 30', { exact: true }) });
  await until(async () => {
    await scroll(-900);
    return far.isVisible() && (await onScreen()).includes('old 30');
  }, 'the beginning', 60_000);
  const place = () => far.evaluate((node) => Math.round(node.getBoundingClientRect().top));
  await until(async () => anna.page.getByText('This is the beginning of the chat.').count(), 'all earlier pages');
  const before = await place();
  await say('while reading above');
  await anna.page.locator('.room-last', { hasText: 'while reading above' }).waitFor();
  assert.equal(await place(), before);
  assert.equal(await afterLine(), 'new 1');
});

test('a page that is put in above leaves the reading place', async () => {
  // A window in the middle: the pages above it aren't loaded.
  await anna.page.getByRole('button', { name: /new$|Latest/ }).click();
  await anna.see(`new ${UNREAD}`);
  await until(async () => (await onScreen()).at(-1) === 'while reading above', 'the end');
  const count = () => anna.page.locator('.message').count();
  for (let i = 0; i < 3; i += 1) {
    const had = await count();
    const seen = await anna.page.locator('.timeline').evaluate((box) => {
      box.scrollTop = 500;
      const { top } = box.getBoundingClientRect();
      const row = [...box.querySelectorAll('.message')].find((node) => node.getBoundingClientRect().top > top);
      return { seq: row.dataset.seq, top: Math.round(row.getBoundingClientRect().top) };
    });
    await until(async () => (await count()) > had, 'an earlier page');
    const now = await anna.page.locator(`.message[data-seq="${seen.seq}"]`).evaluate((node) => Math.round(node.getBoundingClientRect().top));
    assert.ok(Math.abs(now - seen.top) <= 1, `moved from ${seen.top} to ${now}`);
    // The first unread message isn't loaded here: the line is not put above another one instead.
    assert.equal(await anna.page.locator('.unread-line').count(), 0);
  }
});

test('a button leads to the newest message at once, and everything is read then', async () => {
  await anna.page.getByRole('button', { name: /new$|Latest/ }).click();
  await until(async () => (await onScreen()).at(-1) === 'while reading above', 'the newest message');
  await anna.page.bringToFront();
  await until(async () => (await view()).unread === 0, 'all read');
  await anna.page.locator('.to-end').waitFor({ state: 'hidden' });
  await say('and one more');
  await until(async () => (await onScreen()).at(-1) === 'and one more', 'it follows the end');
});

test('what was read on the way is not unread the next time', async () => {
  await anna.page.goto(`${anna.url}/#/`);
  await sayAll('more', 120);
  await anna.openRoom(ROOM);
  await opened();
  assert.equal(await afterLine(), 'more 1');
  await anna.page.bringToFront();
  await until(async () => {
    await scroll(300);
    return (await onScreen()).includes('more 30');
  }, 'some of them');
  await until(async () => (await view()).unread <= 120 - 29, 'those read');
  await anna.page.goto(`${anna.url}/#/`);
  const left = (await view()).unread;
  assert.ok(left > 20 && left <= 91, String(left));
  await anna.page.locator('.badge', { hasText: String(left) }).waitFor();
  await anna.openRoom(ROOM);
  await opened();
  assert.equal(await afterLine(), `more ${120 - left + 1}`);
});

test('a room without unread messages opens at its end, without a line', async () => {
  await anna.page.getByRole('button', { name: /new$|Latest/ }).click();
  await anna.page.bringToFront();
  await until(async () => (await view()).unread === 0, 'all read');
  await anna.page.goto(`${anna.url}/#/`);
  await anna.openRoom(ROOM);
  await until(async () => (await onScreen()).at(-1) === 'more 120', 'the end');
  assert.equal(await anna.page.locator('.unread-line').count(), 0);
  anna.clean();
});
