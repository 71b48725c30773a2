// The messages of a room: day separators, the unread divider, read marks, and scrolling that stays where one reads.

import { toast } from './announce.js';
import { el, icon } from './dom.js';
import { find, lines } from './fold.js';
import { reconcile } from './keyed.js';
import { fillMessage, fillPending } from './message.js';
import { loading } from './loading.js';
import { restriction } from './permissions.js';
import { noteParts, noteText } from './notes.js';
import { disc, list, nameIn, nameOf } from './people.js';
import { dayName, exact, sameDay, timeOfDay } from './time.js';
import { explain, FaultError } from './codes.js';

const TOGETHER_MS = 5 * 60_000;
const NEAR_PX = 600;
const BOTTOM_PX = 60;
/** Keys that go away from the end. */
const UP_KEYS = new Set(['Home', 'PageUp', 'ArrowUp']);

export class Timeline {
  #cache = new Map();
  #stick = true;
  #rows = [];
  #jump = null;
  /** Whether one wants to be at the end, which may not be loaded yet. */
  #toEnd = false;
  #settled = false;
  /** The last message that was on the screen while somebody was there. */
  seen = 0;

  /** @param {import('./client.js').Client} client @param {number} id @param {import('./message.js').Actions} actions */
  constructor(client, id, actions) {
    Object.assign(this, { client, id, actions });
    this.items = el('ol.messages', { 'aria-label': 'Messages' });
    this.loading = loading('The messages', () => client.history.again(id));
    this.state = el('p.timeline-state', { hidden: true });
    this.scroller = el('div.timeline', { tabindex: '-1' }, this.loading.node, this.state, this.items);
    this.down = el('button.to-end', { type: 'button', hidden: true, onclick: () => this.toEnd() }, icon('down'), el('span', {}, 'Latest'));
    this.node = el('section.timeline-box', { 'aria-label': 'Conversation' }, this.scroller, this.down);
    this.divider = null;
    this.scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.scroller.addEventListener('wheel', (event) => event.deltaY < 0 && this.#stay(), { passive: true });
    this.scroller.addEventListener('touchmove', () => this.#stay(), { passive: true });
    this.scroller.addEventListener('keydown', (event) => (UP_KEYS.has(event.key) || (event.key === ' ' && event.shiftKey)) && this.#stay());
    this.scroller.addEventListener('pointerdown', (event) => this.#onScrollbar(event) && this.#stay());
    this.items.addEventListener('keydown', (event) => this.#keys(event));
    this.items.addEventListener('focusin', (event) => this.#rove(event.target.closest('.message')));
    this.resize = new ResizeObserver(() => this.#stick && this.#bottom());
    this.resize.observe(this.scroller);
    this.resize.observe(this.items);
  }

  close() {
    this.resize.disconnect();
  }

  get room() {
    return this.client.state.rooms[this.id];
  }

  /** Whether the newest message is on the screen. */
  get atBottom() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return Boolean(this.room?.loaded && this.room.atEnd) && scrollHeight - scrollTop - clientHeight < BOTTOM_PX;
  }

  /** Whether the server has told of entries that are still on their way. */
  get behind() {
    return this.room?.view?.last > this.room?.seq;
  }

  /** The number after which the unread line is drawn, as things are now. */
  markUnread() {
    const view = this.room?.view;
    this.divider = view?.unread ? view.read : null;
  }

  render() {
    const room = this.room;
    if (!room?.loaded || !room.view) {
      // Without a connection the banner says why.
      const { live } = this.client.connection;
      this.loading.show(this.client.history.loadError(this.id) ?? live);
      this.#say(live ? '' : 'Waiting for the connection…');
      reconcile(this.items, [], this.#cache);
      this.#stick = true;
      this.#settled = false;
      return;
    }
    this.loading.show(null);
    const pending = this.client.outbox.pending(this.id).filter((i) => !room.items.some((m) => m.client_id === i.client_id && m.by === this.client.me));
    const empty = !room.items.length && !pending.length;
    this.#say(empty ? 'Nothing here yet. Write the first message.' : room.atStart ? 'This is the beginning of the chat.' : '');
    const anchor = this.#stick || !this.#settled ? null : this.#anchor();
    this.#rows = this.#describe(room, room.atEnd || this.#toEnd ? pending : []);
    reconcile(this.items, this.#rows, this.#cache);
    this.#rove(this.items.querySelector('.message[tabindex="0"]') ?? null);
    if (this.#jump !== null && room.items.some((m) => m.seq === this.#jump)) this.#land(this.#jump);
    else if (this.#toEnd) this.#goToEnd(room);
    else if (!this.#settled && !this.behind) this.#settle();
    else if (this.#stick && room.atEnd) this.#bottom();
    else if (anchor?.node.isConnected) this.scroller.scrollTop += anchor.node.getBoundingClientRect().top - anchor.top;
    this.#toEndButton();
    this.#loadNear();
  }

  #say(text) {
    this.state.hidden = !text;
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  /** What came while nobody looked was put in at the end, and may reach beyond the screen: it is gone on with from its beginning. */
  goOn() {
    const { room } = this;
    if (!this.atBottom || !room.view?.unread || !room.items.some((m) => m.seq > this.seen && m.by !== this.client.me)) return;
    // What was seen may not be marked as read yet.
    this.divider = Math.max(room.view.read, this.seen);
    this.#settled = false;
  }

  /** When the room was just opened, or comes to the front: to the line above the first unread message, or down to the newest one. */
  #settle() {
    this.#settled = true;
    this.#bottom();
    const line = this.items.querySelector('.unread-line');
    const above = line && (!this.room.atEnd || line.getBoundingClientRect().top < this.scroller.getBoundingClientRect().top);
    if (above) line.scrollIntoView({ block: 'start' });
    this.#stick = this.atBottom;
  }

  /** The first message on the screen, and where; what is put in above it must not move it. */
  #anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    for (const node of this.items.children) {
      if (!node.classList.contains('message')) continue;
      const box = node.getBoundingClientRect();
      if (box.bottom > top) return { node, top: box.top };
    }
    return null;
  }

  /** The number of the last message that can be seen to its end, or to the screen's. */
  get lastSeen() {
    if (this.behind) return 0;
    if (this.atBottom) return this.room.items.at(-1)?.seq ?? 0;
    const bottom = this.scroller.getBoundingClientRect().bottom;
    const seen = [...this.items.querySelectorAll('.message[data-seq]')].findLast((node) => node.getBoundingClientRect().bottom <= bottom);
    return this.#settled && this.room?.loaded ? Number(seen?.dataset.seq ?? 0) : 0;
  }

  #loadNear() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (scrollTop < NEAR_PX) this.client.history.older(this.id);
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.client.history.newer(this.id);
  }

  #describe(room, pending) {
    const { state } = this.client;
    const rows = [];
    const marks = this.#marks(room);
    let before = null;
    let day = null;
    // Where the window begins after the first unread message, nothing in it is the first one.
    let divided = this.divider === null || !(room.atStart || room.items[0]?.seq <= this.divider);
    for (const line of lines(room)) {
      if (day === null || !sameDay(day, line.at)) {
        rows.push(this.#separator(`d${new Date(line.at).toDateString()}`, dayName(line.at), 'day'));
        before = null;
      }
      day = line.at;
      if (line.fact) {
        rows.push(this.#note(state, line));
        before = null;
        continue;
      }
      const message = line;
      if (!divided && message.seq > this.divider && message.by !== this.client.me) {
        rows.push(this.#separator('unread', 'New messages', 'unread-line'));
        divided = true;
        before = null;
      }
      const first = !before || before.by !== message.by || message.at - before.at > TOGETHER_MS;
      rows.push(this.#message(state, room, message, first));
      const readers = marks.get(message.seq);
      if (readers) rows.push(this.#readers(state, message.seq, readers, message.by === this.client.me));
      before = message;
    }
    pending.forEach((item, i) => rows.push(this.#pending(state, room, item, i === 0 && before?.by !== this.client.me)));
    return rows;
  }

  #separator(key, text, kind) {
    return { key, sig: [text], make: () => el(`li.separator.${kind}`), fill: (node) => node.replaceChildren(el('span', {}, text)) };
  }

  #note(state, entry) {
    return {
      key: `n${entry.seq}`, sig: [noteText(state, entry)],
      make: () => el('li.note', { data: { note: entry.fact } }),
      fill: (node) => node.replaceChildren(...noteParts(state, entry).map((part) => (part.name ? el('bdi', {}, part.name) : part)), ' ',
        el('time', { dir: 'auto', datetime: new Date(entry.at).toISOString(), title: exact(entry.at) }, timeOfDay(entry.at))),
    };
  }

  #message(state, room, message, first) {
    const quoted = message.reply_to ? find(room, message.reply_to) : undefined;
    if (message.reply_to && !quoted) this.client.history.quote(room.id, message.reply_to);
    const restricted = restriction(this.client, room)?.kind ?? null;
    const names = [message.by, ...message.mentions, ...Object.values(message.reactions).flat(), quoted?.by].map((u) => state.users[u]);
    return {
      // One's own message keeps its row when it comes back from the server.
      key: message.by === this.client.me ? `c${message.client_id}` : `m${message.seq}`,
      sig: [message, first, quoted, restricted, ...names],
      make: () => el('li', { tabindex: '-1' }),
      fill: (node) => fillMessage(node, state, message, { first, quoted, restricted }, this.actions),
    };
  }

  #pending(state, room, item, first) {
    const quoted = item.fields.reply_to ? find(room, item.fields.reply_to) : undefined;
    const restricted = restriction(this.client, room)?.kind ?? null;
    const reason = item.state === 'failed' ? explain(new FaultError({ code: item.fault, detail: item.detail ?? item.fault })) : null;
    return {
      key: `c${item.client_id}`, sig: ['pending', item.state, reason, quoted, first, restricted, item.fields.mentions],
      make: () => el('li', { tabindex: '-1' }),
      fill: (node) => fillPending(node, state, { ...item, reason }, { quoted, first, restricted }, this.actions),
    };
  }

  /** For each message the others whose read mark stands there. */
  #marks(room) {
    const marks = new Map();
    for (const member of room.members ?? []) {
      if (member.user === this.client.me) continue;
      // One's own messages are no sign of reading: the mark stands at the last one of somebody else.
      const at = room.items.findLast((m) => m.seq <= member.read && m.by !== member.user);
      if (at) marks.set(at.seq, [...(marks.get(at.seq) ?? []), member.user]);
    }
    return marks;
  }

  #readers(state, seq, users, mine) {
    const names = users.map((u) => nameOf(state, u));
    const text = `Read by ${list(users.map((u) => nameIn(state, u)))}`;
    return {
      key: `read${seq}`, sig: [text, mine],
      make: () => el('li.readers'),
      fill: (node) => {
        node.title = text;
        node.classList.toggle('mine', mine);
        node.replaceChildren(...users.slice(0, 6).map((u, i) => disc(names[i], u)),
          users.length > 6 ? el('span', { 'aria-hidden': 'true' }, `+${users.length - 6}`) : '', el('span.unseen', {}, text));
      },
    };
  }

  #bottom() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #scrolled() {
    this.#stick = this.#toEnd || this.atBottom;
    this.#toEndButton();
    this.#loadNear();
    this.onscroll?.();
  }

  #toEndButton() {
    const { room } = this;
    const hidden = !room?.loaded || this.atBottom;
    // What is hidden loses the focus, and the keys that scroll go nowhere.
    if (hidden && document.activeElement === this.down) this.scroller.focus({ preventScroll: true });
    this.down.hidden = hidden;
    const unread = room?.view?.unread ?? 0;
    this.down.lastChild.textContent = unread ? `${unread} new` : 'Latest';
  }

  /** Goes to the newest message, loading it if need be; without a connection, once there is one. */
  toEnd() {
    this.#stick = true;
    this.#jump = null;
    if (!this.room?.loaded) return;
    this.#toEnd = true;
    if (!this.room.atEnd && this.client.connection.live) this.client.history.latest(this.id);
    this.render();
  }

  #goToEnd(room) {
    this.#settled = true;
    this.#bottom();
    if (room.atEnd) {
      this.#toEnd = false;
      this.seen = room.items.at(-1)?.seq ?? 0;
    } else if (this.client.connection.live && !this.client.history.busy(this.id)) this.client.history.latest(this.id);
  }

  /** The scrollbar is beside what the width counts, on the side where lines end. @param {PointerEvent} event */
  #onScrollbar({ target, offsetX }) {
    return target === this.scroller && (offsetX < 0 || offsetX >= this.scroller.clientWidth);
  }

  /** One goes elsewhere by hand, or reads on where one is. */
  #stay() {
    if (!this.#toEnd) return;
    this.#toEnd = false;
    this.#stick = this.atBottom;
    this.client.touch();
  }

  /** Goes to a message, loading what is around it if need be; who follows the end does so until it is there. @param {number} seq */
  async jump(seq) {
    if (this.items.querySelector(`[data-seq="${seq}"]`)) return this.#land(seq);
    if (seq < (this.room?.view?.first ?? 0)) return toast('This message was sent before you joined: you can’t read it.');
    if (!this.client.connection.live) return toast('This message is not loaded. Try again once you are connected.');
    this.#toEnd = false;
    this.#jump = seq;
    await this.client.history.around(this.id, seq);
    if (this.#jump !== seq || this.room?.items.some((m) => m.seq === seq)) return undefined;
    this.#jump = null;
    this.#stick &&= Boolean(this.room?.atEnd);
    return this.node.isConnected && toast('The message could not be loaded. Try again in a moment.');
  }

  #land(seq) {
    const node = this.items.querySelector(`[data-seq="${seq}"]`);
    if (!node) return;
    this.#jump = null;
    this.#stick = this.#toEnd = false;
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
    node.classList.remove('landed');
    void node.offsetWidth;
    node.classList.add('landed');
  }

  /** Exactly one message is in the tab order; arrows go through the others. */
  #rove(message) {
    const all = this.items.querySelectorAll('.message[tabindex="0"]');
    const target = message ?? [...this.items.querySelectorAll('.message')].at(-1);
    for (const node of all) if (node !== target) node.tabIndex = -1;
    if (target) target.tabIndex = 0;
  }

  #keys(event) {
    const row = event.target.closest('.message');
    if (!row) return;
    if (event.target === row && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const part = { r: 'reply', e: 'react', m: 'more', Enter: 'more' }[event.key];
      const button = part && row.querySelector(`[data-part="${part}"]`);
      if (button) {
        event.preventDefault();
        button.click();
        return;
      }
    }
    const step = { ArrowUp: 'previousElementSibling', ArrowDown: 'nextElementSibling' }[event.key];
    let next = step ? row[step] : null;
    while (next && !next.classList.contains('message')) next = next[step];
    if (event.key === 'Home') next = this.items.querySelector('.message');
    if (event.key === 'End') next = [...this.items.querySelectorAll('.message')].at(-1);
    if (event.key === 'Escape' && event.target !== row) next = row;
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: 'nearest' });
  }
}
