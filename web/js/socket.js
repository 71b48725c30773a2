// One connection that keeps coming back: requests with one reply each, pushes, credits, token renewal, growing pauses.

import { afterClose, backoff, Disconnected, FaultError } from './codes.js';

/** Silence after which the server is asked for a sign of life. */
const QUIET_MS = 35_000;
/** A request that waits longer has been lost with its connection. */
const REPLY_MS = 20_000;
/** How long a sign of life may take: ordinarily, and where the browser says that there is no network. */
const PROBE_MS = 8_000;
const DOUBTED_MS = 2_000;
/** A handshake that takes longer is given up. */
const OPEN_MS = 15_000;

const CLOCK = { now: () => Date.now(), set: (f, ms) => setTimeout(f, ms), clear: (t) => clearTimeout(t) };

/**
 * States: `idle`, `connecting`, `resuming` (greeted), `live` (resumed; `doubted` while the browser says
 * that there is no network and the server hasn't said otherwise), `waiting` (until `at`), `stopped` (with `code`).
 */
export class Connection {
  state = { name: 'idle' };
  #socket = null;
  #number = 0;
  #flights = new Map();
  #queue = [];
  #credits = 64;
  #attempt = 0;
  #refused = undefined;
  #refusals = 0;
  #planned = 0;
  #timer = null;
  #watch = null;
  #renewal = null;
  #heard = 0;

  /**
   * @param {object} parts
   * @param {(protocols: string[]) => WebSocket} parts.open
   * @param {(wish?: object) => Promise<string|null>} parts.token Null: there is no login any more.
   * @param {(hello: any) => Promise<void>} parts.resume Says where this client is; live once it resolves.
   * @param {(push: any) => void} parts.push
   * @param {(state: any) => void} parts.changed
   * @param {() => void} [parts.signedOut]
   */
  constructor({ open, token, resume, push, changed, signedOut = () => {}, clock = CLOCK, random = Math.random }) {
    Object.assign(this, { open, token, resume, push, changed, signedOut, clock, random });
  }

  get live() {
    return this.state.name === 'live';
  }

  /** Connects, and stays connected. */
  start() {
    if (this.state.name === 'idle' || this.state.name === 'stopped') this.#connect();
  }

  /** Ends it for good. */
  stop() {
    this.#drop();
    this.#become({ name: 'idle' });
  }

  /** Drops the connection and makes another one, resuming from where this client stands. */
  restart() {
    this.#drop();
    this.#wait();
  }

