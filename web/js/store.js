// All that the page knows of the server, as one value; each function makes the next one and changes nothing.

import { forget, newRoom, pushEntry, withRead, withView } from './fold.js';

/**
 * @typedef {object} State
 * @property {number|null} me
 * @property {Object<number, import('./types.js').Room>} rooms
 * @property {Object<number, import('./types.js').User>} users
 * @property {Object<number, { status: string, last_seen?: number, pushed?: number }>} presence With when it was pushed last (ms).
 * @property {Object<number, Object<number, number>>} typing Per room and user: until when (ms).
 */

/** Milliseconds after which somebody who is writing is taken as stopped. */
export const TYPING_MS = 6_000;

/** Milliseconds by which an answer may be older than what was pushed before it: another node's news of presence are gathered. */
const NEWS_MS = 2_000;

/** The state of a page that knows nothing. @param {number|null} me @returns {State} */
export const initial = (me = null) => ({ me, rooms: {}, users: {}, presence: {}, typing: {} });

/** @param {State} state @param {number} id @param {(room: import('./types.js').Room) => import('./types.js').Room} change */
export function changeRoom(state, id, change) {
  const room = state.rooms[id];
  if (!room) return state;
  const next = change(room);
  return next === room ? state : { ...state, rooms: { ...state.rooms, [id]: next } };
}

/** @param {State} state @param {import('./types.js').Room} room @returns {State} */
const putRoom = (state, room) => ({ ...state, rooms: { ...state.rooms, [room.id]: room } });

/** @param {State} state @param {number} id @returns {State} */
export function dropRoom(state, id) {
  const { [id]: _, ...rooms } = state.rooms;
  const { [id]: __, ...typing } = state.typing;
  return { ...state, rooms, typing };
}

/** What a `resume` says of where this client is. @param {State} state */
export function positions(state) {
  const out = {};
  for (const room of Object.values(state.rooms)) {
    if (room.epoch === null) continue;
    out[room.id] = { epoch: room.epoch, seq: room.seq };
    if (room.append !== null) out[room.id].append = room.append;
  }
  return out;
}

/**
 * Takes the answer to a `resume`.
 * @param {State} state
 * @param {{ room: number, epoch: number, from: number, last: number, outcome: string }[]} resumed
 * @returns {State}
 */
export function resumed(state, resumed) {
  let next = state;
  for (const { room: id, epoch, from, outcome } of resumed) {
    const room = next.rooms[id];
    if (outcome === 'gone') next = dropRoom(next, id);
    else if (outcome === 'live' && room?.epoch === epoch && room.seq === from) continue;
    else if (outcome === 'live' && !room) next = putRoom(next, { ...newRoom(id), epoch, seq: from });
    // Too far, another log, or a start that isn't where this client stands: what is shown would have a hole.
    else next = putRoom(next, forget(room ?? newRoom(id), epoch, from));
  }
  return next;
}

/** Takes rooms as the server shows them. @param {State} state @param {import('./types.js').RoomView[]} views @returns {State} */
export function withViews(state, views) {
  let next = state;
  for (const view of views) {
    const room = next.rooms[view.id];
    if (room) next = putRoom(next, withView(room, view, state.me));
  }
  return next;
}

/** @param {State} state @param {import('./types.js').User[]} users @returns {State} */
export function withUsers(state, users) {
  const next = { ...state.users };
  for (const user of users) next[user.id] = user;
  return { ...state, users: next };
}

/**
 * @param {State} state @param {{ user: number, status: string, last_seen?: number|null }[]} list
 * @param {number} [pushed] When they were pushed (ms). @returns {State}
 */
export function withPresence(state, list, pushed) {
  const presence = { ...state.presence };
  for (const { user, status, last_seen } of list) {
    presence[user] = { status, last_seen: last_seen ?? presence[user]?.last_seen ?? undefined, pushed: pushed ?? presence[user]?.pushed };
  }
  return { ...state, presence };
}

/**
 * Takes what was answered, but of those of whom something newer was pushed.
 * @param {State} state @param {{ user: number, status: string, last_seen?: number|null }[]} list
 * @param {number} asked When (ms). @returns {State}
 */
export const withAnsweredPresence = (state, list, asked) =>
  withPresence(state, list.filter(({ user }) => !(state.presence[user]?.pushed > asked - NEWS_MS)));

/** @param {State} state @param {number} room @param {number} user @param {number} until 0: stopped. @returns {State} */
function typing(state, room, user, until) {
  const { [user]: had, ...others } = state.typing[room] ?? {};
  if (!had && !until) return state;
  return { ...state, typing: { ...state.typing, [room]: until ? { ...others, [user]: until } : others } };
}

/** Forgets who has stopped writing without saying so. @param {State} state @param {number} now @returns {State} */
export function expireTyping(state, now) {
  let next = state;
  for (const [room, users] of Object.entries(state.typing)) {
    for (const [user, until] of Object.entries(users)) {
      if (until <= now) next = typing(next, Number(room), Number(user), 0);
    }
  }
  return next;
}

/** Whether somebody's mute ended after `since`, up to `now`. @param {State} state @param {number} since @param {number} now */
export const muteEnded = (state, since, now) =>
  Object.values(state.rooms).some((room) => room.members?.some((m) => m.muted_until > since && m.muted_until <= now));

/**
 * Takes a push. The effects say what the caller has to do beside showing the state.
 * @param {State} state @param {any} push @param {number} now
 * @returns {{ state: State, effects: { do: 'load_room'|'left'|'reconnect'|'entry', room: number, entry?: any }[] }}
 */
export function pushed(state, push, now) {
  const id = push.room;
  switch (push.push) {
    case 'entry': {
      const room = state.rooms[id];
      if (!room) return { state, effects: [] };
      const { room: next, outcome } = pushEntry(room, push.entry, state.me);
      if (outcome === 'repeat') return { state, effects: [] };
      if (outcome === 'gap') return { state, effects: [{ do: 'reconnect', room: id }] };
      let after = putRoom(state, next);
      if (push.entry.fact === 'posted') after = typing(after, id, push.entry.by, 0);
      return { state: after, effects: [{ do: 'entry', room: id, entry: push.entry }] };
    }
    case 'room_added': {
      const room = { ...newRoom(id), epoch: push.epoch, seq: push.from, generation: (state.rooms[id]?.generation ?? 0) + 1 };
      return { state: putRoom(state, room), effects: [{ do: 'load_room', room: id }] };
    }
    case 'reset':
      return {
        state: putRoom(state, forget(state.rooms[id] ?? newRoom(id), push.epoch, push.from)),
        effects: [{ do: 'load_room', room: id }],
      };
    case 'room_gone':
      return { state: dropRoom(state, id), effects: [{ do: 'left', room: id }] };
    case 'typing':
      if (push.user === state.me) return { state, effects: [] };
      return { state: typing(state, id, push.user, push.on ? now + TYPING_MS : 0), effects: [] };
    case 'read':
      return { state: changeRoom(state, id, (room) => withRead(room, push.user, push.seq, state.me)), effects: [] };
    case 'presence':
      return { state: withPresence(state, [push], now), effects: [] };
    default:
      // Later versions add pushes; those that this one doesn't know are none of its business.
      return { state, effects: [] };
  }
}

/** Rooms by their latest activity, newest first. @param {State} state */
export function roomList(state) {
  const at = (room) => Math.max(room.view.last_message?.at ?? 0, room.view.created_at);
  return Object.values(state.rooms).filter((r) => r.view).sort((a, b) => at(b) - at(a) || b.id - a.id);
}
