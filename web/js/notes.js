// What happened to a room, as lines between its messages: who came and went, who may do what, a new name.

import { isolate, plain } from './bidi.js';
import { nameOf } from './people.js';
import { deadline } from './time.js';

const HISTORY = { all: 'everything', since_joined: 'what was sent since they joined' };
const ROLE = { member: 'a regular member', admin: 'an admin' };

/** Names between which a sentence needs commas and an "and". */
const joined = (names) => new Intl.ListFormat(undefined, { type: 'conjunction' }).formatToParts(names)
  .map(({ type, value }) => (type === 'element' ? { name: value } : value));

/**
 * A sentence in parts: words, and names, which may run in another direction.
 * @param {import('./store.js').State} state @param {any} entry @returns {(string|{ name: string })[]}
 */
export function noteParts(state, entry) {
  const { me } = state;
  const by = { name: entry.by === me ? 'You' : nameOf(state, entry.by) };
  const user = entry.user && { name: entry.user === me ? 'you' : nameOf(state, entry.user) };
  const many = (ids) => joined(ids.map((u) => (u === me ? 'you' : nameOf(state, u))));
  const until = entry.until ? ` until ${deadline(entry.until)}` : '';
  const heir = entry.heir ? ['. ', { name: entry.heir === me ? 'You' : nameOf(state, entry.heir) }, `${entry.heir === me ? ' own' : ' owns'} the room now`] : [];
  switch (entry.fact) {
    case 'created': {
      const others = (entry.members ?? []).filter((u) => u !== entry.by);
      return [by, ' created the room', ...(others.length ? [' with ', ...many(others)] : [])];
    }
    case 'added': return [by, ' added ', ...many(entry.users)];
    case 'joined': return [by, ' joined with an invite'];
    case 'left': return [by, ' left', ...heir];
    case 'kicked': return [by, ' removed ', user, ...heir];
    case 'banned': return [by, ' banned ', user, until, ...heir];
    case 'unbanned': return [by, ' lifted the ban on ', user];
    case 'muted': return [by, ' muted ', user, until];
    case 'unmuted': return [by, ' unmuted ', user];
    case 'promoted': return entry.role === 'owner' ? [by, ' transferred ownership of the room to ', user] : [by, ' made ', user, ` ${ROLE[entry.role]}`];
    case 'renamed': return [by, ' named the room ', '“', { name: plain(entry.name) }, '”'];
    case 'configured': return [by, ` let new members read ${HISTORY[entry.history]}`];
    case 'archived': return [by, ' archived the room'];
    default: return [by, ' unarchived the room'];
  }
}

/** The same as plain text. @param {import('./store.js').State} state @param {any} entry */
export const noteText = (state, entry) => noteParts(state, entry).map((part) => (part.name ? isolate(part.name) : part)).join('');

/** The people that a note names. @param {any} entry @returns {number[]} */
export const named = (entry) => [entry.by, entry.user, entry.heir, ...(entry.users ?? []), ...(entry.fact === 'created' ? entry.members : [])].filter(Boolean);
