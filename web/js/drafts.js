// What is being written, per room: what this tab wrote last, else what was kept by another one.

/**
 * @typedef {object} Draft
 * @property {string} text
 * @property {number|null} reply The message that it answers.
 * @property {{ seq: number, revision: number, text: string }|null} edit A change of an earlier message, written before the rest.
 */

/** @type {Draft} */
export const NOTHING = Object.freeze({ text: '', reply: null, edit: null });

/** @param {Draft} a @param {Draft} b */
const same = (a, b) => a.text === b.text && a.reply === b.reply && ['seq', 'revision', 'text'].every((field) => a.edit?.[field] === b.edit?.[field]);

export class Drafts {
  #here = new Map();

  /** @param {import('./persistence.js').Persistence} persistence @param {string} account */
  constructor(persistence, account) {
    Object.assign(this, { persistence, account });
  }

  /** What this tab knows at once; the same object until it changes. @param {number} room @returns {Draft} */
  now(room) {
    return this.#here.get(room) ?? NOTHING;
  }

  /** What was kept, by whichever tab. @param {number} room @returns {Promise<Draft>} */
  async read(room) {
    const draft = await this.persistence.draft(this.account, room);
    return this.persistence.available ? draft : this.now(room);
  }

  /** @param {number} room @param {Draft} draft @returns {Draft} As it is from now on. */
  write(room, draft) {
    if (same(draft, this.now(room))) return this.now(room);
    this.#here.set(room, draft);
    this.persistence.saveDraft(this.account, room, draft);
    return draft;
  }
}
