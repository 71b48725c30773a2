// Every page that the server has, opened: nothing in its console, something on the screen; and every script that comes with it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { launch, Window } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

const run = promisify(execFile);
const web = (path) => fileURLToPath(new URL(`../../web/${path}`, import.meta.url));
const BROWSER = { accept: 'text/html' };
let server;
let browser;
let folder;
/** Scripts that pages asked for: the address, and whether it is a module. */
const scripts = new Map();

before(async () => {
  server = await Server.start();
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), 'parlance-scripts-'));
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Opens a page; gives the window once `shown` can be seen. @param {(page: import('playwright-core').Page) => any} shown */
async function open(path, shown, options) {
  const w = await Window.open(browser, server.url, options);
  await w.page.goto('about:blank');
  w.problems.length = 0;
  w.page.on('response', (r) => {
    const kind = r.headers()['content-type'] ?? '';
    if (kind.includes('javascript')) scripts.set(r.url(), new URL(r.url()).pathname.startsWith('/js/'));
  });
  const response = await w.page.goto(server.url + path);
  await shown(w.page).first().waitFor();
  await w.page.waitForLoadState('networkidle');
  return { w, response };
}

const login = (page) => page.getByRole('heading', { name: 'Welcome back' });
const swagger = (page) => page.locator('.opblock').first();
const redoc = (page) => page.getByRole('heading', { name: /parlance/i });
/** All pages that are served: the address, what shows that it is there, and the file, where `web` has it. */
const PAGES = [
  ['/', login, 'index.html'],
  ['/index.html', login, 'index.html'],
  ['/docs', swagger],
  ['/docs/index.html', swagger],
  ['/chat/docs', swagger],
  ['/redoc', redoc, 'redoc/index.html'],
  ['/redoc/index.html', redoc, 'redoc/index.html'],
  ['/not-found.html', (page) => page.getByRole('heading', { name: 'There is nothing at this address' }), 'not-found.html'],
];

for (const [path, shown] of PAGES) {
  for (const options of [{}, { colorScheme: 'dark', viewport: { width: 380, height: 700 } }]) {
    test(`${path} opens without an error, ${options.colorScheme ? 'narrow and dark' : 'wide and light'}`, async () => {
      const { w, response } = await open(path, shown, options);
      assert.equal(response.status(), 200);
      assert.deepEqual(w.problems, []);
      await w.context.close();
    });
  }
}

test('no page is left out here', async () => {
  const files = (await readdir(web('.'), { recursive: true })).filter((file) => file.endsWith('.html'));
  assert.deepEqual(files.sort(), [...new Set(PAGES.map(([, , file]) => file).filter(Boolean))].sort());
});

test('/chat/docs is open at the paths of chat-service', async () => {
  const { w } = await open('/chat/docs', (page) => page.locator('#operations-tag-chat-service[data-is-open=true]'));
  await until(async () => {
    const { y } = await w.page.locator('#operations-tag-chat-service').boundingBox();
    return y >= 0 && y < 300;
  }, 'scrolled to them');
  assert.equal(new URL(w.page.url()).hash, '#/chat-service');
  await w.context.close();
});

test('ReDoc tells of every operation', async () => {
  const { w } = await open('/redoc', (page) => page.getByRole('heading', { name: 'Rooms', exact: true }).or(page.getByRole('heading', { name: /rooms/i })));
  const document = await (await fetch(`${server.url}/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path)).filter((o) => o.operationId);
  assert.ok(operations.length > 30);
  const text = await w.page.locator('#redoc').innerText();
  for (const { summary } of operations) assert.ok(text.includes(summary), summary);
  await w.context.close();
});

for (const path of ['/nothing-here', '/js/nothing.js', '/docs/nothing']) {
  test(`${path} says in words that nothing is there, with a way on`, async () => {
    const { w, response } = await open(path, (page) => page.getByRole('heading', { name: 'There is nothing at this address' }));
    assert.equal(response.status(), 404);
    assert.equal(response.headers()['cache-control'], 'no-store');
    w.clean();
    await w.axe(path);
    await w.page.getByRole('link', { name: 'Open the chats' }).click();
    await w.page.getByRole('heading', { name: 'Welcome back' }).waitFor();
    await w.context.close();
    // A program is answered as before.
    const answer = await fetch(server.url + path, { headers: { accept: 'application/json' } });
    assert.deepEqual([answer.status, (await answer.json()).code], [404, 'unknown_op']);
  });
}

test('every script that pages load is whole', async () => {
  assert.ok(scripts.size >= 4, [...scripts.keys()].join());
  let i = 0;
  for (const [url, module] of scripts) {
    const file = join(folder, `${(i += 1)}.${module ? 'mjs' : 'cjs'}`);
    await writeFile(file, await (await fetch(url)).text());
    await run(process.execPath, ['--check', file]).catch((error) => assert.fail(`${url}: ${error.stderr}`));
  }
});

test('ReDoc is, byte by byte, what its package has', async () => {
  const page = await readFile(web('redoc/index.html'), 'utf8');
  const version = page.match(/redoc (\d+\.\d+\.\d+)/)?.[1];
  assert.ok(version, 'the page names the version');
  await run('npm', ['pack', `redoc@${version}`, '--ignore-scripts', '--silent', '--prefer-offline', '--pack-destination', folder]);
  await run('tar', ['xzf', join(folder, `redoc-${version}.tgz`), '-C', folder]);
  const packed = (path) => readFile(join(folder, 'package', path));
  assert.ok((await packed('bundles/redoc.standalone.js')).equals(await readFile(web('redoc/redoc.standalone.js'))));
  const licence = await readFile(web('redoc/LICENSE.txt'), 'utf8');
  for (const part of ['LICENSE', 'bundles/redoc.standalone.js.LICENSE.txt']) {
    assert.ok(licence.includes(String(await packed(part)).trim()), part);
  }
});

test('a first visit takes few requests, compressed, and another one hardly any bytes', async () => {
  const w = await Window.open(browser, server.url);
  const cdp = await w.context.newCDPSession(w.page);
  await cdp.send('Network.enable');
  let requests = 0;
  let bytes = 0;
  cdp.on('Network.requestWillBeSent', () => { requests += 1; });
  cdp.on('Network.loadingFinished', (event) => { bytes += event.encodedDataLength; });
  await cdp.send('Network.clearBrowserCache');
  await w.page.goto(server.url);
  await w.page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  await w.page.waitForLoadState('networkidle');
  const first = { requests, bytes };
  requests = bytes = 0;
  await w.page.reload();
  await w.page.waitForLoadState('networkidle');
  const second = { requests, bytes };
  console.log(`# first visit: ${JSON.stringify(first)}, second: ${JSON.stringify(second)}`);
  assert.ok(first.requests <= 6, `${first.requests} requests`);
  assert.ok(first.bytes < 60_000, `${first.bytes} bytes`);
  assert.ok(second.bytes < 6_000, `${second.bytes} bytes`);
  for (const path of ['/', '/app.css', '/js/main.js', '/openapi.json', '/redoc/redoc.standalone.js', '/docs/swagger-ui-bundle.js']) {
    const answer = await w.page.request.get(server.url + path, { headers: { ...BROWSER, 'accept-encoding': 'gzip, deflate, br, zstd' } });
    assert.equal(answer.headers()['content-encoding'], 'br', path);
  }
  await w.context.close();
});
