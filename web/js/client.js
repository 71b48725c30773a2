// The page's model: holds the state, folds what the connection brings into it, and offers what the views do.

import { Disconnected, Offline } from './codes.js';
import { changesMembers, find, isNote, messageOf, peopleIn, trimmed, trimRecent } from './fold.js';
import { History } from './history.js';
import { Drafts } from './drafts.js';
import { Idle } from './idle.js';
import { accountOf, Persistence } from './persistence.js';
import { named } from './notes.js';
import { Outbox } from './outbox.js';
import { Roster } from './roster.js';
import { Connection } from './socket.js';
import { storage } from './storage.js';
import * as store from './store.js';
import { Tabs } from './tabs.js';
import { mentionedIn } from './text.js';
import { keepClock, serverNow } from './time.js';

const TYPING_EVERY_MS = 3_000;

/**
 * Tells of `change` (state), `connection`, `message` (detail: a message, live), `entry` (detail: a room and any entry, live),
 * `left` (detail: the room as it was, and the entry that ended it, where there was one), `lost` (detail: commands that were not
 * done, with no place where that could be seen, and why), `signedout`.
 */
export class Client extends EventTarget {
  #frame = false;
  #typed = new Map();
  #reads = new Map();
  #stale = new Set();
  /** Groups that are being made. @type {Map<string, Promise<any>>} */
  #creating = new Map();

