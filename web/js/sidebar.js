// The list of rooms: names, last messages, unread counts, newest first; and oneself on top.

import { el, iconButton } from './dom.js';
import { reconcile } from './keyed.js';
import { isReadonly } from './permissions.js';
import { menu } from './menu.js';
import { joinRoom, newDirect, newGroup } from './new-room.js';
import { avatar, nameIn, nameOf, roomAvatar, roomName, statusOf } from './people.js';
import { openProfile } from './profile.js';
import { roomList } from './store.js';
import { summary } from './text.js';
import { brief, exact, serverNow } from './time.js';

export class Sidebar {
  #cache = new Map();
  #filter = '';
  #myself = [];

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client;
    this.me = el('button.me', { type: 'button', onclick: () => openProfile(client) });
    const plus = iconButton('plus', 'New chat', () => menu(plus, 'New chat', [
      !isReadonly(client) && { label: 'New group', run: () => newGroup(client) },
      !isReadonly(client) && { label: 'Direct chat', run: () => newDirect(client) },
      { label: 'Join with an invite', run: () => joinRoom(client) },
    ]), { 'aria-haspopup': 'menu', 'aria-expanded': 'false' });
    this.plus = plus;
    this.list = el('ul.rooms');
    this.empty = el('div.empty', {});
    const search = el('input.filter', { type: 'search', 'aria-label': 'Filter chats', placeholder: 'Filter chats', autocomplete: 'off', dir: 'auto' });
    search.addEventListener('input', () => {
      this.#filter = search.value.trim().toLocaleLowerCase();
      this.render();
    });
    this.node = el('nav.sidebar', { 'aria-label': 'Chats' },
      el('header.side-head', {}, this.me, el('h1', {}, 'Chats'), plus), search, this.list, this.empty);
    this.current = null;
    this.ready = false;
  }

  /** Puts the focus on a room; where it is gone, on what is there always. @param {number|undefined} room */
  focus(room) {
    if (room) (this.list.querySelector(`a[href="#/rooms/${room}"]`) ?? this.plus).focus();
  }

  render() {
    const { state } = this.client;
    const status = this.client.connection.live ? this.client.visibleStatus : 'offline';
    const myself = [state.users[this.client.me], status];
    if (myself.some((v, i) => v !== this.#myself[i])) {
      this.#myself = myself;
      const face = avatar(state, this.client.me);
      this.me.replaceChildren(el('span.avatar', {}, face, el('span.dot', { class: status })),
        el('span.unseen', {}, `${nameIn(state, this.client.me)}, profile and status`));
    }
    const all = roomList(state);
    const rooms = all.filter((r) => roomName(state, r).toLocaleLowerCase().includes(this.#filter));
    reconcile(this.list, rooms.map((room) => this.#row(state, room)), this.#cache);
    this.list.hidden = rooms.length === 0;
    const text = all.length ? 'No chat has a name with these letters.' : 'No chats yet. Start one with the + button.';
    this.empty.textContent = rooms.length || !(this.ready || all.length) ? '' : text;
    const unread = all.reduce((n, r) => n + r.view.unread, 0);
    return unread;
  }

  #row(state, room) {
    const { view } = room;
    const last = view.last_message;
    const typing = Object.keys(state.typing[room.id] ?? {}).map(Number);
    const current = this.current === room.id;
    const today = new Date(serverNow()).toDateString();
    const sig = [view, current, today, state.users[view.peer], state.users[last?.by], view.peer && statusOf(state, view.peer), typing.join()];
    return {
      key: `r${room.id}`, sig,
      make: () => el('li', {}, el('a.room-link', { href: `#/rooms/${room.id}`, data: { part: 'link' } })),
      fill: (node) => {
        const link = node.firstElementChild;
        link.classList.toggle('unread', view.unread > 0);
        if (current) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
        link.replaceChildren(roomAvatar(state, room), el('span.room-text', {},
          el('span.room-top', {},
            el('span.room-name', { dir: 'auto' }, roomName(state, room)),
            last ? el('time.room-time', { dir: 'auto', datetime: new Date(last.at).toISOString(), title: exact(last.at) }, brief(last.at)) : null),
          el('span.room-bottom', {}, this.#preview(state, room, typing),
            view.unread ? el('span.badge', {}, el('span.unseen', {}, ', '), String(view.unread > 999 ? '999+' : view.unread), el('span.unseen', {}, ' unread')) : null)));
      },
    };
  }

  #preview(state, { view }, typing) {
    if (typing.length) return el('span.room-last.typing', {}, view.kind === 'direct' ? 'writing…' : `${nameIn(state, typing[0])} is writing…`);
    const last = view.last_message;
    if (!last) return el('span.room-last', {}, view.archived ? 'Archived' : 'No messages yet');
    const who = last.by === this.client.me ? 'You' : view.kind === 'direct' ? null : nameOf(state, last.by).split(' ')[0];
    // The words are a box of their own: what doesn't fit is left out at their end, on whichever side that is.
    return el('span.room-last.said', {}, who ? el('span.room-who', {}, el('bdi', {}, who), ': ') : null, el('span.room-words', { dir: 'auto' }, summary(last.content)));
  }
}
