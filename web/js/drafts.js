// What is being written, per room: what this tab wrote last; where it wrote nothing, what a tab that is gone left.

/**
 * @typedef {object} Draft
 * @property {string} text
 * @property {number|null} reply The message that it answers.
 * @property {{ seq: number, revision: number, text: string }|null} edit A change of an earlier message, written before the rest.
 */

/** @type {Draft} */
export const NOTHING = Object.freeze({ text: '', reply: null, edit: null });

/** Milliseconds before each look for what was left: a tab that was closed, or loaded anew, may count as there for a while. */
const PAUSES = [0, 250, 750, ...Array(9).fill(10_000)];

/** @param {Draft} a @param {Draft} b */
const same = (a, b) => a.text === b.text && a.reply === b.reply && ['seq', 'revision', 'text'].every((field) => a.edit?.[field] === b.edit?.[field]);

export class Drafts {
  #here = new Map();
  /** Per room the restoring that counts. @type {Map<number, object>} */
  #looks = new Map();
  #stopped = false;

  /**
   * @param {import('./persistence.js').Persistence} persistence @param {string} account
   * @param {Pick<import('./tabs.js').Tabs, 'id'|'alive'>} tabs
   */
  constructor(persistence, account, tabs, pauses = PAUSES) {
    Object.assign(this, { persistence, account, tabs, pauses });
  }

  /** What this tab knows at once; the same object until it changes. @param {number} room @returns {Draft} */
  now(room) {
    return this.#here.get(room) ?? NOTHING;
  }

  /** Takes over what a tab that is gone left in a room, unless something is written here. @param {number} room */
  async restore(room) {
    const look = {};
    this.#looks.set(room, look);
    for (const pause of this.pauses) {
      if (pause) await new Promise((done) => setTimeout(done, pause));
      const before = this.now(room);
      if (this.#stopped || this.#looks.get(room) !== look || !same(before, NOTHING)) return;
      const others = (await this.persistence.drafts(this.account, room)).filter((row) => row.tab !== this.tabs.id);
      const left = await this.#left(others);
      if (this.#stopped || !others.length || this.now(room) !== before) return;
      if (left && (await this.#take(room, left, before))) return;
    }
  }

  /** Makes what a tab left this one's own; false where another tab was faster. */
  async #take(room, { tab, draft }, before) {
    const taken = await this.persistence.takeDraft(this.account, room, tab, this.tabs.id);
    if (taken === null) return false;
    if (this.now(room) === before) this.#here.set(room, draft);
    else if (!this.#stopped) {
      // One has begun to write meanwhile: it is left for another time.
      this.persistence.saveDraft(this.account, tab, room, draft);
      this.persistence.saveDraft(this.account, this.tabs.id, room, this.now(room));
    }
    return true;
  }

  /** The latest of those whose tab is gone. */
  async #left(rows) {
    for (const row of rows.toSorted((a, b) => b.at - a.at)) if (!(await this.tabs.alive(row.tab))) return row;
    return null;
  }

  /** @param {number} room @param {Draft} draft @returns {Draft} As it is from now on. */
  write(room, draft) {
    if (same(draft, this.now(room))) return this.now(room);
    this.#here.set(room, draft);
    if (!this.#stopped) this.persistence.saveDraft(this.account, this.tabs.id, room, draft);
    return draft;
  }

  /** Has all that this tab knows kept again. */
  saveAll() {
    if (this.#stopped) return;
    for (const [room, draft] of this.#here) this.persistence.saveDraft(this.account, this.tabs.id, room, draft);
  }

  /** From now on nothing is kept or taken over: who logged out wants nothing of it left here. */
  stop() {
    this.#stopped = true;
  }
}
