// The start: who is logged in, what the address shows, and when to draw.

import { copy, endNotes, say, toast } from './announce.js';
import { isolate } from './bidi.js';
import { explain } from './codes.js';
import { Api, post } from './api.js';
import { showAuth } from './auth.js';
import { Banner } from './banner.js';
import { Client } from './client.js';
import { closeDialogs } from './dialog.js';
import { el, icon } from './dom.js';
import { isNote } from './fold.js';
import { joinRoom } from './new-room.js';
import { noteText } from './notes.js';
import { nameIn, roomNameIn } from './people.js';
import { RoomView } from './room.js';
import { Session } from './session.js';
import { Sidebar } from './sidebar.js';
import { summary } from './text.js';

const root = document.getElementById('app');
const session = new Session({ post });
const api = new Api(session);

/** What an address asks for: a room, an invite's code, the list of chats, or something that isn't there. @param {string} hash */
function address(hash) {
  const room = Number(hash.match(/^#\/rooms\/(\d{1,16})$/)?.[1] ?? 0);
  const code = hash.match(/^#\/join\/(.+)$/)?.[1];
  if (!code) return { room, code: null, unknown: !room && !['', '#', '#/'].includes(hash) };
  try {
    return { room: 0, code: decodeURIComponent(code), unknown: false };
  } catch {
    return { room: 0, code: null, unknown: true };
  }
}

/** The page of somebody who is logged in. */
class App {
  #drawn = true;
  #view = null;
  #unknown = false;
  /** What could not be sent, and the note that says so. @type {{ texts: string[], reasons: string[], note: HTMLElement }|null} */
  #unsent = null;

  constructor() {
    this.client = new Client({ session, api });
    this.sidebar = new Sidebar(this.client);
    this.banner = new Banner(this.client);
    this.blank = el('main.blank', { 'aria-label': 'No chat chosen' }, icon('reply'), el('p', {}, 'Choose a chat, or start a new one.'));
    this.notFound = el('main.blank', { 'aria-label': 'Not found' }, icon('search'), el('p', {}, 'There is nothing at this address.'), el('a.button', { href: '#/' }, 'Back to the chats'));
    this.place = el('div.place', {}, this.blank);
    this.node = el('div.app', {}, this.banner.node, el('div.panes', {}, this.sidebar.node, this.place));
    root.replaceChildren(this.node);
    const on = (name, run) => this.client.addEventListener(name, run);
    on('change', () => this.draw());
    on('connection', (event) => {
      if (event.detail.name === 'live') this.sidebar.ready = true;
      else this.#view?.cut();
      this.#join();
      this.draw();
    });
    on('message', (event) => this.#message(event.detail));
    on('entry', (event) => this.#entry(event.detail));
    on('left', (event) => this.#left(event.detail));
    on('lost', (event) => this.#lost(event.detail));
    on('signedout', () => start());
    this.client.start();
    this.route();
  }

  close() {
    this.#view?.close();
    this.client.stop();
    // First: the notes of a dialog that closes are put on the page.
    endNotes();
    closeDialogs();
  }

  /** Draws once a frame; a tab in the background has none, and its title counts on. */
  draw() {
    if (!this.#drawn) return;
    this.#drawn = false;
    const now = () => {
      this.#drawn = true;
      this.#render();
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(now);
    else setTimeout(now, 250);
  }

  #render() {
    if (app !== this) return;
    const unread = this.sidebar.render();
    this.#view?.render();
    const room = this.#view && this.client.state.rooms[this.#view.id];
    const lost = this.#unknown || (this.#view && this.client.history.missing(this.#view.id));
    const name = room?.view ? `${roomNameIn(this.client.state, room)} · parlance` : lost ? 'Not found · parlance' : 'parlance';
    document.title = unread ? `(${unread}) ${name}` : name;
  }

  route() {
    const { room, unknown } = address(location.hash);
    this.#join();
    this.node.classList.toggle('in-room', room > 0 || unknown);
    this.#unknown = unknown;
    if (room && this.#view?.id === room) return;
    const before = this.#view?.id;
    this.#view?.close();
    this.#view = room ? new RoomView(this.client, room) : null;
    this.sidebar.current = room || null;
    this.place.replaceChildren(this.#view?.node ?? (unknown ? this.notFound : this.blank));
    this.#render();
    if (this.#view) this.#view.focus();
    else this.sidebar.focus(before);
  }

  /** Accepts the invite that the address names. It waits there for the connection, without which a dialog could do nothing. */
  #join() {
    const { code } = address(location.hash);
    if (!code || !this.client.connection.live) return;
    history.replaceState(null, '', '#/');
    joinRoom(this.client, code);
  }

  #message(message) {
    const here = this.#view?.id === message.room && document.visibilityState === 'visible';
    if (here) return this.#view.announce(message);
    if (this.client.status === 'do_not_disturb') return undefined;
    const room = this.client.state.rooms[message.room];
    const mentioned = message.mentions.includes(this.client.me);
    if (room?.view?.kind === 'direct' || mentioned) say(`${nameIn(this.client.state, message.by)} in ${roomNameIn(this.client.state, room)}: ${summary(message.content)}`);
    return undefined;
  }

  /** What happens to the room that one looks at; what one did oneself one knows. */
  #entry({ room, entry }) {
    if (this.#view?.id !== room || document.visibilityState !== 'visible' || !isNote(entry) || entry.by === this.client.me) return;
    // Said a moment later, when the people in it are known.
    say(() => noteText(this.client.state, entry));
  }

  #left({ room, entry }) {
    const { state } = this.client;
    const name = room.view ? `“${roomNameIn(state, room)}”` : 'a room';
    const how = { kicked: 'removed you from', banned: 'banned you from' }[entry?.fact];
    if (this.#view?.id === room.id) location.hash = '#/';
    const text = how ? `${nameIn(state, entry.by)} ${how} ${name}.` : entry ? `You left ${name}.` : `You are no longer a member of ${name}.`;
    const draft = this.client.drafts.now(room.id);
    const written = draft.edit?.text || draft.text;
    // What was being written there is out of reach.
    if (written.trim()) toast(text, { label: 'Copy what you wrote', run: () => copy(written) }, { stays: true });
    else toast(text);
  }

  /** What was written is not thrown away without a word, nor without a way to have it back: one note for all, until it is closed. */
  #lost({ items, error }) {
    const why = error.code === 'not_found' ? 'You are no longer a member of that chat.' : explain(error);
    const texts = items.map((item) => item.fields.content?.text).filter(Boolean);
    if (!texts.length) return toast(`Something that you did in another tab could not be done. ${why}`);
    const before = this.#unsent?.note.isConnected ? this.#unsent : { texts: [], reasons: [] };
    before.note?.remove();
    const all = [...before.texts, ...texts];
    const reasons = [...new Set([...before.reasons, why])];
    const what = all.length === 1 ? `Not sent: “${isolate(summary({ text: all[0] }))}”.` : `${all.length} messages were not sent.`;
    const note = toast([what, ...reasons].join(' '), { label: 'Copy text', run: () => copy(all.join('\n\n')) }, { stays: true });
    this.#unsent = { texts: all, reasons, note };
    return note;
  }

  visible() {
    this.client.connection.nudge();
    this.#view?.shown();
  }

  focused() {
    this.#view?.shown();
  }
}

/** Why one has to log in. @param {boolean} expired @param {boolean} invited */
const noteAtLogin = (expired, invited) =>
  (expired ? `You were logged out. Please log in again${invited ? ' to accept the invite' : ''}.` : invited ? 'Log in or create an account to accept the invite.' : '');

/** @type {App|null} */
let app = null;

function start() {
  app?.close();
  app = null;
  if (session.login) app = new App();
  else showAuth(root, session, { note: noteAtLogin(session.expired, address(location.hash).code !== null) });
}

session.addEventListener('user', () => start());
session.addEventListener('token', () => app?.client.connection.renew(session.login.access_token));
addEventListener('hashchange', () => app?.route());
addEventListener('online', () => app?.client.connection.online());
addEventListener('offline', () => app?.client.connection.offline());
// What the browser doesn't keep goes with the tab: it asks before that.
addEventListener('beforeunload', (event) => app && !app.client.persistence.available && app.client.outbox.unsent.length && event.preventDefault());
addEventListener('focus', () => app?.focused());
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && app?.visible());
start();
