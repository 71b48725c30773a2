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
  constructor(rows, keyPath, refuses) {
    Object.assign(this, { rows, keyPath, refuses });
  }

  #key(row) { return this.keyPath.map((path) => path.split('.').reduce((value, name) => value[name], row)); }
  #within(row, range) { return compare(range.from, this.#key(row)) <= 0 && compare(this.#key(row), range.to) <= 0; }
  #one(key) { return Array.isArray(key) ? { from: key, to: key } : key; }
  #answer(result) {
    const request = { result };
    queueMicrotask(() => request.onsuccess?.());
    return request;
  }

  #without(range) {
    for (let i = this.rows.length - 1; i >= 0; i -= 1) if (this.#within(this.rows[i], range)) this.rows.splice(i, 1);
  }

  get(key) { return this.#answer(this.rows.find((row) => this.#within(row, this.#one(key)))); }
  getAll(range) { return this.#answer(this.rows.filter((row) => this.#within(row, range)).map((row) => structuredClone(row))); }
  delete(key) { return this.#answer(this.#without(this.#one(key))); }

  put(row) {
    if (this.refuses()) throw new Error('full');
    this.#without({ from: this.#key(row), to: this.#key(row) });
    this.rows.push(structuredClone(row));
    return this.#answer(undefined);
  }
}

/** A database for `Persistence`; `full` has it refuse what is put in. */
export function fakeDatabase() {
  const database = { full: false, commands: [], drafts: [] };
  const paths = { commands: ['account', 'item.client_id'], drafts: ['account', 'room'] };
  const opened = { transaction: (name) => {
    const transaction = { objectStore: () => new Store(database[name], paths[name], () => database.full), commit: () => {} };
    setTimeout(() => transaction.oncomplete?.());
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
