// Messages that are being written, per room: what this tab wrote last, else what was kept by another one.

export class Drafts {
  #here = new Map();

  /** @param {import('./persistence.js').Persistence} persistence @param {string} account */
  constructor(persistence, account) {
    Object.assign(this, { persistence, account });
  }

  /** What this tab knows at once. @param {number} room */
  now(room) {
    return this.#here.get(room) ?? '';
  }

  /** What was kept, by whichever tab. @param {number} room @returns {Promise<string>} */
  async read(room) {
    const text = await this.persistence.draft(this.account, room);
    return this.persistence.available ? text : this.now(room);
  }

  /** @param {number} room @param {string} text */
  write(room, text) {
    if (text === this.now(room) && this.#here.has(room)) return;
    this.#here.set(room, text);
    this.persistence.saveDraft(this.account, room, text);
  }
}