  /** @param {{ session: import('./session.js').Session, api: import('./api.js').Api }} parts */
  constructor({ session, api }) {
    super();
    this.session = session;
    this.api = api;
    this.me = session.login.user.id;
    this.state = store.withUsers(store.initial(this.me), [session.login.user]);
    this.statusKey = `parlance.status.${this.me}`;
    /** What was chosen; what the others are told is `shown`. */
    this.status = storage.getItem(this.statusKey) ?? 'online';
    this.idle = new Idle({ changed: () => this.#sendStatus() });
    this.connection = new Connection({
      open: (protocols) => new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/connect`, protocols),
      token: (wish) => session.token(wish),
      resume: (hello) => this.#resume(hello),
      push: (push) => this.#pushed(push),
      changed: (state) => this.#connectionChanged(state),
      signedOut: () => this.dispatchEvent(new Event('signedout')),
    });
    this.account = accountOf(session.login.user);
    this.persistence = new Persistence();
    this.tabs = new Tabs((tab) => this.#inherit(tab));
    this.drafts = new Drafts(this.persistence, this.account, this.tabs);
    this.outbox = new Outbox({
      storage: { save: (item) => this.persistence.saveCommand(this.account, this.tabs.id, item), remove: (ids) => this.persistence.removeCommands(this.account, ids) },
      request: (op, fields) => this.connection.request(op, fields), mentions: (item) => this.roster.mentioned(item), live: () => this.connection.live, changed: () => this.#changed(),
      authenticate: () => this.#reauthenticate(), shows: (room) => Boolean(this.state.rooms[room]),
      lost: (items, error) => this.dispatchEvent(new CustomEvent('lost', { detail: { items, error } })),
    });
    // What could not be kept when it was written, or was thrown away since, is kept as soon as that is possible; a draft that finds no
    // room when commands do waits for the next letter, or the tab's end.
    this.persistence.addEventListener('change', this.#saveCommands);
    this.persistence.addEventListener('lost', this.#saveAll);
    this.history = new History(this);
    this.roster = new Roster(this);
    /** Why a room's members could not be loaded. @type {Map<number, Error>} */
    this.loadErrors = new Map();
  }

  start() {
    this.connection.start();
    this.idle.start();
    this.tabs.start();
    this.#watchTabs();
    let last = serverNow();
    this.tick = setInterval(() => {
      const now = serverNow();
      if (store.muteEnded(this.state, last, now)) this.#changed();
      last = now;
      this.set(store.expireTyping(this.state, Date.now()));
    }, 1_000);
    addEventListener('storage', this.#chosenElsewhere);
    addEventListener('pagehide', this.#saveDrafts);
  }

  stop() {
    clearInterval(this.tick);
    removeEventListener('storage', this.#chosenElsewhere);
    removeEventListener('pagehide', this.#saveDrafts);
    this.persistence.removeEventListener('change', this.#saveCommands);
    this.persistence.removeEventListener('lost', this.#saveAll);
    this.drafts.stop();
    this.idle.stop();
    this.connection.stop();
    this.tabs.stop();
  }

  #saveDrafts = () => this.drafts.saveAll();

  #saveCommands = () => this.persistence.available && this.outbox.saveAll();

  #saveAll = () => {
    this.outbox.saveAll();
    this.drafts.saveAll();
  };

  /** Whether anything that was done in this browser has not reached the server, in any tab. */
  async unsent() {
    return this.outbox.unsent.length > 0 || (await this.persistence.tabsWithCommands(this.account)).length > 0;
  }

  /** Ends the login, and forgets what this browser keeps of the account: first, since another tab takes over what an ended one left. */
  async signOut() {
    this.connection.stop();
    this.drafts.stop();
    await this.persistence.clear(this.account);
    await this.session.signOut();
  }

  /** What tabs that are gone left is sent by this one; those that are there send it themselves. */
  async #watchTabs() {
    for (const tab of await this.persistence.tabsWithCommands(this.account)) this.tabs.watch(tab);
  }

  async #inherit(tab) {
    this.outbox.adopt(await this.persistence.transferCommands(this.account, tab, this.tabs.id));
    if (this.connection.live) this.outbox.dropUnseen();
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

  /** Something that is shown beside the state changed. */
  touch() {
    this.#changed();
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
    this.#watchTabs();
    this.outbox.dropUnseen();
    this.outbox.flush();
    this.history.reconnected();
  }

  async #reauthenticate() {
    const token = await this.session.token({ not: this.session.login?.access_token }).catch(() => null);
    if (token) await this.connection.renew(token);
  }

  async #resume({ now }) {
    keepClock(now);
    const { resumed } = await this.connection.request('resume', { positions: store.positions(this.state) });
    const before = this.state.rooms;
    this.set(store.resumed(this.state, resumed));
    for (const room of Object.values(before)) if (!this.state.rooms[room.id]) this.#left(room);
    const { rooms } = await this.connection.request('rooms');
    this.set(store.withViews(this.state, rooms));
    for (const room of rooms) this.outbox.shown(room.id, this.state.rooms[room.id]?.seq ?? 0);
    this.loadUsers(rooms.flatMap((room) => [room.peer, room.last_message?.by]));
    this.#loadPresence(rooms);
    if (this.visibleStatus !== 'online') this.#sendStatus();
  }

  #loadPresence(rooms) {
    const users = [...new Set(rooms.map((r) => r.peer).filter(Boolean))].slice(0, 100);
    if (users.length === 0) return;
    const asked = Date.now();
    this.connection.request('whereabouts', { users })
      .then(({ presence }) => this.set(store.withAnsweredPresence(this.state, presence, asked))).catch(() => {});
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
    this.loadUsersOf([entry]);
    // Once it says that one is no member any more, there is nothing to ask for.
    const out = this.#isOut(entry);
    if (!out && changesMembers(entry) && (this.state.rooms[room]?.members || this.history.open === room)) this.loadMembers(room);
    // Whether somebody who was banned had been a member, the entry doesn't tell.
    if (!out && (entry.fact === 'banned' || this.state.rooms[room]?.previewStale)) this.refresh(room);
    if (!this.history.busy(room)) this.change(room, this.history.open === room ? trimRecent : trimmed);
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

  /** Loads a room's view anew; several wishes at once are one. @param {number} id @returns {Promise<Error|null>} What the server had against it. */
  async refresh(id) {
    if (this.#stale.has(id)) return null;
    this.#stale.add(id);
    try {
      const view = await this.connection.request('room', { room: id });
      this.set(store.withViews(this.state, [view]));
      this.loadUsers([view.peer, view.last_message?.by]);
      if (view.peer) this.#loadPresence([view]);
      return null;
    } catch (error) {
      return error instanceof Disconnected ? null : error;
    } finally {
      this.#stale.delete(id);
    }
  }

  /** @param {number} id */
  loadMembers(id) {
    return this.roster.loadMembers(id);
  }

  /** @param {(number|null|undefined)[]} ids */
  loadUsers(ids) {
    this.roster.loadUsers(ids);
  }

  /** Gets to know all whom entries name. @param {any[]} entries */
  loadUsersOf(entries) {
    this.loadUsers(entries.flatMap((entry) => (isNote(entry) ? named(entry) : peopleIn(entry))));
  }

  /** Takes what the server says of oneself. @param {import('./types.js').User} me */
  knowMyself(me) {
    this.set(store.withUsers(this.state, [me]));
    this.session.keepName(me).catch((error) => console.warn(error.message));
  }

  /** @param {number} room @param {{ text: string, reply_to?: number|null }} message */
  send(room, { text, reply_to }) {
    const people = this.roster.people(room);
    const fields = { room, content: { text }, mentions: mentionedIn(text, people ?? []) };
    if (reply_to) fields.reply_to = reply_to;
    this.#typed.delete(room);
    this.outbox.submit('send', room, fields, { unresolved: !people && /[@＠]/.test(text) }).catch(() => {
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

  /** Makes a group; asked again while that is under way, it is the same one. @returns {Promise<number>} The room. */
  async create(name, members, history) {
    const key = JSON.stringify([name, members, history]);
    if (!this.#creating.has(key)) this.#creating.set(key, this.#now('create', { kind: 'group', name, members, history }).finally(() => this.#creating.delete(key)));
    return this.#opened(await this.#creating.get(key));
  }

  /** A command without a room, in which nobody could see that it waits for a connection. */
  async #now(op, fields) {
    if (!(await this.#connected())) throw new Offline();
    return this.outbox.submit(op, 0, fields);
  }

  /** Whether there is a connection, once the one that is being made is there or isn't. */
  #connected() {
    const { name } = this.connection.state;
    if (name !== 'connecting' && name !== 'resuming') return this.connection.live;
    return new Promise((resolve) => this.addEventListener('connection', () => resolve(this.#connected()), { once: true }));
  }

  async direct(user) {
    if (!(await this.#connected())) throw new Offline();
    return this.#opened(await this.connection.request('direct', { user }));
  }

  async join(code) {
    const { room } = await this.#now('join', { code });
    return room;
  }

  #opened(view) {
    this.set(store.withViews(this.state, [view]));
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
    // One at a time: who scrolls through a hundred messages tells of the last one.
    const under = this.#reads.has(id);
    this.#reads.set(id, seq);
    if (!under) this.#sendRead(id, seq);
  }

  #sendRead(id, seq) {
    this.connection.request('read', { room: id, seq }).then(() => {
      this.set(store.pushed(this.state, { push: 'read', room: id, user: this.me, seq }, Date.now()).state);
      const last = this.#reads.get(id);
      if (last > seq) this.#sendRead(id, last);
      else this.#reads.delete(id);
    }).catch(() => this.#reads.delete(id));
  }

  /** What the others see: who chose to be online is away while nothing is done here. */
  get visibleStatus() {
    return this.status === 'online' && this.idle.idle ? 'away' : this.status;
  }

  /** Chooses a status, for all tabs. */
  setStatus(status) {
    try {
      storage.setItem(this.statusKey, status);
    } catch {
      // The browser has no room for it: the other tabs go by what they had.
    }
    this.#choose(status);
  }

  #chosenElsewhere = (event) => {
    if (event.key === this.statusKey && event.newValue) this.#choose(event.newValue);
  };

  #choose(status) {
    this.status = status;
    this.#sendStatus();
  }

  /** Without a connection it is told once there is one. */
  #sendStatus() {
    this.set(store.withPresence(this.state, [{ user: this.me, status: this.visibleStatus }]));
    this.connection.request('presence', { status: this.visibleStatus }).catch(() => {});
  }
}
