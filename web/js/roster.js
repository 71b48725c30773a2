// Who is who: the members of rooms, and the users that are named anywhere.

import { Disconnected } from './codes.js';
import { withMembers } from './fold.js';
import * as store from './store.js';
import { mentionedIn } from './text.js';

/** Users that one request may ask for. */
const USERS_MAX = 200;
/** What the server can't answer for now is asked for again after this, unless it says when. */
const AGAIN_MS = 5_000;

export class Roster {
  #wanted = new Set();
  /** The asking for those, until it is sent. @type {Promise<void>|null} */
  #asking = null;
  /** Rooms whose members are being asked for because they are needed. */
  #needed = new Set();

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client;
  }

  /** Loads a room's members; what the server can't do just now is tried again by itself. @param {number} id */
  async loadMembers(id) {
    try {
      await this.#take(id);
    } catch (error) {
      // Over the next connection it is asked for again.
      if (!(error instanceof Disconnected)) this.client.loadErrors.set(id, error);
      if (error.retry === 'later') setTimeout(() => this.client.loadErrors.get(id) === error && this.loadMembers(id), error.retryAfterMs ?? AGAIN_MS);
    }
    this.client.touch();
  }

  /** The same where they aren't known, as after a failure. @param {number} id */
  async needMembers(id) {
    const room = this.client.state.rooms[id];
    if (!room || room.members || !this.client.connection.live || this.#needed.has(id)) return;
    this.#needed.add(id);
    await this.loadMembers(id).finally(() => this.#needed.delete(id));
  }

  /** Resolves once those are known as well who the members are. */
  async #take(id) {
    const asked = Date.now();
    const { members } = await this.client.connection.request('members', { room: id });
    this.client.loadErrors.delete(id);
    this.client.change(id, (room) => withMembers(room, members));
    this.client.set(store.withAnsweredPresence(this.client.state, members, asked));
    await this.loadUsers(members.map((m) => m.user));
  }

  /** Asks for users that aren't known yet, together. @param {(number|null|undefined)[]} ids */
  loadUsers(ids) {
    for (const id of ids) if (id && !this.client.state.users[id]) this.#wanted.add(id);
    if (this.#wanted.size) this.#asking ??= Promise.resolve().then(() => this.#askUsers());
    return this.#asking;
  }

  async #askUsers() {
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    this.#asking = null;
    for (let at = 0; at < wanted.length; at += USERS_MAX) {
      const ids = wanted.slice(at, at + USERS_MAX);
      await this.client.connection.request('users', { ids })
        .then(({ users }) => this.client.set(store.withUsers(this.client.state, users))).catch(() => {});
    }
  }

  /** The members of a room, or undefined while not all of them are known. @param {number} id @returns {import('./types.js').User[]|undefined} */
  people(id) {
    const people = this.client.state.rooms[id]?.members?.map((m) => this.client.state.users[m.user]);
    return people?.every(Boolean) ? people : undefined;
  }

  /**
   * Whom a message mentions of those who are members now. Who can't be found out isn't mentioned; without a connection, or while the
   * server can't say, it waits.
   */
  async mentioned({ room, fields, doubted }) {
    if (doubted || !this.people(room)) {
      await this.#take(room).catch((error) => {
        if (error instanceof Disconnected || error.retry === 'later') throw error;
      });
      // Who the members are may have got lost with it.
      if (!this.client.connection.live) throw new Disconnected();
    }
    const members = this.client.state.rooms[room]?.members ?? [];
    return mentionedIn(fields.content.text, members.map((m) => this.client.state.users[m.user]).filter(Boolean));
  }
}
