// What admins keep an eye on: who is banned, and which invites are open; each can be taken back.

import { toast } from './announce.js';
import { explain } from './codes.js';
import { el } from './dom.js';
import { reconcile } from './keyed.js';
import { loading } from './loading.js';
import { isolate } from './bidi.js';
import { avatar, nameOf } from './people.js';
import { deadline } from './time.js';

/** @param {import('./client.js').Client} client @param {number} room */
export const banList = (client, room) => new Listing(client, room, {
  title: 'Banned people', empty: 'Nobody is banned.', op: 'bans', facts: ['banned', 'unbanned'],
  people: (ban) => ban.user, key: (ban) => `b${ban.user}`,
  line: (ban) => (ban.until ? `Until ${deadline(ban.until)}` : 'Until the ban is lifted'),
  button: 'Lift', label: (name) => `Lift the ban on ${name}`, undo: (ban) => ['unban', { user: ban.user }], done: (name) => `The ban on ${name} was lifted.`,
});

/** @param {import('./client.js').Client} client @param {number} room */
export const inviteList = (client, room) => new Listing(client, room, {
  title: 'Open invites', empty: 'There are no open invites.', op: 'invites', facts: ['invited', 'uninvited', 'joined'],
  people: (invite) => invite.by, key: (invite) => `i${invite.hash}`,
  line: (invite) => [invite.expires_at ? `Until ${deadline(invite.expires_at)}` : 'Never expires', uses(invite.left)].join(' · '),
  button: 'Withdraw', label: (name, line) => `Withdraw the invite by ${name}: ${line}`, undo: (invite) => ['uninvite', { hash: invite.hash }],
  done: () => 'The invite was withdrawn.',
});

const uses = (left) => (left === undefined || left === null ? 'any number of uses' : `${left} ${left === 1 ? 'use' : 'uses'} left`);

/** A list that is asked for when it is opened, and again when the log says that it changed. */
class Listing {
  #items = null;
  #asked = 0;
  #cache = new Map();

  constructor(client, room, kind) {
    Object.assign(this, { client, room, kind });
    this.summary = el('summary', {}, kind.title);
    this.list = el('ul.members', { 'aria-label': kind.title });
    this.note = el('p.soft', { role: 'status' });
    this.state = loading('The list', () => this.load());
    this.node = el('details.fold', {}, this.summary, el('div.listed', {}, this.list, this.note, this.state.node));
    this.node.addEventListener('toggle', () => this.node.open && this.load());
  }

  /** An entry came. */
  onEntry(entry) {
    if (this.node.open && this.kind.facts.includes(entry.fact)) this.load();
  }

  async load() {
    const turn = (this.#asked += 1);
    this.state.show(!this.#items);
    try {
      const { [this.kind.op]: items } = await this.client.connection.request(this.kind.op, { room: this.room });
      if (turn !== this.#asked) return;
      this.#items = items;
      this.client.loadUsers(items.map(this.kind.people));
      this.note.textContent = items.length ? '' : this.kind.empty;
      this.state.show(null);
      this.render();
    } catch (error) {
      if (turn === this.#asked) this.state.show(error);
    }
  }

  render() {
    const had = this.list.contains(document.activeElement);
    const { state } = this.client;
    reconcile(this.list, (this.#items ?? []).map((item) => this.#row(state, item)), this.#cache);
    // What had the focus went with its row.
    if (had && !this.list.contains(document.activeElement)) (this.list.querySelector('button') ?? this.summary).focus();
  }

  #row(state, item) {
    const user = this.kind.people(item);
    const name = nameOf(state, user);
    const line = this.kind.line(item);
    return {
      key: this.kind.key(item), sig: [state.users[user], line],
      make: () => el('li.member'),
      fill: (node) => node.replaceChildren(avatar(state, user), el('span.member-text', {}, el('span', {}, el('bdi', {}, name)), el('span.soft', {}, line)),
        el('button.button', { type: 'button', 'aria-label': this.kind.label(name, line), data: { part: 'undo' }, onclick: () => this.#undo(item, name) }, this.kind.button)),
    };
  }

  async #undo(item, name) {
    const [op, fields] = this.kind.undo(item);
    try {
      await this.client.command(op, this.room, fields);
      toast(this.kind.done(isolate(name)));
    } catch (error) {
      // Somebody else was quicker, or its time has come.
      toast(explain(error));
    }
    this.load();
  }
}