  /** Something changed for the better (network, tab in front): doesn't wait any longer, or asks whether the server is there. */
  nudge() {
    if (this.state.name === 'waiting' && this.clock.now() >= this.#planned) this.#connect();
    else if (this.live) this.#probe(PROBE_MS);
  }

  /** The browser says that the network is back: an attempt that began without it is not waited for. */
  online() {
    if (this.state.name !== 'connecting') return this.nudge();
    this.#drop();
    return this.#connect();
  }

  /** The browser says that there is no network. That is believed at once, until the server answers all the same. */
  offline() {
    if (this.state.name === 'connecting') this.restart();
    if (!this.live || this.state.doubted) return;
    this.#become({ name: 'live', doubted: true });
    const socket = this.#socket;
    this.#probe(DOUBTED_MS, () => this.#socket === socket && this.state.doubted && this.#become({ name: 'live' }));
  }

  /** Asks for an operation. @param {string} op @param {object} [fields] @returns {Promise<any>} */
  request(op, fields = {}) {
    if (!this.#socket || this.state.name === 'connecting') return Promise.reject(new Disconnected());
    return new Promise((resolve, reject) => {
      this.#queue.push({ op, fields, resolve, reject });
      this.#pump();
    });
  }

  #become(state) {
    this.state = state;
    this.changed(state);
  }

  async #connect() {
    this.clock.clear(this.#timer);
    this.#become({ name: 'connecting' });
    const attempt = (this.#socket = {});
    let token;
    try {
      token = await this.token({ not: this.#refused });
    } catch {
      if (this.#socket === attempt) this.#wait();
      return;
    }
    if (this.#socket !== attempt) return;
    if (token === null) {
      this.stop();
      this.signedOut();
      return;
    }
    const socket = (this.#socket = this.open(['parlance.v1.json', 'bearer', token]));
    this.#timer = this.clock.set(() => this.#lost(socket, 1006), OPEN_MS);
    socket.onmessage = (event) => this.#socket === socket && this.#received(JSON.parse(event.data), token);
    socket.onclose = (event) => this.#socket === socket && this.#lost(socket, event.code, token);
    socket.onerror = () => {};
  }

  #received(frame, token) {
    this.#heard = this.clock.now();
    if (frame.re !== undefined) this.#answered(frame);
    else if (frame.push === 'hello') this.#greeted(frame, token);
    else if (frame.push === 'reconnect') this.#planned = this.clock.now() + frame.after_ms;
    else this.push(frame);
  }

  async #greeted(hello, token) {
    const socket = this.#socket;
    this.clock.clear(this.#timer);
    this.#credits = hello.credits;
    this.#refused = undefined;
    this.#refusals = 0;
    this.#become({ name: 'resuming' });
    this.#renewAt(hello.token_expires_at - hello.now, token);
    try {
      await this.resume(hello);
    } catch (error) {
      if (this.#socket === socket) this.restart();
      return;
    }
    if (this.#socket !== socket) return;
    this.#attempt = 0;
    this.#planned = 0;
    this.#become({ name: 'live' });
    this.#listen();
  }

  /** Sends a new token, made by this tab or another one, before the old one ends. @param {string} token */
  async renew(token) {
    if (!this.#socket || this.state.name === 'connecting' || !token) return;
    await this.request('token', { token }).catch(() => {});
  }

  #renewAt(left, token) {
    this.clock.clear(this.#renewal);
    const socket = this.#socket;
    const ask = async () => {
      // Some of the last two minutes are chance, so that several tabs don't all wake for it.
      const fresh = await this.token({ not: token, margin: 120_000 }).catch(() => null);
      if (this.#socket !== socket) return;
      if (!fresh) this.#renewal = this.clock.set(ask, 5_000);
      else {
        await this.renew(fresh);
        token = fresh;
        this.#renewal = this.clock.set(ask, Math.max(5_000, left - 120_000));
      }
    };
    this.#renewal = this.clock.set(ask, Math.max(1_000, left - 120_000 + 60_000 * this.random()));
  }

  #pump() {
    while (this.#queue.length && this.#flights.size < this.#credits) {
      const { op, fields, resolve, reject } = this.#queue.shift();
      const n = ++this.#number;
      const late = this.clock.set(() => this.restart(), REPLY_MS);
      this.#flights.set(n, { resolve, reject, late });
      this.#socket.send(JSON.stringify({ n, op, ...fields }));
    }
  }

  #answered({ re, ok, fault }) {
    const flight = this.#flights.get(re);
    if (!flight) return;
    this.#flights.delete(re);
    this.clock.clear(flight.late);
    if (fault) flight.reject(new FaultError(fault));
    else flight.resolve(ok);
    this.#pump();
  }

  /** A dead connection says nothing: after some silence, asks. */
  #listen() {
    this.clock.clear(this.#watch);
    this.#watch = this.clock.set(() => {
      if (this.clock.now() - this.#heard >= QUIET_MS) this.#probe(PROBE_MS);
      this.#listen();
    }, QUIET_MS);
  }

  #probe(ms, alive = () => {}) {
    const socket = this.#socket;
    const dead = this.clock.set(() => this.#socket === socket && this.restart(), ms);
    this.request('ping').then(alive).catch(() => {}).finally(() => this.clock.clear(dead));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    for (const timer of [this.#timer, this.#watch, this.#renewal]) this.clock.clear(timer);
    const lost = [...this.#flights.values(), ...this.#queue];
    this.#flights.clear();
    this.#queue = [];
    for (const flight of lost) {
      this.clock.clear(flight.late);
      flight.reject(new Disconnected());
    }
    if (socket?.close) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #lost(socket, code, token) {
    this.#drop();
    const next = afterClose(code);
    if (next === 'stop') return this.#become({ name: 'stopped', code });
    if (next === 'authenticate') {
      this.#refused = token;
      this.#refusals += 1;
      // One refused token is an old one; a second one straight after it is no accident and waits like any failure.
      if (this.#refusals === 1) return this.#connect();
    }
    return this.#wait();
  }

  #wait() {
    const pause = Math.max(backoff(this.#attempt, this.random), this.#planned - this.clock.now());
    this.#attempt += 1;
    this.#become({ name: 'waiting', at: this.clock.now() + pause, planned: this.#planned > this.clock.now() });
    this.clock.clear(this.#timer);
    this.#timer = this.clock.set(() => this.#connect(), pause);
  }
}
