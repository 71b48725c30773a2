// Chromium for a program that is no JavaScript: requests as JSON lines on standard input, an answer to each on standard output.

import { createInterface } from 'node:readline';
import { launch } from './support/browser.mjs';

const browser = await launch();
let page;

const actions = {
  /** Opens the server's own page, in a window that shares nothing with the one before. */
  async visit({ url }) {
    await page?.context().close();
    page = await (await browser.newContext()).newPage();
    await page.goto(url);
    await page.evaluate(() => {
      window.sockets = [];
    });
  },

  call: (request) =>
    page.evaluate(async ({ method, url, headers, body }) => {
      const response = await fetch(url, { method, headers, body, cache: 'no-store' });
      return { status: response.status, headers: [...response.headers], body: await response.text() };
    }, request),

  open: (request) =>
    page.evaluate(async ({ url, subprotocols }) => {
      const socket = new WebSocket(url, subprotocols);
      const entry = { socket, queue: [], wake: () => {} };
      const push = (...event) => {
        entry.queue.push(event);
        entry.wake();
      };
      socket.onmessage = ({ data }) => push(typeof data === 'string' ? 'text' : 'binary', data);
      socket.onclose = ({ code }) => push('close', code);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error('the upgrade was refused'));
      });
      socket.onerror = null;
      return { socket: window.sockets.push(entry) - 1, subprotocol: socket.protocol };
    }, request),

  send: (request) => page.evaluate(({ socket, text }) => window.sockets[socket].socket.send(text), request),

  receive: (request) =>
    page.evaluate(async ({ socket, ms }) => {
      const entry = window.sockets[socket];
      if (entry.queue.length === 0 && ms > 0) {
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, ms);
          entry.wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      // A close stays the last thing that there is to receive.
      return (entry.queue[0]?.[0] === 'close' ? entry.queue[0] : entry.queue.shift()) ?? null;
    }, request),

  close: (request) => page.evaluate(({ socket }) => window.sockets[socket].socket.close(), request),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await actions[what](request)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
