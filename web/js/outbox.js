// Commands on their way: each keeps its client id until the server has answered it, across reconnects, reloads and tabs, so
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
 * @property {boolean} [unresolved] Whom it mentions has to be found before it is sent.
 * @property {boolean} [doubted] The server said that somebody whom it mentions is no member.
 */

/** Whether a message is refused for whom it mentions. @param {any} error */
const refusesMentions = (error) => error.code === 'invalid' && /\bmention/.test(error.message);

const gone = () => new FaultError({ code: 'not_found', detail: '', retry: 'never' });

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
   * @param {{ save: (item: Item) => void, remove: (ids: string[]) => void }} parts.storage Where unanswered commands outlive the tab.
   * @param {(op: string, fields: object) => Promise<any>} parts.request Rejects with a FaultError, or when disconnected.
   * @param {(item: Item) => Promise<number[]>} [parts.mentions] The members that a message mentions; rejects when disconnected.
   * @param {() => boolean} parts.live Whether requests can be made.
   * @param {() => void} parts.changed
   * @param {() => void} [parts.authenticate] Asks for a new token.
   * @param {(room: number) => boolean} [parts.shows] Whether there is a place where a refused message can be seen.
   * @param {(items: Item[], error: Error) => void} [parts.lost] These are over, were not done, and nothing else says so.
   * @param {(f: () => void, ms: number) => any} [parts.later]
   */
  constructor({ storage, request, mentions = async () => [], live, changed, authenticate = () => {}, shows = () => true, lost = () => {}, later = setTimeout }) {
    Object.assign(this, { storage, request, mentions, live, changed, authenticate, shows, lost, later });
  }

  /** Takes over what a tab that is gone left. It may or may not have been done: it is sent again. @param {Item[]} items */
  adopt(items) {
    const known = new Set(this.items.map((i) => i.client_id));
    const more = items.filter((i) => !known.has(i.client_id)).map((i) => (i.state === 'failed' ? i : { ...i, state: 'waiting' }));
    if (!more.length) return;
    this.items = [...this.items, ...more].sort((a, b) => a.at - b.at);
    this.changed();
    this.flush();
  }

  /** What has not been done yet, and what was refused. @returns {Item[]} */
  get unsent() {
    return this.items.filter((i) => i.state !== 'sent');
  }

  /** Has all that is not done kept again. */
  saveAll() {
    for (const item of this.unsent) this.storage.save(item);
  }

  /** Puts a command in, and sends it as soon as can be. @param {{ at?: number, unresolved?: boolean }} [more] @returns {Promise<any>} The answer. */
  submit(op, room, fields, { at = Math.max(Date.now(), (this.items.at(-1)?.at ?? 0) + 1), unresolved = false } = {}) {
    const item = { client_id: clientId(), room, op, fields, at, state: 'waiting', ...(unresolved && { unresolved }) };
    this.items = [...this.items, item];
    const answer = new Promise((resolve, reject) => this.#waiters.set(item.client_id, { resolve, reject }));
    this.storage.save(item);
    this.changed();
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
    this.#remove([id]);
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
    const seen = this.items.filter((i) => i.room === room && i.state === 'sent' && i.seq <= seq);
    if (seen.length) this.#remove(seen.map((i) => i.client_id));
  }

  /** A room was left: what was for it is void, but for leaving it, which may be seen before its answer. @param {number} room */
  dropRoom(room) {
    const affected = this.items.filter((i) => i.room === room);
    if (!affected.length) return;
    const left = affected.filter((i) => i.op === 'leave');
    for (const item of left) this.#settle(item.client_id, 'resolve', undefined);
    this.#remove(affected.map((i) => i.client_id));
    this.#lose(affected.filter((i) => i.op !== 'leave' && i.state !== 'sent'), gone());
  }

  /** The rooms are known now: of refused messages for others nobody would see that they were refused. */
  dropUnseen() {
    const unseen = this.items.filter((i) => i.state === 'failed' && !this.shows(i.room));
    if (!unseen.length) return;
    this.#remove(unseen.map((i) => i.client_id));
    this.#lose(unseen, gone());
  }

  /** Tells those who wait that it was not done; a message's sender reads it in the room, so without a room it is told as well. */
  #lose(items, error) {
    const untold = items.filter((item) => !this.#settle(item.client_id, 'reject', error) || item.op === 'send');
    if (untold.length) this.lost(untold, error);
  }

  async #send(item) {
    const id = item.client_id;
    this.#change(id, { state: 'sending' });
    try {
      const fields = item.unresolved ? await this.#resolve(item) : item.fields;
      if (!fields) return;
      const answer = await this.request(item.op, { ...fields, client_id: id });
      this.#settle(id, 'resolve', answer);
      // A message stays to be seen until its entry is pushed; anything else is over.
      if (item.op === 'send') this.#change(id, { state: 'sent', seq: answer.seq });
      else this.discard(id);
    } catch (error) {
      this.#failed(item, error);
    }
    this.flush();
  }

  /** Finds whom a message mentions. @param {Item} item @returns {Promise<object|null>} Its fields; null once it was given up. */
  async #resolve(item) {
    const fields = { ...item.fields, mentions: await this.mentions(item) };
    if (!this.items.some((i) => i.client_id === item.client_id)) return null;
    this.#change(item.client_id, { fields, unresolved: false });
    return fields;
  }

  /** Who is mentioned is looked up once more; after that nobody is. The words stay. */
  #doubt({ client_id, fields, doubted }) {
    this.#change(client_id, { state: 'waiting', doubted: true, unresolved: !doubted, fields: doubted ? { ...fields, mentions: [] } : fields });
  }

  #failed({ client_id: id }, error) {
    const item = this.items.find((i) => i.client_id === id);
    if (!item) return;
    if (item.op === 'send' && item.fields.mentions?.length && refusesMentions(error)) {
      this.#doubt(item);
      return;
    }
    const retry = error instanceof FaultError ? error.retry : 'reconnect';
    if (retry === 'never' || retry === 'refresh') {
      if (item.op === 'send' && this.shows(item.room)) {
        this.#settle(id, 'reject', error);
        this.#change(id, { state: 'failed', fault: error.code, detail: error.message });
        return;
      }
      this.#remove([id]);
      this.#lose([item], error);
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

  /** Answers who waits for it. @returns {boolean} Whether anybody does. */
  #settle(id, how, value) {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    waiter?.[how](value);
    return Boolean(waiter);
  }

  #change(id, change) {
    this.items = this.items.map((i) => (i.client_id === id ? { ...i, ...change } : i));
    const item = this.items.find((i) => i.client_id === id);
    // Whether it is on its way just now matters to this tab alone; that it was answered, or refused, to the next one as well.
    if (item && change.state === 'sent') this.storage.remove([id]);
    else if (item && (change.state === 'failed' || 'fault' in change || 'fields' in change)) this.storage.save(item);
    this.changed();
  }

  /** @param {string[]} ids */
  #remove(ids) {
    this.items = this.items.filter((i) => !ids.includes(i.client_id));
    this.storage.remove(ids);
    this.changed();
  }
}
