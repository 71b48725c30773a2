// The page's model: holds the state, folds what the connection brings into it, and offers what the views do.

import { Disconnected } from './codes.js';
import { changesMembers, find, isNote, messageOf, trimRecent, withMembers } from './fold.js';
import { History } from './history.js';
import { Idle } from './idle.js';
import { named } from './notes.js';
import { Outbox } from './outbox.js';
import { Connection } from './socket.js';
import * as store from './store.js';

const TYPING_EVERY_MS = 3_000;

/**
 * Tells of `change` (state), `connection`, `message` (detail: a message, live), `entry` (detail: a room and any entry, live),
 * `left` (detail: the room as it was, and the entry that ended it, where there was one), `signedout`.
 */
export class Client extends EventTarget {
  #frame = false;
  #wantUsers = new Set();
  #typed = new Map();
  #reads = new Map();
  #stale = new Set();

  /** @param {{ session: import('./session.js').Session, api: import('./api.js').Api }} parts */
  constructor({ session, api }) {
    super();
    this.session = session;
    this.api = api;
    this.me = session.login.user.id;
    this.state = store.met(store.initial(this.me), [session.login.user]);
    this.statusKey = `parlance.status.${this.me}`;
    /** What was chosen; what the others are told is `shown`. */
    this.status = localStorage.getItem(this.statusKey) ?? 'online';
    this.idle = new Idle({ changed: () => this.#tellStatus() });
    this.connection = new Connection({
      open: (protocols) => new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/connect`, protocols),
      token: (wish) => session.token(wish),
      resume: (hello) => this.#resume(hello),
      push: (push) => this.#pushed(push),
      changed: (state) => this.#connectionChanged(state),
      signedOut: () => this.dispatchEvent(new Event('signedout')),
    });
    this.outbox = new Outbox({
      storage: sessionStorage, key: `parlance.outbox.${this.me}`, request: (op, fields) => this.connection.request(op, fields),
      live: () => this.connection.live, changed: () => this.#changed(), authenticate: () => this.#reauthenticate(),
    });
    this.history = new History(this);
  }

  start() {
    this.connection.start();
    this.idle.start();
    let last = Date.now();
    this.tick = setInterval(() => {
      const now = Date.now();
      if (store.muteEnded(this.state, last, now)) this.#changed();
      last = now;
      this.set(store.expireTyping(this.state, now));
    }, 1_000);
    addEventListener('storage', this.#chosenElsewhere);
  }

  stop() {
    clearInterval(this.tick);
    removeEventListener('storage', this.#chosenElsewhere);
    this.idle.stop();
    this.connection.stop();
  }

  /** Takes the next state; views are told once a frame. @param {store.State} state */
  set(state) {
    if (state === this.state) return;
    this.state = state;
    this.#changed();
  }

  change(id, change) {
    this.set(store.changeRoom(this.state, id, change));
  }

  #changed() {
    if (this.#frame) return;
    this.#frame = true;
    queueMicrotask(() => {
      this.#frame = false;
      this.dispatchEvent(new Event('change'));
    });
  }

  #connectionChanged(state) {
    this.dispatchEvent(new CustomEvent('connection', { detail: state }));
    if (state.name !== 'live') return;
    this.outbox.flush();
    this.history.reconnected();
  }

  async #reauthenticate() {
    const token = await this.session.token({ not: this.session.login?.access_token }).catch(() => null);
    if (token) await this.connection.renew(token);
  }

  async #resume() {
    const { resumed } = await this.connection.request('resume', { positions: store.positions(this.state) });
    const before = this.state.rooms;
    this.set(store.resumed(this.state, resumed));
    for (const room of Object.values(before)) if (!this.state.rooms[room.id]) this.#left(room);
    const { rooms } = await this.connection.request('rooms');
    this.set(store.seen(this.state, rooms));
    for (const room of rooms) this.outbox.shown(room.id, this.state.rooms[room.id]?.seq ?? 0);
    this.#meet(rooms.flatMap((room) => [room.peer, room.last_message?.by]));
    this.#lookAround(rooms);
    if (this.shown !== 'online') this.#tellStatus();
  }

  #lookAround(rooms) {
    const users = [...new Set(rooms.map((r) => r.peer).filter(Boolean))].slice(0, 100);
    if (users.length === 0) return;
    const asked = Date.now();
    this.connection.request('whereabouts', { users })
      .then(({ presence }) => this.set(store.foundThere(this.state, presence, asked))).catch(() => {});
  }

  #pushed(push) {
    const before = this.state.rooms[push.room];
    const { state, effects } = store.pushed(this.state, push, Date.now());
    this.set(state);
    for (const effect of effects) this.#react(effect, before);
  }

  #react({ do: what, room, entry }, before) {
    if (what === 'reconnect') this.connection.restart();
    if (what === 'left' && before) this.#left(before);
    if (what === 'load_room') this.refresh(room);
    if (what !== 'entry') return;
    if (entry.by === this.me) this.outbox.arrived(entry.client_id);
    this.meetAll([entry]);
    // Once it says that one is no member any more, there is nothing to ask for.
    const out = this.#isOut(entry);
    if (!out && changesMembers(entry) && this.state.rooms[room]?.members) this.loadMembers(room);
    // Whether somebody who was banned had been a member, the entry doesn't tell.
    if (!out && (entry.fact === 'banned' || this.state.rooms[room]?.previewStale)) this.refresh(room);
    if (!this.history.busy(room)) this.change(room, trimRecent);
    if (entry.fact === 'posted' && entry.by !== this.me) {
      this.dispatchEvent(new CustomEvent('message', { detail: messageOf(room, entry) }));
    }
    this.dispatchEvent(new CustomEvent('entry', { detail: { room, entry } }));
  }

  /** Whether an entry ends one's own membership. */
  #isOut(entry) {
    return entry.fact === 'left' ? entry.by === this.me : ['kicked', 'banned'].includes(entry.fact) && entry.user === this.me;
  }

  #left(room) {
    this.outbox.dropRoom(room.id);
    const last = room.recent.at(-1);
    this.dispatchEvent(new CustomEvent('left', { detail: { room, entry: last && this.#isOut(last) ? last : null } }));
  }

  /** Loads a room's view anew; several wishes at once are one. @param {number} id */
  async refresh(id) {
    if (this.#stale.has(id)) return;
    this.#stale.add(id);
    try {
      const view = await this.connection.request('room', { room: id });
      this.set(store.seen(this.state, [view]));
      this.#meet([view.peer, view.last_message?.by]);
      if (view.peer) this.#lookAround([view]);
    } catch (error) {
      if (!(error instanceof Disconnected)) console.warn(error.message);
    } finally {
      this.#stale.delete(id);
    }
  }

  async loadMembers(id) {
    const asked = Date.now();
    try {
      const { members } = await this.connection.request('members', { room: id });
      this.change(id, (room) => withMembers(room, members));
      this.set(store.foundThere(this.state, members, asked));
      this.#meet(members.map((m) => m.user));
    } catch (error) {
      if (!(error instanceof Disconnected)) console.warn(error.message);
    }
  }

  /** Asks for users that aren't known yet, together. @param {(number|null|undefined)[]} ids */
  #meet(ids) {
    const had = this.#wantUsers.size;
    for (const id of ids) if (id && !this.state.users[id]) this.#wantUsers.add(id);
    if (had || !this.#wantUsers.size) return;
    queueMicrotask(async () => {
      const ids = [...this.#wantUsers].slice(0, 200);
      this.#wantUsers.clear();
      await this.connection.request('users', { ids }).then(({ users }) => this.set(store.met(this.state, users))).catch(() => {});
    });
  }

  meet(ids) {
    this.#meet(ids);
  }

  /** Gets to know all whom entries name. @param {any[]} entries */
  meetAll(entries) {
    this.#meet(entries.flatMap((entry) => (isNote(entry) ? named(entry) : [entry.by])));
  }

  /** @param {number} room @param {{ text: string, reply_to?: number, mentions?: number[] }} message */
  send(room, { text, reply_to, mentions = [] }) {
    const fields = { room, content: { text }, mentions };
    if (reply_to) fields.reply_to = reply_to;
    this.#typed.delete(room);
    this.outbox.submit('send', room, fields).catch(() => {
      // A refused message stays in its place, with the reason and what can be done.
    });
  }

  edit(room, message, text) {
    const content = { ...message.content, text };
    return this.outbox.submit('edit', room, { room, seq: message.seq, revision: message.revision, content });
  }

  delete(room, seq) {
    return this.outbox.submit('delete', room, { room, seq });
  }

  /** Adds one's reaction, or takes it back. */
  toggle(room, seq, emoji) {
    const message = find(this.state.rooms[room], seq);
    const op = message?.reactions[emoji]?.includes(this.me) ? 'unreact' : 'react';
    return this.outbox.submit(op, room, { room, seq, emoji });
  }

  /** A change of a room or its members: `add`, `kick`, `rename`… */
  command(op, room, fields = {}) {
    return this.outbox.submit(op, room, { room, ...fields });
  }

  /** @returns {Promise<number>} The room. */
  async create(name, members, history) {
    const view = await this.outbox.submit('create', 0, { kind: 'group', name, members, history });
    return this.#opened(view);
  }

  async direct(user) {
    return this.#opened(await this.connection.request('direct', { user }));
  }

  async join(code) {
    const { room } = await this.outbox.submit('join', 0, { code });
    return room;
  }

  #opened(view) {
    this.set(store.seen(this.state, [view]));
    return view.id;
  }

  /** Tells the others that one is writing, not more often than needed; `false`: stopped. */
  typing(room, on) {
    const last = this.#typed.get(room) ?? 0;
    if (on ? Date.now() - last < TYPING_EVERY_MS : !last) return;
    if (on) this.#typed.set(room, Date.now());
    else this.#typed.delete(room);
    if (this.connection.live) this.connection.request('typing', { room, on }).catch(() => {});
  }

  /** Marks a room as read up to a number, unless it is so. */
  read(id, seq) {
    const room = this.state.rooms[id];
    if (!room?.view || seq <= room.view.read || !this.connection.live || (this.#reads.get(id) ?? 0) >= seq) return;
    this.#reads.set(id, seq);
    this.connection.request('read', { room: id, seq })
      .then(() => this.set(store.pushed(this.state, { push: 'read', room: id, user: this.me, seq }, Date.now()).state))
      .catch(() => this.#reads.delete(id));
  }

  /** What the others see: who chose to be online is away while nothing is done here. */
  get shown() {
    return this.status === 'online' && this.idle.idle ? 'away' : this.status;
  }

  /** Chooses a status, for all tabs. */
  setStatus(status) {
    localStorage.setItem(this.statusKey, status);
    this.#choose(status);
  }

  #chosenElsewhere = (event) => {
    if (event.key === this.statusKey && event.newValue) this.#choose(event.newValue);
  };

  #choose(status) {
    this.status = status;
    this.#tellStatus();
  }

  /** Without a connection it is told once there is one. */
  #tellStatus() {
    this.set(store.whereabouts(this.state, [{ user: this.me, status: this.shown }]));
    this.connection.request('presence', { status: this.shown }).catch(() => {});
  }
}
