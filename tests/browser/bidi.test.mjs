// Text that runs from right to left, and names that try to turn what is around them, in every view; with the page itself either way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Window } from './support/browser.mjs';
import { FAKE, Server, until } from './support/server.mjs';

/** A name that overrides the direction, one that opens an isolate, one that closes the isolate around it, and ordinary ones. */
const NAMES = { over: 'Over\u202etacirp', open: 'Open\u2066\u202b tail', close: 'Close\u2069\u202e tail', dana: 'דנה לוי', omar: 'عمر الخطيب' };
const ROOM = 'غرفة\u202e \u2067الحديقة';
let server;
let browser;
let anna;
const others = {};

before(async () => {
  server = await Server.start(FAKE);
  browser = await launch();
  anna = await Window.open(browser, server.url);
  await anna.register('anna', 'Anna Weiß');
  for (const [username, full_name] of Object.entries(NAMES)) {
    others[username] = await server.call('/v1/auth/register', { body: { username, full_name, password: 'correct horse battery' } });
  }
  await anna.page.getByRole('button', { name: 'New chat' }).click();
  await anna.page.getByRole('menuitem', { name: 'New group' }).click();
  await anna.page.getByLabel('Name', { exact: true }).fill(ROOM);
  for (const person of Object.keys(NAMES)) {
    await anna.page.getByLabel('Add people (optional)').fill(person);
    await anna.page.getByRole('list', { name: 'People found' }).getByRole('button').first().waitFor();
    await unturned(anna, 'people found');
    await anna.page.getByRole('list', { name: 'People found' }).getByRole('button').first().click();
    await unturned(anna, 'people chosen');
  }
  await anna.page.getByRole('button', { name: 'Create group' }).click();
  await anna.page.locator('.room-title').waitFor();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** English words on the screen whose letters don't run from left to right: something beside them turned them. */
const turned = (w) => w.page.evaluate(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const word of node.data.matchAll(/[a-z]{3,}/gi)) {
      const letter = (at) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect();
      };
      const [first, last] = [letter(word.index), letter(word.index + word[0].length - 1)];
      if (first.width && last.width && Math.abs(first.top - last.top) < 2 && first.left > last.left) found.push(`${word[0]} in “${node.data}”`);
    }
  }
  return found;
});

async function unturned(w, view) {
  assert.deepEqual(await turned(w), [], view);
}

/** Words that stand after a name in the same line are to its right, where the page runs from left to right. */
const inOrder = (w, selector, name, words) => w.page.locator(selector).evaluateAll((nodes, [what, rest]) => nodes.filter((n) => n.textContent.includes(what) && n.textContent.includes(rest)).map((node) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const place = (text) => {
    walker.currentNode = node;
    for (let t = walker.nextNode(); t; t = walker.nextNode()) {
      const at = t.data.indexOf(text);
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(t, at);
      range.setEnd(t, at + text.length);
      return range.getBoundingClientRect();
    }
    return null;
  };
  return place(rest).left >= place(what).right - 1;
}), [name, words]);

/** Does something as somebody else, over a connection of their own. */
async function as(username, ...requests) {
  const socket = new (await import('ws')).default(`${server.url.replace('http', 'ws')}/v1/connect`, ['parlance.v1.json', 'bearer', others[username].access_token]);
  await new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ n: 1, op: 'resume', positions: {} }));
  const room = Number(anna.page.url().split('/').at(-1));
  for (const [i, request] of requests.entries()) socket.send(JSON.stringify({ n: i + 2, room, ...request }));
  return socket;
}
const post = (text, more) => ({ op: 'send', content: { text }, client_id: Math.random().toString(36), ...more });

