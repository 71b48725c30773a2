// Starting, killing and restarting a server process.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

const START_MS = 60_000;

/** How long tests wait, times this: more than 1 on a machine that does much else (`PATIENCE=4 npm test`). @param {number} ms */
export const patient = (ms) => ms * Number(process.env.PATIENCE ?? 1);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The test double; it does on demand what a sound server seldom does. */
export const FAKE = here('../fake/server.mjs');

/** The server under test: the one that PARLANCE_BIN names, else the one that was built last in the usual place. */
export function binary() {
  if (process.env.PARLANCE_BIN) return process.env.PARLANCE_BIN;
  const built = ['dist', 'everyday', 'debug'].map((profile) => here(`../../../target/${profile}/parlance`)).find(existsSync);
  if (!built) throw new Error('no server to test: build it (cargo build), or name one with PARLANCE_BIN');
  return built;
}

/** Waits until `check` gives something true. @template T @param {() => T|Promise<T>} check @param {string} what */
export async function until(check, what, ms = 15_000) {
  const end = Date.now() + patient(ms);
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** A server: one process, or one that stands for the nodes of a cluster. */
export class Server {
  static async start(bin = binary(), env = {}) {
    const server = new Server();
    Object.assign(server, { bin, env, data: await mkdtemp(join(tmpdir(), 'parlance-browser-')), listen: '127.0.0.1:0', windows: 0 });
    await server.run();
    return server;
  }

  /** Starts the process; again on the same port and data folder when it ran before. */
  async run() {
    const args = ['--listen', this.listen, '--data', this.data];
    // The server takes PARLANCE_… as its settings; the tests' own variable is none of them.
    const { PARLANCE_BIN: _, ...env } = process.env;
    this.process = spawn(this.bin, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, ...this.env } });
    this.log = '';
    this.ended = new Promise((done) => this.process.once('close', done));
    this.urls = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the server did not start:\n${this.log}`)), patient(START_MS));
      const read = (chunk) => {
        this.log = (this.log + chunk).slice(-20_000);
        const found = this.log.match(/listening on (http:.*)\n/);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[1].split(' '));
      };
      this.process.stdout.on('data', read);
      this.process.stderr.on('data', read);
      this.process.once('error', reject);
      this.process.once('exit', (code) => reject(new Error(`the server ended with ${code}:\n${this.log}`)));
    });
    this.listen = new URL(this.urls[0]).host;
    // Who calls past the page stays with one node, and sees there what was done before.
    this.url = this.urls.at(-1);
  }

  /** Where the next window is opened: on each node in turn. */
  next() {
    this.windows += 1;
    return this.urls[(this.windows - 1) % this.urls.length];
  }

  async kill(signal = 'SIGKILL') {
    this.process.kill(signal);
    await this.ended;
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  /** Sends messages past the page, over one connection, as fast as the server takes them. @param {string[]} texts */
  async sendAll(token, room, texts) {
    const socket = new WebSocket(`${this.url.replace('http', 'ws')}/v1/connect`, ['parlance.v1.json', 'bearer', token]);
    await new Promise((resolve, reject) => {
      let sent = 0;
      let n = 0;
      const next = () => socket.send(JSON.stringify({ n: (n += 1), op: 'send', room, client_id: `${texts[sent]} of ${texts.length}`.replaceAll(' ', '-'), content: { text: texts[sent] } }));
      socket.on('error', reject);
      socket.on('message', (data) => {
        const frame = JSON.parse(data);
        if (frame.push === 'hello') return next();
        if (frame.re !== n) return undefined;
        if (frame.fault?.retry === 'later') return setTimeout(next, frame.fault.retry_after_ms);
        if (frame.fault) return reject(new Error(JSON.stringify(frame.fault)));
        sent += 1;
        return sent < texts.length ? next() : resolve();
      });
    });
    socket.close();
  }

  /** A request past the page. */
  async call(path, { method = 'POST', body, token } = {}) {
    const headers = { accept: 'application/json', ...(body ? { 'content-type': 'application/json' } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }
}
