// Names, avatars and presence of users and rooms.

import { isolate, plain } from './bidi.js';
import { el } from './dom.js';
import { ago, serverNow } from './time.js';

const STATUS = { online: 'Online', away: 'Away', do_not_disturb: 'Do not disturb', offline: 'Offline' };

/** @param {import('./store.js').State} state @param {number} id */
export function nameOf(state, id) {
  const user = state.users[id];
  return user ? plain(user.full_name) || user.username : `User ${id}`;
}

/** The same for the midst of a sentence. @param {import('./store.js').State} state @param {number} id */
export const nameIn = (state, id) => isolate(nameOf(state, id));

/** @param {import('./store.js').State} state @param {import('./types.js').Room} room */
export function roomName(state, room) {
  if (room.view?.kind === 'direct') return room.view.peer ? nameOf(state, room.view.peer) : 'Direct chat';
  return plain(room.view?.name ?? '') || `Room ${room.id}`;
}

/** The same for the midst of a sentence. @param {import('./store.js').State} state @param {import('./types.js').Room} room */
export const roomNameIn = (state, room) => isolate(roomName(state, room));

const letters = (name) => {
  const words = name.split(/\s+/).filter(Boolean);
  const pick = (word) => [...word][0] ?? '';
  return (words.length > 1 ? pick(words[0]) + pick(words.at(-1)) : pick(words[0] ?? '?')).toLocaleUpperCase();
};

/** A coloured disc with initials; the name beside it says who it is. */
export const disc = (name, hue, square = false) =>
  el('span.disc', { class: `hue-${hue % 8} ${square ? 'square' : ''}`, 'aria-hidden': 'true' }, letters(name));

/** @param {import('./store.js').State} state @param {number} id @param {boolean} [dot] Whether to show the presence. */
export function avatar(state, id, dot = false) {
  const face = disc(nameOf(state, id), id);
  return dot ? el('span.avatar', {}, face, el('span.dot', { class: statusOf(state, id) })) : face;
}

/** @param {import('./store.js').State} state @param {import('./types.js').Room} room */
export const roomAvatar = (state, room) =>
  room.view.kind === 'direct' && room.view.peer ? avatar(state, room.view.peer, true) : disc(roomName(state, room), room.id, true);

export const statusOf = (state, id) => state.presence[id]?.status ?? 'offline';
export const statusWord = (status) => STATUS[status] ?? status;

/** `Online`, or when somebody was last there. */
export function presenceText(state, id) {
  const status = statusOf(state, id);
  const seen = state.presence[id]?.last_seen ?? state.users[id]?.last_seen;
  return status === 'offline' && seen ? `Last seen ${ago(seen)}` : statusWord(status);
}

/** Whether a member may not write. @param {import('./types.js').Member|undefined} member */
export const isMuted = (member, now = serverNow()) => member?.muted_until === 0 || member?.muted_until > now;

/** Names as one reads them out. */
export const list = (names) => new Intl.ListFormat(undefined, { type: 'conjunction' }).format(names);
