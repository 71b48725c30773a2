// A room's details: name, members and what can be done with them, invites, archiving, leaving.

import { copy, toast } from './announce.js';
import { explain } from './codes.js';
import { confirm, form, openDialog } from './dialog.js';
import { el, field, iconButton } from './dom.js';
import { reconcile } from './keyed.js';
import { loading } from './loading.js';
import { menu } from './menu.js';
import { isReadonly } from './permissions.js';
import { avatar, isMuted, nameIn, nameOf, roomName, presenceText } from './people.js';
import { picker } from './picker.js';
import { banList, inviteList } from './staff.js';
import { serverNow } from './time.js';

const RANK = { member: 0, admin: 1, owner: 2 };
const HOUR_MS = 3_600_000;

/** @param {import('./client.js').Client} client @param {number} id */
export function openDetails(client, id) {
  const room = client.state.rooms[id];
  if (!room?.view) return;
  const render = () => {
    const now = client.state.rooms[id];
    if (!now?.view) return close();
    title.textContent = roomName(client.state, now);
    renderMembers(client, now, members, cache);
    state.show(client.loadErrors.get(id) ?? (!now.members && (client.connection.live || 'Waiting for the connection…')));
    return tools.render(now);
  };
  const onEntry = ({ detail }) => detail.room === id && tools.onEntry(detail.entry);
  const { dialog, body, close } = openDialog(roomName(client.state, room), { side: true, closed: () => {
    client.removeEventListener('change', render);
    client.removeEventListener('connection', render);
    client.removeEventListener('entry', onEntry);
  } });
  const title = dialog.querySelector('h2');
  const members = el('ul.members', { 'aria-label': 'Members' });
  const cache = new Map();
  const state = loading('The members', () => {
    client.loadErrors.delete(id);
    render();
    client.loadMembers(id);
  });
  const tools = new Tools(client, dialog, close);
  body.append(el('h3', {}, 'Members'), state.node, members, tools.node);
  client.addEventListener('change', render);
  client.addEventListener('connection', render);
  client.addEventListener('entry', onEntry);
  if (client.connection.live) client.loadMembers(id);
  render();
}

/** What one may do with the room as a whole; made anew when one's role changes, or that of the account, or the room is closed or opened. */
export class Tools {
  #of = '';
  #parts = [];

  constructor(client, dialog, close) {
    Object.assign(this, { client, dialog, close });
    this.node = el('div.tools-of-room');
  }