test('who is writing is said without turning the line, in the room and in the list', async () => {
  for (const username of Object.keys(NAMES)) {
    const socket = await as(username, { op: 'typing', on: true });
    await anna.page.locator('.typing-line', { hasText: 'is writing…' }).waitFor();
    await unturned(anna, `${username} writes`);
    if (['dana', 'omar'].includes(username)) {
      assert.deepEqual(await inOrder(anna, '.typing-line', NAMES[username], 'is writing'), [true]);
      assert.deepEqual(await inOrder(anna, '.room-last', NAMES[username], 'is writing'), [true]);
    }
    socket.send(JSON.stringify({ n: 9, op: 'typing', room: Number(anna.page.url().split('/').at(-1)), on: false }));
    await anna.page.locator('.typing-line', { hasText: /^$/ }).waitFor({ state: 'attached' });
    socket.close();
  }
  const all = await Promise.all(['over', 'dana'].map((username) => as(username, { op: 'typing', on: true })));
  await anna.page.locator('.typing-line', { hasText: 'are writing…' }).waitFor();
  await unturned(anna, 'two write');
  all.forEach((socket) => socket.close());
});

test('messages, quotes, reactions, notes and readers keep to themselves', async () => {
  for (const username of Object.keys(NAMES)) {
    (await as(username, post(`hello from ${username} @anna @dana \u202e12.5`), { op: 'read', seq: 2 })).close();
    await anna.see(`hello from ${username}`);
  }
  (await as('dana', post('שלום לכולם, מה שלומכם היום?'), post('שורה ארוכה מאוד '.repeat(12)))).close();
  await anna.see('שלום לכולם');
  (await as('omar', post('answer', { reply_to: 2 }), { op: 'react', seq: 2, emoji: '👍', client_id: 'r' })).close();
  await anna.see('answer');
  await anna.page.locator('.reaction').first().waitFor();
  await unturned(anna, 'messages');
});

test('the list of chats tells who wrote what, in that order, on its own side', async () => {
  (await as('dana', post('שלום'))).close();
  await anna.page.locator('.room-last', { hasText: 'שלום' }).waitFor();
  assert.deepEqual(await inOrder(anna, '.room-last', 'דנה', ':'), [true]);
  assert.deepEqual(await inOrder(anna, '.room-last', 'דנה', 'שלום'), [true]);
  const sides = await anna.page.evaluate(() => {
    const side = (node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return range.getBoundingClientRect().left - node.parentElement.getBoundingClientRect().left;
    };
    return [...document.querySelectorAll('.room-name')].map(side);
  });
  for (const left of sides) assert.ok(left < 3, `a name ${left} px from its side`);
});

test('the time stands beside the words, not on them', async () => {
  const overlaps = await anna.page.evaluate(() => [...document.querySelectorAll('.message')].flatMap((row) => {
    const stamp = row.querySelector('.stamp')?.getBoundingClientRect();
    const words = row.querySelector('.words');
    const bubble = row.querySelector('.bubble').getBoundingClientRect();
    if (!stamp || !words) return [];
    const range = document.createRange();
    range.selectNodeContents(words);
    const hit = [...range.getClientRects()].some((r) => r.left < stamp.right - 1 && r.right > stamp.left + 1 && r.top < stamp.bottom - 4 && r.bottom > stamp.top + 4);
    const near = [...range.getClientRects()].every((r) => Math.abs(r.top - stamp.top) > 12 || r.right <= stamp.left - 6 || r.left >= stamp.right + 6);
    const within = stamp.left >= bubble.left && stamp.right <= bubble.right;
    return hit || !near || !within ? [`${words.textContent.slice(0, 30)}: ${JSON.stringify({ hit, near, within })}`] : [];
  }));
  assert.deepEqual(overlaps, []);
});

