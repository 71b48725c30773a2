// The login, shared by all tabs: tokens in the browser's storage, renewed by one tab at a time, since a refresh token that is used
// twice revokes the whole login.

import { FaultError } from './codes.js';
import { exclusively } from './locks.js';
import { storage as browserStorage } from './storage.js';

const KEY = 'parlance.login';
/** A token with less than this left is renewed first. */
export const MARGIN_MS = 60_000;
/**
 * So long after a tab wrote to the browser's storage every other tab reads what it wrote. Browsers keep a copy in each process, and
 * bring it up to date a moment later: a tab that may renew at once would spend the old refresh token again.
 */
const VISIBLE_MS = 250;

/** Until all tabs read what was written. */
const visible = () => new Promise((done) => setTimeout(done, VISIBLE_MS));

export class Session extends EventTarget {
  #last = undefined;
  /** Whether the server ended the login, not the user. */
  expired = false;

  /** @param {{ post: (path: string, body: object) => Promise<any>, storage?: Storage }} parts */
  constructor({ post, storage = browserStorage }) {
    super();
    this.post = post;
    this.storage = storage;
    this.#last = this.#read();
    globalThis.addEventListener?.('storage', (event) => {
      if (event.key === KEY || event.key === null) this.#noticed();
    });
  }

  /** The login, or null. */
  get login() {
    return this.#read();
  }

  #read() {
    try {
      return JSON.parse(this.storage.getItem(KEY) ?? 'null');
    } catch {
      return null;
    }
  }

  #write(login) {
    if (login) this.storage.setItem(KEY, JSON.stringify(login));
    else this.storage.removeItem(KEY);
    this.#noticed();
  }

  /** Tells listeners what changed, whichever tab changed it: `user` (in, out or another one) or `token`. */
  #noticed() {
    const was = this.#last;
    const is = (this.#last = this.#read());
    if (was?.user.id !== is?.user.id) this.dispatchEvent(new Event('user'));
    else if (was?.access_token !== is?.access_token) this.dispatchEvent(new Event('token'));
  }

  #take(answer) {
    this.expired = false;
    const { user, access_token, refresh_token, expires_in } = answer;
    this.#write({ user, access_token, refresh_token, expires_at: Date.now() + expires_in * 1_000 });
  }

  async signIn(username, password) {
    this.#take(await this.post('/v1/auth/login', { username, password }));
  }

  async register(fields) {
    this.#take(await this.post('/v1/auth/register', fields));
  }

  async signOut() {
    const login = this.login;
    this.#write(null);
    if (login) await this.post('/v1/auth/logout', { refresh_token: login.refresh_token }).catch(() => {});
  }

  /** Keeps the name of who is logged in for the next load of the page. @param {import('./types.js').User} user */
  keepName({ id, full_name }) {
    // In turn with who renews the login: what is written back must not be an old one.
    return exclusively('refresh', async () => {
      const { login } = this;
      if (login?.user.id !== id || login.user.full_name === full_name) return;
      this.#write({ ...login, user: { ...login.user, full_name } });
      await visible();
    });
  }

  /**
   * A token that is good for a while, renewed if need be.
   * @param {{ not?: string, margin?: number }} [wish] `not`: one that the server refused.
   * @returns {Promise<string|null>} Null once there is no login any more; rejects when the server can't be asked.
   */
  async token({ not, margin = MARGIN_MS } = {}) {
    const good = (login) => login && login.access_token !== not && login.expires_at - Date.now() > margin;
    const login = this.login;
    if (!login) return null;
    if (good(login)) return login.access_token;
    return new Promise((resolve, reject) => {
      exclusively('refresh', async () => {
        const now = this.login;
        if (!now || good(now)) return resolve(now?.access_token ?? null);
        await this.#renew(now).then(resolve, reject);
        await visible();
      }).catch(reject);
    });
  }

  async #renew(now) {
    try {
      this.#take(await this.post('/v1/auth/refresh', { refresh_token: now.refresh_token }));
    } catch (error) {
      if (!(error instanceof FaultError) || error.retry === 'later') throw error;
      if (this.login?.refresh_token === now.refresh_token) {
        this.expired = true;
        this.#write(null);
      }
    }
    return this.login?.access_token ?? null;
  }
}
