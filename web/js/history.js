// Loading windows of messages: the latest, those before and after, and those around a quoted one.

import { find, isNote, mergeAround, mergePage, peopleIn, WINDOW_MAX, withExtra, withNotes } from './fold.js';

const PAGE = 50;
const AROUND = 25;
const ENTRIES = 200;
/** A load that the server refused for now is tried again after this, unless it says when. */
const AGAIN_MS = 5_000;

/**
 * The part of a log's stretch that messages don't fill: all that is between their numbers is something else.
 * @param {{ seq: number }[]} items @param {number} after @param {number} last
 */
export function unfilled(items, after, last) {
  let from = null;
  let to = null;
  let next = after + 1;
  for (const seq of [...items.map((m) => m.seq).filter((s) => s > after && s <= last), last + 1]) {
    if (seq > next) {
      from ??= next;
      to = seq - 1;
    }
    next = seq + 1;
  }
  return from === null ? null : { after: from - 1, before: to + 1 };
}

/** Where a page begins that was read backwards; nothing where it holds the very first message. */
const begin = (page) => (page.more ? page.items[0].seq : undefined);

export class History {
  /** Which load of a room counts; a later one may take its place. @type {Map<number, object>} */
  #loads = new Map();
  /** Why a room's messages could not be loaded. @type {Map<number, Error>} */
  #loadErrors = new Map();
  /** Rooms that one asked for and isn't in. */
  #missing = new Set();
  #sought = null;
  #quotes = new Set();
  /** Stretches whose notes have still to be asked for. @type {{ id: number, generation: number, after: number, before: number }[]} */
  #missingNotes = [];
  #loadingNotes = false;

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

  /** Why a room's messages can't be shown, if so. @param {number} room */
  loadError(room) {
    return this.#loadErrors.get(room);
  }

  /** Whether a room isn't there for this user. @param {number} room */
  missing(room) {
    return this.#missing.has(room) && !this.client.state.rooms[room];
  }

  /** Shows a room: its messages from the first unread one on, or the latest, and its members. @param {number|null} room */
  show(room) {
    this.open = room;
    this.membersOf = null;
    this.#sought = null;
    const there = this.client.state.rooms[room];
    // A window that was left somewhere else shows neither what is new nor the end; without a connection it is better than nothing.
    if (this.client.connection.live && there?.loaded && there.view && !this.#isWhereToBegin(there)) {
      this.client.change(room, (now) => ({ ...now, loaded: false }));
      this.begin(there);
    }
    this.reconnected();
  }

