// What outlives a tab: commands that the server has not answered, and drafts. They are in IndexedDB, each under its account.

const NAME = 'parlance';
const VERSION = 1;
/** An opening that takes longer is given up: some browsers never answer where pages may keep nothing. */
const OPEN_MS = 5_000;

/** @typedef {import('./outbox.js').Item} Item */

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** All that an account has in a store whose keys begin with it. @param {number} user */
const of = (user) => IDBKeyRange.bound([user], [user, []]);

/** Tells of `change` when it turns out that the browser keeps nothing, or keeps again. */
export class Kept extends EventTarget {
  /** Whether what was given last is kept. */
  works = true;
  #database;

  /** @param {IDBFactory} [factory] */
  constructor(factory = globalThis.indexedDB) {
    super();
    this.#database = this.#open(factory).catch((error) => this.#failed(error));
  }

  async #open(factory) {
    const request = factory.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('commands', { keyPath: ['user', 'item.client_id'] });
      request.result.createObjectStore('drafts', { keyPath: ['user', 'room'] });
    };
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('no answer from IndexedDB')), OPEN_MS));
    const database = await Promise.race([done(request), late]);
    // A later version of the page in another tab may want to change it.
    database.onversionchange = () => database.close();
    return database;
  }

  #failed(error) {
    console.warn(`Nothing can be kept in this browser: ${error?.message ?? error}`);
    this.#became(false);
    return null;
  }

  #became(works) {
    if (works === this.works) return;
    this.works = works;
    this.dispatchEvent(new Event('change'));
  }

  /** Runs `work` on a store in one transaction, and waits until that is done; without a database, nothing is. */
  async #run(name, mode, work) {
    const database = await this.#database;
    if (!database) return undefined;
    try {
      const transaction = database.transaction(name, mode, { durability: mode === 'readwrite' && name === 'commands' ? 'strict' : 'relaxed' });
      const end = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error ?? new Error('given up'));
      });
      end.catch(() => {});
      const result = await work(transaction.objectStore(name), transaction);
      await end;
      if (mode === 'readwrite') this.#became(true);
      return result;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  /** Writes without waiting for an answer before the end, so that a tab that closes now has written it. */
  #write(name, work) {
    return this.#run(name, 'readwrite', (store, transaction) => {
      work(store);
      transaction.commit?.();
    });
  }

  /** Keeps a command under the tab that sends it. @param {number} user @param {string} tab @param {Item} item */
  put(user, tab, item) {
    return this.#write('commands', (store) => store.put({ user, tab, item }));
  }

  /** @param {number} user @param {string[]} ids */
  drop(user, ids) {
    return this.#write('commands', (store) => ids.forEach((id) => store.delete([user, id])));
  }

  /** The tabs that have commands here. @param {number} user @returns {Promise<string[]>} */
  async tabs(user) {
    const rows = await this.#run('commands', 'readonly', (store) => done(store.getAll(of(user))));
    return [...new Set((rows ?? []).map((row) => row.tab))];
  }

  /** Hands a tab's commands over to another one, all at once: of two that ask, one gets them. @returns {Promise<Item[]>} */
  async take(user, from, to) {
    const items = await this.#run('commands', 'readwrite', async (store) => {
      const rows = (await done(store.getAll(of(user)))).filter((row) => row.tab === from);
      rows.forEach((row) => store.put({ ...row, tab: to }));
      return rows.map((row) => row.item);
    });
    return items ?? [];
  }

  /** @param {number} user @param {number} room @returns {Promise<string>} */
  async draft(user, room) {
    const row = await this.#run('drafts', 'readonly', (store) => done(store.get([user, room])));
    return row?.text ?? '';
  }

  /** @param {number} user @param {number} room @param {string} text Empty: none. */
  putDraft(user, room, text) {
    return this.#write('drafts', (store) => (text ? store.put({ user, room, text }) : store.delete([user, room])));
  }

  /** Forgets all of an account. @param {number} user */
  async clear(user) {
    for (const name of ['commands', 'drafts']) await this.#write(name, (store) => store.delete(of(user)));
  }
}
