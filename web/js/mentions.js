// Completing @names in the composer: a list box that the text field points into.

import { el } from './dom.js';
import { fold, mentionPrefix } from './names.js';
import { avatar, nameOf } from './people.js';
import { prose } from './text.js';

const SHOWN = 6;
let counter = 0;

export class Mentions {
  #found = [];
  #at = 0;

  /** @param {import('./client.js').Client} client @param {number} room @param {HTMLTextAreaElement} input */
  constructor(client, room, input) {
    Object.assign(this, { client, room, input });
    this.list = el('ul.mentions', { id: `mentions-${(counter += 1)}`, role: 'listbox', 'aria-label': 'Members', hidden: true,
      // The text field keeps the focus, without which the list closes.
      onmousedown: (event) => event.preventDefault() });
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-controls', this.list.id);
    input.addEventListener('input', () => this.#look());
    input.addEventListener('blur', () => this.close());
  }

  get #members() {
    const { members } = this.client.state.rooms[this.room] ?? {};
    return (members ?? []).map((m) => this.client.state.users[m.user]).filter(Boolean);
  }

  get #query() {
    return mentionPrefix(prose(this.input.value.slice(0, this.input.selectionStart)));
  }

  #look() {
    if (this.#query !== undefined) this.client.roster.needMembers(this.room);
    const query = this.#query === undefined ? undefined : fold(this.#query);
    const fits = (u) => [u.username, u.full_name ?? '', ...(u.full_name ?? '').split(/\s+/)].some((n) => fold(n).startsWith(query));
    this.#found = query === undefined ? [] : this.#members.filter((u) => u.id !== this.client.me && fits(u)).slice(0, SHOWN);
    // A name that is written out needs no completing: Enter sends.
    if (this.#found.length === 1 && fold(this.#found[0].username) === query) this.#found = [];
    this.#at = 0;
    this.#show();
  }

  #show() {
    this.list.hidden = this.#found.length === 0;
    this.list.replaceChildren(...this.#found.map((user, i) => el('li', {
      role: 'option', id: `${this.list.id}-${i}`, 'aria-selected': String(i === this.#at),
      // Not before the finger is lifted: it may have come to scroll.
      onclick: () => this.#take(user),
    }, avatar(this.client.state, user.id), el('bdi', {}, nameOf(this.client.state, user.id)), el('bdi.soft', {}, `@${user.username}`))));
    this.list.children[this.#at]?.scrollIntoView({ block: 'nearest' });
    if (this.#found.length) this.input.setAttribute('aria-activedescendant', `${this.list.id}-${this.#at}`);
    else this.input.removeAttribute('aria-activedescendant');
  }

  close() {
    this.#found = [];
    this.#show();
  }

  #take(user) {
    const end = this.input.selectionStart;
    const start = end - this.#query.length;
    this.input.setRangeText(`${user.username} `, start, end, 'end');
    this.close();
    this.input.dispatchEvent(new Event('input', { bubbles: true }));
  }

  /** Whether the key was for the list. @param {KeyboardEvent} event */
  key(event) {
    if (!this.#found.length) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.#at = (this.#at + step + this.#found.length) % this.#found.length;
    else if (event.key === 'Enter' || event.key === 'Tab') this.#take(this.#found[this.#at]);
    else if (event.key === 'Escape') this.close();
    else return false;
    if (step) this.#show();
    event.preventDefault();
    return true;
  }
}