  #isWhereToBegin({ view, items, atStart, atEnd }) {
    if (!view.unread) return atEnd;
    const reaches = atEnd || items.some((m) => m.seq > view.read && m.by !== this.client.me);
    return reaches && (atStart || items[0]?.seq <= view.read);
  }

  /** Loads where one goes on reading. @param {import('./types.js').Room} room */
  begin(room) {
    return room.view?.unread ? this.around(room.id, room.view.read, true) : this.latest(room.id);
  }

  /** Tries again what could not be loaded. @param {number} id */
  again(id) {
    this.#loadErrors.delete(id);
    this.#sought = null;
    this.client.touch();
    this.reconnected();
  }

  /**
   * Loads what the open room lacks. It may become known only after it was opened, and what was asked for over an earlier
   * connection may have got lost; called again and again, it asks once a connection.
   */
  reconnected() {
    if (this.open === null || !this.client.connection.live) return;
    const room = this.client.state.rooms[this.open];
    if (!room) {
      this.#seek(this.open);
      return;
    }
    this.#loadNotes();
    if (!room.view && !this.#loadErrors.has(room.id)) this.#look(room.id);
    if (room.view && !room.loaded && !this.#loadErrors.has(room.id) && !this.busy(room.id)) this.begin(room);
    if (this.membersOf !== this.client.connection.state) {
      this.membersOf = this.client.connection.state;
      this.client.loadMembers(room.id);
    }
  }

  /** Asks about a room that isn't among one's own, once a connection: it may not be there, or be news that is on its way. */
  async #seek(id) {
    const over = this.client.connection.state;
    if (this.#sought === over) return;
    this.#sought = over;
    try {
      const view = await this.client.connection.request('room', { room: id });
      // A moderator is answered without being a member.
      if (view.role === null) this.#missing.add(id);
    } catch (error) {
      if (error.retry === 'never') this.#missing.add(id);
      else if (error.name !== 'Disconnected') this.#failed(id, error);
    }
    this.client.touch();
  }

  /** Loads the view of a room that one is in. */
  async #look(id) {
    const error = await this.client.refresh(id);
    if (error) this.#failed(id, error);
  }

  /** Remembers why a load failed; what the server can't do just now is tried again by itself. */
  #failed(id, error) {
    this.#loadErrors.set(id, error);
    if (error.retry === 'later') setTimeout(() => this.#loadErrors.get(id) === error && this.again(id), error.retryAfterMs ?? AGAIN_MS);
    this.client.touch();
  }

  /** One load a room at a time, unless it `replaces` the window; a page of a log that was reset meanwhile is dropped. */
  async #load(id, work, replaces = false) {
    if (this.#loads.has(id) && !replaces) return;
    const generation = this.client.state.rooms[id]?.generation;
    const load = {};
    this.#loads.set(id, load);
    try {
      const { merge, ...stretch } = await work((fields) => this.client.connection.request('messages', { room: id, ...fields }));
      if (this.#loads.get(id) !== load) return;
      this.#loads.delete(id);
      this.#loadErrors.delete(id);
      this.client.change(id, (room) => (room.generation === generation ? merge(room) : room));
      const room = this.client.state.rooms[id];
      this.client.loadUsers(room?.items.flatMap(peopleIn) ?? []);
      if (room?.generation === generation) this.#needNotes(room, stretch);
    } catch (error) {
      if (this.#loads.get(id) !== load) return;
      this.#loads.delete(id);
      // Further pages are asked for again as one scrolls.
      if (error.name !== 'Disconnected' && !this.client.state.rooms[id]?.loaded) this.#failed(id, error);
    }
    if (id === this.open && this.client.state.rooms[id]?.generation !== generation) this.reconnected();
  }

  /** Notes a loaded stretch whose messages leave numbers out. `after` or `last` absent: from the start, to the end. */
  #needNotes(room, { items, after = (room.view?.first ?? 1) - 1, last = Math.max(room.seq, items.at(-1)?.seq ?? 0) }) {
    const stretch = unfilled(items, after, last);
    if (stretch) this.#missingNotes.push({ id: room.id, generation: room.generation, ...stretch });
    this.#loadNotes();
  }

  /** Loads the notes that are missing, a page after the other; what a lost connection leaves is asked for over the next one. */
  async #loadNotes() {
    if (this.#loadingNotes) return;
    this.#loadingNotes = true;
    try {
      while (this.#missingNotes.length && this.client.connection.live) {
        const stretch = this.#missingNotes[0];
        const current = (room) => room?.generation === stretch.generation;
        if (current(this.client.state.rooms[stretch.id])) {
          const { items, more } = await this.client.connection.request('entries', { room: stretch.id, after: stretch.after, before: stretch.before, limit: ENTRIES });
          const notes = items.filter(isNote);
          this.client.change(stretch.id, (room) => (current(room) && notes.length ? withNotes(room, notes) : room));
          this.client.loadUsersOf(notes);
          stretch.after = items.at(-1)?.seq ?? stretch.before;
          if (more) continue;
        }
        this.#missingNotes.shift();
      }
    } catch (error) {
      if (error.retry === 'never' || error.retry === 'refresh') this.#missingNotes.shift();
    } finally {
      this.#loadingNotes = false;
    }
  }

  latest(id) {
    return this.#load(id, async (page) => {
      const answer = await page({ limit: PAGE });
      return { merge: (room) => mergePage(room, answer, {}), items: answer.items, after: begin(answer) };
    }, true);
  }

  older(id) {
    const room = this.client.state.rooms[id];
    if (!room?.loaded || room.atStart || !room.items.length) return undefined;
    const before = room.items[0].seq;
    return this.#load(id, async (page) => {
      const answer = await page({ before, limit: PAGE });
      return { merge: (now) => mergePage(now, answer, { before }), items: answer.items, after: begin(answer), last: before - 1 };
    });
  }

  newer(id) {
    const room = this.client.state.rooms[id];
    if (!room?.loaded || room.atEnd || !room.items.length) return undefined;
    const after = room.items.at(-1).seq;
    return this.#load(id, async (page) => {
      const answer = await page({ after, limit: PAGE });
      return { merge: (now) => mergePage(now, answer, { after }), items: answer.items, after, last: answer.more ? answer.items.at(-1).seq : undefined };
    });
  }

  /** Moves the window to where a number is. @param {number} id @param {number} seq @param {boolean} [unread] As far as somebody else's message after it. */
  around(id, seq, unread = false) {
    return this.#load(id, async (page) => {
      const [older, first] = await Promise.all([page({ before: seq + 1, limit: AROUND }), page({ after: seq, limit: PAGE })]);
      const newer = unread ? await this.#toOthers(page, first) : first;
      return { merge: (room) => mergeAround(room, older, newer), items: [...older.items, ...newer.items], after: begin(older), last: newer.more ? newer.items.at(-1).seq : undefined };
    }, true);
  }

  /** Goes on from a page that has nothing but one's own messages: the first unread one comes after them. */
  async #toOthers(page, { items, more }) {
    if (!more || items.length >= WINDOW_MAX || items.some((m) => m.by !== this.client.me)) return { items, more };
    const next = await page({ after: items.at(-1).seq, limit: PAGE });
    return this.#toOthers(page, { items: [...items, ...next.items], more: next.more });
  }

  /** Fetches a quoted message that is outside the window, once. */
  quote(id, seq) {
    const room = this.client.state.rooms[id];
    // What was reset is forgotten, and asked for anew.
    const key = `${id}:${room?.generation}:${seq}`;
    if (!room || find(room, seq) || this.#quotes.has(key)) return;
    this.#quotes.add(key);
    this.client.connection.request('message', { room: id, seq }).then((message) => {
      this.client.change(id, (now) => withExtra(now, message));
      this.client.loadUsers(peopleIn(message));
    }).catch((error) => {
      // What can't be seen (sent before one joined) isn't asked for again; what got lost with a connection is.
      if (error.name === 'Disconnected') this.#quotes.delete(key);
    });
  }
}
