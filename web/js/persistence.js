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

/** All that an account has in a store whose keys begin with it. @param {string} account */
const of = (account) => IDBKeyRange.bound([account], [account, [[]]]);

/** A draft belongs to a room and a tab; earlier versions of the page kept one a room, which any tab may take. @param {number} room @param {string} [tab] */
const draftKey = (room, tab) => (tab ? [room, tab] : room);


/**
 * Whose something is. The number alone isn't enough: a server that was set up anew at the same address gives it to somebody else.
 * @param {{ id: number, created_at: number }} user
 */
export const accountOf = ({ id, created_at }) => `${id}.${created_at}`;

/**
 * Tells of `change` when it turns out that the browser keeps nothing, or keeps again, and of `lost` when the browser closed the
 * database, as when its user cleared the site's data: what was in it has to be given again.
 */
export class Persistence extends EventTarget {
  /** Whether the command that was given last is kept. */
  available = true;
  #factory;
  #database;

  /** @param {() => IDBFactory} [factory] */
  constructor(factory = () => globalThis.indexedDB) {
    super();
    this.#factory = factory;
  }

  /** The database, opened when it is first needed, and again once it was closed; null where there can be none. */
  #opened() {
    this.#database ??= this.#open().catch((error) => this.#failed(error));
    return this.#database;
  }

  async #open() {
    const request = this.#factory().open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('commands', { keyPath: ['account', 'item.client_id'] });
      request.result.createObjectStore('drafts', { keyPath: ['account', 'room'] });
    };
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('no answer from IndexedDB')), OPEN_MS); });
    const opening = done(request);
    const database = await Promise.race([opening, late]).finally(() => clearTimeout(timer)).catch((error) => {
      opening.then((database) => database.close(), () => {});
      throw error;
    });
    // A later version of the page in another tab may want to change it, or somebody wants it gone.
    database.onversionchange = () => {
      database.close();
      this.#lost();
    };
    database.onclose = () => this.#lost();
    return database;
  }

  #lost() {
    this.#database = undefined;
    this.dispatchEvent(new Event('lost'));
  }

  #failed(error) {
    console.warn(`Nothing can be kept in this browser: ${error?.message ?? error}`);
    this.#became(false);
    return null;
  }

  #became(available) {
    if (available === this.available) return;
    this.available = available;
    this.dispatchEvent(new Event('change'));
  }

  /** Runs `work` on a store in one transaction, and waits until that is done; undefined where that can't be. */
  async #run(name, mode, work) {
    const database = await this.#opened();
    if (!database) return undefined;
    const keeps = mode === 'readwrite' && name === 'commands';
    try {
      const transaction = database.transaction(name, mode, { durability: keeps ? 'strict' : 'relaxed' });
      const end = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error ?? new Error('given up'));
      });
      end.catch(() => {});
      const result = await work(transaction.objectStore(name), transaction);
      await end;
      if (keeps) this.#became(true);
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

  /** Keeps a command under the tab that sends it. @param {string} account @param {string} tab @param {Item} item */
  saveCommand(account, tab, item) {
    return this.#write('commands', (store) => store.put({ account, tab, item }));
  }

  /** @param {string} account @param {string[]} ids */
  removeCommands(account, ids) {
    return this.#write('commands', (store) => ids.forEach((id) => store.delete([account, id])));
  }

  async #commands(account) {
    return (await this.#run('commands', 'readonly', (store) => done(store.getAll(of(account))))) ?? [];
  }

  /** The tabs that have commands here. @param {string} account @returns {Promise<string[]>} */
  async tabsWithCommands(account) {
    return [...new Set((await this.#commands(account)).map((row) => row.tab))];
  }

  /**
   * Hands a tab's commands over to another one, all at once: of two that ask, one gets them. Where that can't be written, as on a
   * full disk, each gets them; under one client id they are still done once.
   * @returns {Promise<Item[]>}
   */
  async transferCommands(account, from, to) {
    const taken = await this.#run('commands', 'readwrite', async (store) => {
      const rows = (await done(store.getAll(of(account)))).filter((row) => row.tab === from);
      rows.forEach((row) => store.put({ ...row, tab: to }));
      return rows;
    });
    const rows = taken ?? (await this.#commands(account)).filter((row) => row.tab === from);
    return rows.map((row) => row.item);
  }

  /**
   * What tabs have written in a room. An earlier version's row has no tab.
   * @param {string} account @param {number} room @returns {Promise<{ tab: string, at: number, draft: import('./drafts.js').Draft }[]>}
   */
  async drafts(account, room) {
    const [old, rows] = (await this.#run('drafts', 'readonly', (store) => Promise.all([
      done(store.get([account, room])), done(store.getAll(IDBKeyRange.bound([account, [room]], [account, [room, []]])))]))) ?? [null, []];
    return [...rows, ...(old ? [old] : [])].map(({ room: key, at = 0, text, reply = null, edit = null }) => ({ tab: key[1] ?? '', at, draft: { text, reply, edit } }));
  }

  /** @param {string} account @param {string} tab @param {number} room @param {import('./drafts.js').Draft} draft One that says nothing is not kept. */
  saveDraft(account, tab, room, { text, reply, edit }) {
    const key = draftKey(room, tab);
    return this.#write('drafts', (store) => (text || reply || edit ? store.put({ account, room: key, at: Date.now(), text, reply, edit }) : store.delete([account, key])));
  }

  /**
   * Hands a tab's draft over to another one, all at once: of two that ask, one gets it.
   * @param {string} account @param {number} room @param {string} from @param {string} to
   * @returns {Promise<boolean|null|undefined>} True; null: it is not there any more; undefined: nothing can be written here, so that it stays.
   */
  takeDraft(account, room, from, to) {
    return this.#run('drafts', 'readwrite', async (store) => {
      const key = [account, draftKey(room, from)];
      const row = await done(store.get(key));
      if (!row) return null;
      store.put({ ...row, room: draftKey(room, to), at: Date.now() });
      store.delete(key);
      return true;
    });
  }

  /** Forgets all of an account. @param {string} account */
  async clear(account) {
    for (const name of ['commands', 'drafts']) await this.#write(name, (store) => store.delete(of(account)));
  }
}
