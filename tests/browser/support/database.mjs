// The browser's database, as far as the page uses it: stores in memory, whose keys are compared as IndexedDB does.

const rank = (key) => ['number', 'string', 'object'].indexOf(typeof key);

/** @param {any} a @param {any} b */
export function compare(a, b) {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (!Array.isArray(a)) return a < b ? -1 : Number(a > b);
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (compare(a[i], b[i])) return compare(a[i], b[i]);
  return a.length - b.length;
}

class Store {
  /** @param {Promise<void>} turn Nothing is done before it. */
  constructor(rows, keyPath, refuses, turn) {
    Object.assign(this, { rows, keyPath, refuses, turn });
  }

  #key(row) { return this.keyPath.map((path) => path.split('.').reduce((value, name) => value[name], row)); }
  #within(row, range) { return compare(range.from, this.#key(row)) <= 0 && compare(this.#key(row), range.to) <= 0; }
  #one(key) { return Array.isArray(key) ? { from: key, to: key } : key; }
  #answer(work) {
    const request = {};
    this.turn.then(() => {
      request.result = work();
      request.onsuccess?.();
    });
    return request;
  }

  #without(range) {
    for (let i = this.rows.length - 1; i >= 0; i -= 1) if (this.#within(this.rows[i], range)) this.rows.splice(i, 1);
  }

  get(key) { return this.#answer(() => structuredClone(this.rows.find((row) => this.#within(row, this.#one(key))))); }
  getAll(range) { return this.#answer(() => this.rows.filter((row) => this.#within(row, range)).map((row) => structuredClone(row))); }
  delete(key) { return this.#answer(() => this.#without(this.#one(key))); }

  put(row) {
    if (this.refuses()) throw new Error('full');
    const copy = structuredClone(row);
    return this.#answer(() => {
      this.#without({ from: this.#key(copy), to: this.#key(copy) });
      this.rows.push(copy);
    });
  }
}

/** A database for `Persistence`; `full` has it refuse what is put in. */
export function fakeDatabase() {
  const database = { full: false, commands: [], drafts: [] };
  const paths = { commands: ['account', 'item.client_id'], drafts: ['account', 'room'] };
  // What writes has the database for itself, and what comes after it waits.
  let written = Promise.resolve();
  const opened = { transaction: (name, mode) => {
    const turn = written;
    const transaction = { objectStore: () => new Store(database[name], paths[name], () => database.full, turn), commit: () => {} };
    const end = turn.then(() => new Promise((done) => setTimeout(done))).then(() => transaction.oncomplete?.());
    if (mode === 'readwrite') written = end;
    return transaction;
  } };
  globalThis.IDBKeyRange = { bound: (from, to) => ({ from, to }) };
  database.factory = () => ({ open: () => {
    const request = { result: opened };
    queueMicrotask(() => request.onsuccess());
    return request;
  } });
  return database;
}
