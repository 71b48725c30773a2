// One room: its head, its messages, who is writing, and the composer.

import { copy, say, toast } from './announce.js';
import { isolate } from './bidi.js';
import { Composer } from './composer.js';
import { explain } from './codes.js';
import { openDetails } from './details.js';
import { confirm } from './dialog.js';
import { el, icon, iconButton } from './dom.js';
import { menu, palette } from './menu.js';
import { restriction } from './permissions.js';
import { list, nameIn, roomAvatar, roomName, statusOf, presenceText } from './people.js';
import { openRevisions } from './revisions.js';
import { summary } from './text.js';
import { Timeline } from './timeline.js';

const ADMINS = new Set(['admin', 'owner']);

const memberCount = (count) => `${count} ${count === 1 ? 'member' : 'members'}`;

export class RoomView {
  #head = [];
  /** Whether there is no connection, or there was none and what came meanwhile isn't all there yet. */
  #cut;

  /** @param {import('./client.js').Client} client @param {number} id */
  constructor(client, id) {
    Object.assign(this, { client, id });
    this.#cut = !client.connection.live;
    this.title = el('button.room-title', { type: 'button', dir: 'auto', onclick: () => openDetails(client, id), 'aria-haspopup': 'dialog' });
    this.line = el('p.room-line');
    this.face = el('span.room-face');
    this.timeline = new Timeline(client, id, this.#actions());
    this.composer = new Composer(client, id, { sent: () => this.timeline.toEnd(), editLast: () => this.#editLast() });
    this.typing = el('p.typing-line', { 'aria-live': 'off' });
    this.node = el('main.room', { tabindex: '-1' },
      el('header.room-head', {}, el('a.icon-button.back', { href: '#/', 'aria-label': 'Back to the chats' }, icon('back')), this.face,
        el('div.room-head-text', {}, el('h2', {}, this.title), this.line),
        iconButton('info', 'Details', () => openDetails(client, id), { 'aria-haspopup': 'dialog' })),
      this.timeline.node, this.typing, this.composer.node);
    this.missing = el('div.blank.missing', { hidden: true }, icon('search'), el('p', {}, 'There is no such chat, or you are not a member of it.'),
      el('a.button', { href: '#/' }, 'Back to the chats'));
    this.node.append(this.missing);
    /** Of which of the room's logs the first unread message is marked. */
    this.marked = null;
    this.timeline.onscroll = () => this.read();
    client.history.show(id);
  }

  close() {
    this.client.typing(this.id, false);
    this.timeline.close();
    this.client.history.show(null);
  }

  focus() {
    if (matchMedia('(pointer: coarse)').matches || this.composer.bar.hidden) this.node.focus();
    else this.composer.input.focus();
  }

  render() {
    const room = this.client.state.rooms[this.id];
    this.client.history.reconnected();
    this.#renderMissing(this.client.history.missing(this.id));
    if (room?.view && this.marked !== room.generation) {
      this.marked = room.generation;
      this.timeline.seen = 0;
      this.timeline.markUnread();
    }
    if (this.#cut && this.client.connection.live && !this.timeline.behind) {
      this.#cut = false;
      this.timeline.goOn();
    }
    this.#renderHead(room);
    this.timeline.render();
    this.#renderTyping();
    this.composer.render();
    this.read();
  }

  /** Back in front of it: what came meanwhile is new. */
  shown() {
    this.timeline.goOn();
    this.render();
  }

  /** What comes while there is no connection nobody sees, wherever the focus is. */
  cut() {
    this.#cut = true;
  }

  /** Marks as read what can be seen. */
  read() {
    if (document.visibilityState !== 'visible' || !document.hasFocus() || !this.client.state.rooms[this.id]?.view) return;
    const { timeline, client: { connection } } = this;
    // Without a connection nothing comes: what is on the screen then is seen, as it is once all is there.
    const coming = this.#cut && (connection.live || connection.state.name === 'resuming');
    if (!coming) timeline.seen = Math.max(timeline.seen, timeline.lastSeen);
    if (!this.#cut) this.client.read(this.id, timeline.lastSeen);
  }

  #renderMissing(missing) {
    this.missing.hidden = !missing;
    for (const node of [this.timeline.node, this.typing, this.composer.node]) node.hidden = missing;
  }

  #renderHead(room) {
    const { state } = this.client;
    const view = room?.view;
    const peer = view?.peer;
    const line = !view ? '' : peer ? presenceText(state, peer) : `${memberCount(room.members?.length ?? view.members)}${view.archived ? ' · archived' : ''}`;
    const sig = [view?.name, peer, this.client.history.missing(this.id), state.users[peer], peer && statusOf(state, peer), line];
    if (this.#head.length && sig.every((v, i) => v === this.#head[i])) return;
    this.#head = sig;
    const name = view ? roomName(state, room) : this.client.history.missing(this.id) ? 'Not found' : 'Loading…';
    this.title.textContent = name;
    this.line.textContent = line;
    this.face.replaceChildren(view ? roomAvatar(state, room) : '');
    this.node.setAttribute('aria-label', name);
  }

  #renderTyping() {
    const { state } = this.client;
    const names = Object.keys(state.typing[this.id] ?? {}).map((u) => nameIn(state, Number(u)));
    const text = names.length > 3 ? 'Several people are writing…' : names.length ? `${list(names)} ${names.length > 1 ? 'are' : 'is'} writing…` : '';
    if (this.typing.textContent !== text) this.typing.textContent = text;
  }

  /** A message that came while one looks at the room. */
  announce(message) {
    say(`${nameIn(this.client.state, message.by)}: ${summary(message.content)}`);
  }

  #editLast() {
    const room = this.client.state.rooms[this.id];
    const last = room?.items.findLast((m) => m.by === this.client.me && m.content);
    if (last && !restriction(this.client, room)) this.composer.edit(last);
  }

  #actions() {
    const { client, id } = this;
    const failed = (error) => toast(explain(error));
    const toggle = (message, emoji) => client.toggle(id, message.seq, emoji).catch(failed);
    return {
      toggle,
      reply: (message) => this.composer.reply(message),
      react: (message, anchor) => palette(anchor, 'React', (emoji) => toggle(message, emoji)),
      more: (message, anchor) => this.#more(message, anchor),
      jump: (seq) => this.timeline.jump(seq),
      history: (message) => openRevisions(client, message),
      retry: (item) => client.outbox.retry(item),
      discard: (item) => client.outbox.discard(item),
    };
  }

  #more(message, anchor) {
    const { client, id } = this;
    const room = client.state.rooms[id];
    const mine = message.by === client.me;
    const restricted = restriction(client, room)?.kind;
    // A mute forbids writing, not taking back what one wrote.
    const erases = !restricted || restricted === 'muted';
    const readers = (room.members ?? []).filter((m) => m.user !== message.by && m.read >= message.seq).map((m) => nameIn(client.state, m.user));
    menu(anchor, 'Message', [
      { label: 'Copy text', run: () => copy(message.content.text) },
      mine && !restricted && { label: 'Edit', run: () => this.composer.edit(message) },
      message.revision > 0 && { label: 'Edit history', run: () => openRevisions(client, message) },
      mine && { label: 'Who has read it', run: () => toast(readers.length ? `Read by ${list(readers)}.` : 'Nobody has read it yet.') },
      erases && (mine || ADMINS.has(room.view.role)) && {
        label: 'Delete', danger: true,
        run: () => confirm('Delete the message?', `“${isolate(summary(message.content))}” will be erased for everybody.`, 'Delete', () => client.delete(id, message.seq)),
      },
    ]);
  }
}
