// Messages that are being written, per room: what this tab wrote last, else what was kept by another one.

export class Drafts {
  #here = new Map();

  /** @param {import('./kept.js').Kept} kept @param {string} account */
  constructor(kept, account) {
    Object.assign(this, { kept, account });
  }

  /** What this tab knows at once. @param {number} room */
  now(room) {
    return this.#here.get(room) ?? '';
  }

  /** What was kept, by whichever tab. @param {number} room @returns {Promise<string>} */
  async read(room) {
    const text = await this.kept.draft(this.account, room);
    return this.kept.works ? text : this.now(room);
  }

  /** @param {number} room @param {string} text */
  write(room, text) {
    if (text === this.now(room) && this.#here.has(room)) return;
    this.#here.set(room, text);
    this.kept.putDraft(this.account, room, text);
  }
}
