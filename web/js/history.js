// Loading windows of messages: the latest, those before and after, and those around a quoted one.

import { find, mergeAround, mergePage, withExtra } from './fold.js';

const PAGE = 50;
const AROUND = 25;

export class History {
  #loads = new Map();
  #quotes = new Set();

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client;
    /** The room that is shown. @type {number|null} */
    this.open = null;
    /** The connection's state over which its members were asked for. */
    this.membersOf = null;
  }

  /** Whether a page of the room is on its way. @param {number} room */
  busy(room) {
    return this.#loads.has(room);
  }

  /** Shows a room: its latest messages and its members, unless they are there. @param {number|null} room */
  show(room) {
    this.open = room;
    this.membersOf = null;
    this.reconnected();
  }

  /**
   * Loads what the open room lacks. It may become known only after it was opened, and what was asked for over an earlier
   * connection may have got lost; called again and again, it asks once a connection.
   */
  reconnected() {
    const room = this.client.state.rooms[this.open];
    if (!room || !this.client.connection.live) return;
    if (!room.loaded) this.latest(room.id);
    if (this.membersOf !== this.client.connection.state) {
      this.membersOf = this.client.connection.state;
      this.client.loadMembers(room.id);
    }
  }

  /** One load a room at a time; a page of a log that was reset meanwhile is dropped. */
  async #load(id, work) {
    if (this.#loads.has(id)) return;
    const generation = this.client.state.rooms[id]?.generation;
    this.#loads.set(id, true);
    try {
      const merge = await work((fields) => this.client.connection.request('messages', { room: id, ...fields }));
      this.#loads.delete(id);
      this.client.change(id, (room) => (room.generation === generation ? merge(room) : room));
      this.client.meet(this.client.state.rooms[id]?.items.map((m) => m.by) ?? []);
    } catch (error) {
      this.#loads.delete(id);
      if (error.name !== 'Disconnected') console.warn(error.message);
    }
    if (id === this.open && this.client.state.rooms[id]?.generation !== generation) this.reconnected();
  }

  latest(id) {
    return this.#load(id, async (page) => {
      const answer = await page({ limit: PAGE });
      return (room) => mergePage(room, answer, {});
    });
  }

  older(id) {
    const room = this.client.state.rooms[id];
    if (!room?.loaded || room.atStart || !room.items.length) return undefined;
    const before = room.items[0].seq;
    return this.#load(id, async (page) => {
      const answer = await page({ before, limit: PAGE });
      return (now) => mergePage(now, answer, { before });
    });
  }

  newer(id) {
    const room = this.client.state.rooms[id];
    if (!room?.loaded || room.atEnd || !room.items.length) return undefined;
    const after = room.items.at(-1).seq;
    return this.#load(id, async (page) => {
      const answer = await page({ after, limit: PAGE });
      return (now) => mergePage(now, answer, { after });
    });
  }

  /** Moves the window to a message that is not in it. */
  around(id, seq) {
    return this.#load(id, async (page) => {
      const [older, newer] = await Promise.all([page({ before: seq + 1, limit: AROUND }), page({ after: seq, limit: AROUND })]);
      return (room) => mergeAround(room, older, newer);
    });
  }

  /** Fetches a quoted message that is outside the window, once. */
  quote(id, seq) {
    const key = `${id}:${seq}`;
    const room = this.client.state.rooms[id];
    if (!room || find(room, seq) || this.#quotes.has(key)) return;
    this.#quotes.add(key);
    this.client.connection.request('message', { room: id, seq }).then((message) => {
      this.client.change(id, (now) => withExtra(now, message));
      this.client.meet([message.by]);
    }).catch((error) => {
      // What can't be seen (sent before one joined) isn't asked for again; what got lost with a connection is.
      if (error.name === 'Disconnected') this.#quotes.delete(key);
    });
  }
}
