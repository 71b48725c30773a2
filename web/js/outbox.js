// Commands on their way: each keeps its client id until the server has answered it, across reconnects and reloads, so
// that it is done once however often it is sent. One command per room is on its way at a time, so that order holds.

import { FaultError } from './codes.js';

/**
 * @typedef {object} Item
 * @property {string} client_id
 * @property {number} room 0 for commands without a room.
 * @property {string} op
 * @property {object} fields
 * @property {number} at
 * @property {'waiting'|'sending'|'sent'|'failed'} state
 * @property {number} [seq] The entry that did it, once answered.
 * @property {string} [fault] The code of the refusal.
 * @property {string} [detail] What the refusal says.
 */

/** A client id: 128 random bits. */
export function clientId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

export class Outbox {
  /** @type {Item[]} */
  items = [];
  #waiters = new Map();
  #held = new Map();

  /**
   * @param {object} parts
   * @param {Pick<Storage, 'getItem'|'setItem'>} parts.storage
   * @param {string} parts.key Where in the storage; another one per user.
   * @param {(op: string, fields: object) => Promise<any>} parts.request Rejects with a FaultError, or when disconnected.
   * @param {() => boolean} parts.live Whether requests can be made.
   * @param {() => void} parts.changed
   * @param {() => void} [parts.authenticate] Asks for a new token.
   * @param {(f: () => void, ms: number) => any} [parts.later]
   */
  constructor({ storage, key, request, live, changed, authenticate = () => {}, later = setTimeout }) {
    Object.assign(this, { storage, key, request, live, changed, authenticate, later });
    try {
      // What was on its way when the page went away may or may not have been done: it is sent again.
      this.items = JSON.parse(storage.getItem(key) ?? '[]').map((i) => (i.state === 'failed' ? i : { ...i, state: 'waiting' }));
    } catch {
      this.items = [];
    }
  }

  /** Puts a command in, and sends it as soon as can be. @returns {Promise<any>} The answer. */
  submit(op, room, fields, at = Date.now()) {
    const item = { client_id: clientId(), room, op, fields, at, state: 'waiting' };
    this.items = [...this.items, item];
    const answer = new Promise((resolve, reject) => this.#waiters.set(item.client_id, { resolve, reject }));
    this.#keep();
    this.flush();
    return answer;
  }

  /** The messages of a room that the log doesn't show yet. @param {number} room */
  pending(room) {
    return this.items.filter((i) => i.room === room && i.op === 'send');
  }

  /** Sends what waits, the first of each room. */
  flush() {
    if (!this.live()) return;
    const taken = new Set(this.items.filter((i) => i.state === 'sending').map((i) => i.room));
    for (const item of this.items) {
      if (item.state !== 'waiting' || taken.has(item.room)) continue;
      taken.add(item.room);
      if (!this.#held.has(item.client_id)) this.#send(item);
    }
  }

  /** Tries a refused one once more, under the same client id. @param {string} id */
  retry(id) {
    this.#change(id, { state: 'waiting', fault: undefined, detail: undefined });
    this.flush();
  }

  /** Gives one up. @param {string} id */
  discard(id) {
    this.items = this.items.filter((i) => i.client_id !== id);
    this.#keep();
    this.flush();
  }

  /** The log shows it: there is nothing left to do. @param {string} id */
  arrived(id) {
    if (!this.items.some((i) => i.client_id === id && i.op === 'send')) return;
    this.#settle(id, 'resolve', undefined);
    this.discard(id);
  }

  /** A room was read from the server up to `seq`: what was done before is in there. @param {number} room @param {number} seq */
  shown(room, seq) {
    const left = this.items.filter((i) => !(i.room === room && i.state === 'sent' && i.seq <= seq));
    if (left.length === this.items.length) return;
    this.items = left;
    this.#keep();
  }

  /** A room was left: what was for it is void, but for leaving it, which may be seen before its answer. @param {number} room */
  dropRoom(room) {
    const gone = new FaultError({ code: 'not_found', detail: '', retry: 'never' });
    for (const item of this.items.filter((i) => i.room === room)) {
      if (item.op === 'leave') this.#settle(item.client_id, 'resolve', undefined);
      else this.#settle(item.client_id, 'reject', gone);
    }
    this.items = this.items.filter((i) => i.room !== room);
    this.#keep();
  }

  async #send(item) {
    const id = item.client_id;
    this.#change(id, { state: 'sending' });
    try {
      const answer = await this.request(item.op, { ...item.fields, client_id: id });
      this.#settle(id, 'resolve', answer);
      // A message stays to be seen until its entry is pushed; anything else is over.
      if (item.op === 'send') this.#change(id, { state: 'sent', seq: answer.seq });
      else this.discard(id);
    } catch (error) {
      this.#failed(item, error);
    }
    this.flush();
  }

  #failed(item, error) {
    const id = item.client_id;
    const retry = error instanceof FaultError ? error.retry : 'reconnect';
    if (retry === 'never' || retry === 'refresh') {
      this.#settle(id, 'reject', error);
      if (item.op === 'send') this.#change(id, { state: 'failed', fault: error.code, detail: error.message });
      else this.discard(id);
      return;
    }
    this.#change(id, { state: 'waiting' });
    if (retry === 'authenticate') this.authenticate();
    if (retry !== 'reconnect') this.#hold(id, error.retryAfterMs ?? 1_000);
  }

  /** Keeps one, and those behind it in its room, back for a while. */
  #hold(id, ms) {
    this.#held.set(id, true);
    this.later(() => {
      this.#held.delete(id);
      this.flush();
    }, ms);
  }

  #settle(id, how, value) {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    if (waiter) waiter[how](value);
  }

  #change(id, change) {
    this.items = this.items.map((i) => (i.client_id === id ? { ...i, ...change } : i));
    this.#keep();
  }

  #keep() {
    try {
      this.storage.setItem(this.key, JSON.stringify(this.items.filter((i) => i.state !== 'sent')));
    } catch {
      // A full or forbidden storage costs what a reload would lose, not the sending itself.
    }
    this.changed();
  }
}