  render(room) {
    const { kind, role, archived } = room.view;
    const of = [kind, role, archived, isReadonly(this.client)].join();
    if (of !== this.#of) {
      this.#of = of;
      const had = this.node.contains(document.activeElement);
      this.#parts = kind === 'direct' ? [] : this.#make(room, isReadonly(this.client) ? -1 : RANK[role] ?? -1);
      this.node.replaceChildren(...this.#parts.map((part) => part.node));
      if (had) this.dialog.querySelector('button').focus();
    }
    for (const part of this.#parts) part.render?.(room);
  }

  /** An entry came. */
  onEntry(entry) {
    for (const part of this.#parts) part.onEntry?.(entry);
  }

  #make(room, rank) {
    const { client } = this;
    const open = rank >= 1 && !room.view.archived;
    const grows = open && room.view.kind === 'group';
    return [
      ...(grows ? [{ node: addPeople(client, room) }, invites(client, room), inviteList(client, room.id), banList(client, room.id)] : []),
      ...(open ? [settings(client, room, rank)] : []),
      { node: leaving(client, room, rank, this.close) },
    ];
  }
}

function renderMembers(client, room, parent, cache) {
  const { state } = client;
  const rows = (room.members ?? []).map((member) => {
    const user = state.users[member.user];
    const line = presenceText(state, member.user);
    const muted = isMuted(member);
    return {
      key: `u${member.user}`, sig: [user, member.role, muted, line, room.view.role, room.view.archived, isReadonly(client)],
      make: () => el('li.member'),
      fill: (node) => {
        const role = member.role === 'member' ? '' : member.role === 'owner' ? ' · owner' : ' · admin';
        const items = actions(client, room, member, muted);
        const name = nameOf(state, member.user);
        const more = items.length ? iconButton('more', `Actions for ${name}`, () => menu(more, name, items), { 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { part: 'more' } }) : '';
        node.replaceChildren(avatar(state, member.user, true), el('span.member-text', {},
          el('span', {}, el('bdi', {}, name), member.user === client.me ? ' (you)' : ''),
          el('span.soft', {}, `${line}${role}${muted ? ' · muted' : ''}`)), more);
      },
    };
  });
  reconcile(parent, rows, cache);
}

/** What one may do with a member. */
function actions(client, room, member, muted) {
  const { user } = member;
  const { id, view } = room;
  if (user === client.me) return [];
  const name = nameIn(client.state, user);
  const mine = RANK[view.role] ?? -1;
  const above = view.kind !== 'direct' && !view.archived && !isReadonly(client) && mine >= 1 && mine > RANK[member.role];
  const run = (op, fields, done) => () => client.command(op, id, { user, ...fields }).then(() => done && toast(done)).catch((error) => toast(explain(error)));
  const mute = (hours) => run('mute', hours ? { until: serverNow() + hours * HOUR_MS } : {}, `${name} is muted.`);
  const ask = (title, text, label, op, after) => () => confirm(title, text, label, async () => {
    await client.command(op, id, { user });
    after?.();
  });
  return [
    view.kind !== 'direct' && !isReadonly(client) && { label: 'Write a direct message', run: () => client.direct(user).then((to) => { document.querySelector('dialog[open]')?.close(); location.hash = `#/rooms/${to}`; }).catch((error) => toast(explain(error))) },
    above && mine === 2 && (member.role === 'admin' ? { label: 'Make a regular member', run: run('promote', { role: 'member' }) } : { label: 'Make an admin', run: run('promote', { role: 'admin' }) }),
    above && mine === 2 && { label: 'Transfer ownership', danger: true, run: () => confirm('Transfer ownership?', `${name} will own the room; you will be an admin.`, 'Transfer', () => client.command('promote', id, { user, role: 'owner' })) },
    above && (muted ? { label: 'Unmute', run: run('unmute') } : { label: 'Mute for an hour', run: mute(1) }),
    above && !muted && { label: 'Mute', run: mute(0) },
    above && { label: 'Remove', danger: true, run: ask(`Remove ${name}?`, 'They can be added again, or come back with an invite.', 'Remove', 'kick') },
    above && { label: 'Ban', danger: true, run: ask(`Ban ${name}?`, 'They are removed and can’t come back until the ban is lifted.', 'Ban', 'ban',
      () => toast(`${name} is banned.`, { label: 'Undo', run: run('unban', {}, `The ban on ${name} was lifted.`) })) },
  ].filter(Boolean);
}

function addPeople(client, room) {
  const people = picker(client, { label: 'Find people', many: true, without: (room.members ?? []).map((m) => m.user) });
  return el('details.fold', {}, el('summary', {}, 'Add people'), form({
    label: 'Add', children: [people.box],
    submit: async () => {
      if (!people.users.size) return people.input.focus();
      await client.command('add', room.id, { users: [...people.users] });
      people.box.querySelectorAll('.chip').forEach((chip) => chip.remove());
      people.users.clear();
      return toast('Added.');
    },
  }));
}

/** Making a link by which people join. @param {import('./client.js').Client} client @param {import('./types.js').Room} room */
export function invites(client, room) {
  const expiry = field('Expires', { tag: 'select' });
  expiry.input.append(el('option', { value: '24' }, 'after a day'), el('option', { value: '168' }, 'after a week'), el('option', { value: '' }, 'never'));
  const uses = field('How often it can be used (optional)', { type: 'number', min: 1, max: 1000, inputmode: 'numeric', placeholder: 'without limit' });
  const result = el('div.invite', { hidden: true });
  let hash = null;
  const forget = () => {
    const had = result.contains(document.activeElement);
    result.hidden = true;
    result.replaceChildren();
    if (had) node.querySelector('button[type=submit]').focus();
  };
  const withdraw = () => client.command('uninvite', room.id, { hash }).then(() => {
    forget();
    toast('The invite was withdrawn.');
  }).catch((error) => toast(explain(error)));
  const node = el('details.fold', {}, el('summary', {}, 'Invite with a link'), form({
    label: 'Create link', children: [expiry.box, uses.box, result],
    submit: async () => {
      const fields = { room: room.id };
      if (expiry.input.value) fields.expires_at = serverNow() + Number(expiry.input.value) * HOUR_MS;
      if (uses.input.value) fields.uses = Number(uses.input.value);
      const invite = await client.connection.request('invite', fields);
      hash = invite.hash;
      const address = `${location.origin}/#/join/${encodeURIComponent(invite.code)}`;
      const shown = field('Invite link', { readonly: true, value: address }, 'Copy it now: it is not shown again.');
      result.hidden = false;
      result.replaceChildren(shown.box, el('div.form-actions', {},
        el('button.button', { type: 'button', onclick: () => copy(address) }, 'Copy'),
        el('button.button', { type: 'button', onclick: withdraw }, 'Withdraw')));
      shown.input.focus();
      shown.input.select();
    },
  }));
  // Withdrawn from the list, or by another admin, it is of no use.
  return { node, onEntry: (entry) => entry.fact === 'uninvited' && entry.hash === hash && forget() };
}

function settings(client, room, rank) {
  // What was not touched here is not changed, whatever others do meanwhile.
  let shown = room.view;
  const name = field('Name', { maxlength: 100, value: shown.name, autocomplete: 'off' });
  const history = field('New members can read', { tag: 'select' });
  history.input.append(el('option', { value: 'all' }, 'everything'), el('option', { value: 'since_joined' }, 'what was sent since they joined'));
  history.input.value = shown.history;
  const node = el('details.fold', {}, el('summary', {}, 'Settings'), form({
    label: 'Save', children: rank >= 2 ? [name.box, history.box] : [name.box],
    submit: async () => {
      const title = name.input.value.trim();
      if (!title) return name.error('Please give the room a name.');
      if (title !== shown.name) await client.command('rename', room.id, { name: title });
      if (history.input.value !== shown.history) await client.command('configure', room.id, { history: history.input.value });
      return toast('Saved.');
    },
  }));
  const render = ({ view }) => {
    if (name.input.value === shown.name) name.input.value = view.name;
    if (history.input.value === shown.history) history.input.value = view.history;
    shown = view;
  };
  return { node, render };
}

function leaving(client, room, rank, close) {
  const { archived } = room.view;
  const archive = el('button.button', { type: 'button', onclick: () => {
    if (archived) client.command('unarchive', room.id).then(close).catch((error) => toast(explain(error)));
    else confirm('Archive the room?', 'Nobody can write in it until an owner unarchives it.', 'Archive', () => client.command('archive', room.id).then(close));
  } }, archived ? 'Unarchive' : 'Archive');
  const leave = el('button.button.danger', { type: 'button', onclick: () =>
    confirm('Leave the room?', 'You can come back when somebody adds or invites you.', 'Leave', async () => {
      await client.command('leave', room.id);
      close();
      location.hash = '#/';
    }) }, 'Leave');
  return el('div.form-actions.end', {}, rank >= 2 ? archive : null, leave);
}