test('names of members stand beside their pictures, and menus and questions about them read as they should', async () => {
  await anna.details();
  await anna.member(NAMES.dana, /Offline|Last seen/);
  await unturned(anna, 'members');
  const far = await anna.page.locator('.member').evaluateAll((rows) => rows.map((row) => {
    const range = document.createRange();
    range.selectNodeContents(row.querySelector('.member-text > :first-child'));
    return range.getBoundingClientRect().left - row.querySelector('.disc').getBoundingClientRect().right;
  }));
  assert.equal(far.length, 6);
  for (const px of far) assert.ok(px > 0 && px < 24, `a name ${px} px from its picture`);
  for (const name of [NAMES.dana, 'Overtacirp']) {
    await anna.page.getByRole('button', { name: new RegExp(`^Actions for .*${name}`) }).click();
    await unturned(anna, 'menu');
    await anna.page.getByRole('menuitem', { name: 'Ban', exact: true }).click();
    await unturned(anna, 'question');
    await anna.page.keyboard.press('Escape');
    await anna.page.locator('dialog:not(.side)').waitFor({ state: 'detached' });
  }
  await anna.page.getByRole('button', { name: /Actions for .*Overtacirp/ }).click();
  await anna.page.getByRole('menuitem', { name: 'Mute', exact: true }).click();
  await anna.toast('is muted.');
  await unturned(anna, 'a note');
  await anna.closeDialog();
});

test('titles and labels have no characters that steer what follows, and isolate what runs the other way', async () => {
  assert.equal(await anna.page.title(), '\u2068غرفة الحديقة\u2069 · parlance');
  const loose = await anna.page.evaluate(() => {
    const found = [];
    const check = (where, text) => {
      let open = 0;
      for (const c of text ?? '') {
        if (/[\u202a-\u202e]/.test(c)) found.push(`${where}: ${text}`);
        if (/[\u2066-\u2068]/.test(c)) open += 1;
        if (c === '\u2069' && (open -= 1) < 0) found.push(`${where}: ${text}`);
      }
      if (open) found.push(`${where}: ${text}`);
    };
    for (const node of document.querySelectorAll('*')) for (const name of ['title', 'aria-label', 'alt', 'placeholder']) check(name, node.getAttribute(name));
    return found;
  });
  assert.deepEqual(loose, []);
});

test('a mention list and a profile read as they should', async () => {
  await anna.page.getByRole('textbox', { name: 'Message' }).pressSequentially('@');
  await anna.page.getByRole('listbox', { name: 'Members' }).waitFor();
  await unturned(anna, 'mention list');
  await anna.page.keyboard.press('Escape');
  await anna.page.getByRole('textbox', { name: 'Message' }).fill('');
  const dana = await Window.open(browser, server.url);
  await dana.page.getByLabel('Username or e-mail').fill('close');
  await dana.page.getByLabel('Password').fill('correct horse battery');
  await dana.page.getByRole('button', { name: 'Log in' }).click();
  await dana.page.getByRole('button', { name: /profile and status/ }).click();
  await unturned(dana, 'profile');
  await dana.context.close();
});

test('a page that runs from right to left has everything on its other side, and nothing outside', async () => {
  await anna.page.evaluate(() => { document.documentElement.dir = 'rtl'; });
  await until(async () => {
    const [list, room] = await Promise.all(['.sidebar', '.room'].map((s) => anna.page.locator(s).boundingBox()));
    return list.x > room.x;
  }, 'the list on the right');
  for (const size of [{ width: 1100, height: 760 }, { width: 380, height: 700 }]) {
    await anna.page.setViewportSize(size);
    const outside = await anna.page.evaluate(() => [...document.querySelectorAll('.app *')].filter((node) => {
      const r = node.getBoundingClientRect();
      return r.width && getComputedStyle(node).visibility === 'visible' && !node.closest('.unseen') && (r.left < -1 || r.right > innerWidth + 1);
    }).map((node) => node.outerHTML.slice(0, 80)));
    assert.deepEqual(outside, [], `${size.width}`);
    await anna.axe(`right to left, ${size.width}`);
  }
  await anna.page.setViewportSize({ width: 1100, height: 760 });
  const readers = await anna.page.locator('.message.theirs.first').first().evaluate((row) => row.querySelector('.disc').getBoundingClientRect().left > row.querySelector('.bubble').getBoundingClientRect().left);
  assert.ok(readers, 'a picture is on the right of its message');
  await anna.details();
  const dialog = await anna.page.locator('dialog.side').boundingBox();
  assert.ok(dialog.x < 20, 'details are on the left');
  anna.clean();
});
