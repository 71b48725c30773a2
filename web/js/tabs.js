// Which tabs of this browser are open: each holds a lock of its own for as long as it lives, so that another one can wait for its
// end, however it comes. Without Web Locks (plain http on a foreign host) a lease in localStorage stands in for the lock.

import { storage } from './storage.js';

/** Background tabs may run their timers once a minute. */
const LEASE_MS = 90_000;
const RENEW_MS = 20_000;

const lockName = (id) => `parlance.tab.${id}`;

export class Tabs {
  id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');
  #watched = new Set([this.id]);
  #ended = new AbortController();
  #channel = null;

  /** @param {(id: string) => void} gone A tab that was watched has ended. */
  constructor(gone, locks = navigator.locks) {
    Object.assign(this, { gone, locks });
  }

  /** Is there from now on, and watches tabs that come later. */
  start() {
    if (!this.locks) {
      this.#lease();
      this.#greet();
      return;
    }
    this.#hold(this.id, () => {
      // Only now: who heard of it earlier would find the lock free, and take it for gone.
      this.#greet();
      return new Promise((resolve) => this.#ended.signal.addEventListener('abort', resolve));
    });
  }

  #greet() {
    if (!globalThis.BroadcastChannel || this.#ended.signal.aborted) return;
    this.#channel = new BroadcastChannel('parlance.tabs');
    this.#channel.onmessage = ({ data }) => {
      // The newcomer doesn't know those that are there.
      if (!this.#watched.has(data.id)) this.#channel.postMessage({ id: this.id });
      this.watch(data.id);
    };
    this.#channel.postMessage({ id: this.id });
  }

  stop() {
    this.#ended.abort();
    this.#channel?.close();
  }

  /** Waits for the end of a tab. @param {string} id */
  watch(id) {
    if (typeof id !== 'string' || this.#watched.has(id)) return;
    this.#watched.add(id);
    const told = () => {
      this.#watched.delete(id);
      if (!this.#ended.signal.aborted) this.gone(id);
    };
    if (this.locks) this.#hold(id, async () => told());
    else this.#poll(id, told);
  }

  /** Whether a tab is there. @param {string} id */
  async alive(id) {
    if (!this.locks) return Number(storage.getItem(lockName(id)) ?? 0) > Date.now();
    const { held } = await this.locks.query().catch(() => ({ held: [] }));
    return held.some(({ name }) => name === lockName(id));
  }

  /** Has the lock of a tab while `work` runs. */
  #hold(id, work) {
    this.locks.request(lockName(id), { signal: this.#ended.signal }, work).catch((error) => {
      if (error.name !== 'AbortError') console.warn(error.message);
    });
  }

  #lease() {
    const key = lockName(this.id);
    const renew = () => {
      try {
        storage.setItem(key, String(Date.now() + LEASE_MS));
      } catch {
        // Without it the others take over sooner, under the same client ids, which harms nothing.
      }
    };
    const leave = () => storage.removeItem(key);
    renew();
    const timer = setInterval(renew, RENEW_MS);
    addEventListener('pagehide', leave);
    addEventListener('pageshow', renew);
    this.#ended.signal.addEventListener('abort', () => {
      clearInterval(timer);
      removeEventListener('pagehide', leave);
      removeEventListener('pageshow', renew);
      leave();
    });
  }

  #poll(id, told) {
    const key = lockName(id);
    const timer = setInterval(() => {
      if (Number(storage.getItem(key) ?? 0) > Date.now()) return;
      clearInterval(timer);
      storage.removeItem(key);
      told();
    }, 1_000);
    this.#ended.signal.addEventListener('abort', () => clearInterval(timer));
  }
}
