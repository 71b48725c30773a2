// A room's state as a fold over its log: pure functions from a room and an entry, a page or a view to the next room.

/** @typedef {import('./types.js').Room} Room */
/** @typedef {import('./types.js').Entry} Entry */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').RoomView} RoomView */

/** Pushes that are kept to be folded again over a page. */
export const RECENT_MAX = 200;
/** Messages that a window holds before its far end is let go. */
export const WINDOW_MAX = 600;

/** Makes a room of which nothing is known yet. @param {number} id @returns {Room} */
export function newRoom(id) {
  return {
    id, view: null, asOf: 0, epoch: null, seq: 0, append: null, loaded: false, items: [], atStart: false, atEnd: false,
    notes: [], extras: {}, recent: [], generation: 0, previewStale: false, members: null, readMarks: {},
  };
}

/** The message that a `posted` entry brings. @param {number} room @param {any} entry @returns {Message} */
export function messageOf(room, entry) {
  return {
    room, seq: entry.seq, id: entry.id, by: entry.by, at: entry.at, client_id: entry.client_id,
    content: entry.content ?? null, reply_to: entry.reply_to ?? null, mentions: entry.mentions ?? [],
    meta: entry.meta ?? {}, revision: 0, edited_at: null, deleted_at: entry.content ? null : entry.at, reactions: {},
  };
}

/**
 * Folds an entry about a message into it. Folding one again, or one that the message has seen, changes nothing.
 * @param {Message} message @param {any} entry @returns {Message} The same object where nothing changed.
 */
export function amend(message, entry) {
  switch (entry.fact) {
    case 'edited':
      if (entry.revision <= message.revision || message.deleted_at) return message;
      return { ...message, content: entry.content ?? null, revision: entry.revision, edited_at: entry.at };
    case 'deleted':
      if (message.deleted_at) return message;
      return { ...message, content: null, mentions: [], reactions: {}, deleted_at: entry.at };
    case 'reacted': {
      const users = message.reactions[entry.emoji] ?? [];
      if (users.includes(entry.by) || message.deleted_at) return message;
      return { ...message, reactions: { ...message.reactions, [entry.emoji]: [...users, entry.by] } };
    }
    case 'unreacted': {
      const users = message.reactions[entry.emoji];
      if (!users?.includes(entry.by)) return message;
      const reactions = { ...message.reactions, [entry.emoji]: users.filter((u) => u !== entry.by) };
      if (reactions[entry.emoji].length === 0) delete reactions[entry.emoji];
      return { ...message, reactions };
    }
    default:
      return message;
  }
}

/** Where `seq` is in `items`, or where it would be put. @param {Message[]} items @param {number} seq */
export function place(items, seq) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The message with that number, if it is known. @param {Room} room @param {number} seq @returns {Message|undefined} */
export function find(room, seq) {
  const found = room.items[place(room.items, seq)];
  return found?.seq === seq ? found : room.extras[seq];
}

const NOTED = new Set(['created', 'added', 'joined', 'left', 'kicked', 'banned', 'unbanned', 'muted', 'unmuted', 'promoted', 'renamed',
  'configured', 'archived', 'unarchived']);

/** Whether an entry is shown as a line between the messages. @param {any} entry */
export const isNote = (entry) => NOTED.has(entry.fact) && entry.kind !== 'direct';

/** Takes notes into the window; what lies outside of it is let go, and loaded with the messages there. @param {Room} room @param {any[]} entries @returns {Room} */
export function withNotes(room, entries) {
  const from = room.atStart || !room.items.length ? 0 : room.items[0].seq;
  const to = room.atEnd ? Infinity : room.items.at(-1)?.seq ?? 0;
  const notes = room.notes.slice();
  for (const entry of entries) {
    const at = place(notes, entry.seq);
    if (notes[at]?.seq !== entry.seq) notes.splice(at, 0, entry);
  }
  return { ...room, notes: notes.filter((n) => n.seq > from && n.seq < to) };
}

/** Messages and notes in the log's order. @param {Room} room @returns {any[]} */
export const lines = (room) => [...room.items, ...room.notes].sort((a, b) => a.seq - b.seq);

/** All whom a message names: who wrote it, whom it mentions, and who reacted to it. @param {Message} message @returns {number[]} */
export const peopleIn = ({ by, mentions, reactions }) => [by, ...(mentions ?? []), ...Object.values(reactions ?? {}).flat()];

/** Folds an entry into the window and the quotes; what isn't loaded is not touched. @param {Room} room @param {any} entry */
function foldMessages(room, entry) {
  if (isNote(entry)) return room.loaded && room.atEnd ? withNotes(room, [entry]) : room;
  if (entry.fact === 'posted') {
    const last = room.items.at(-1);
    if (!room.loaded || !room.atEnd || (last && entry.seq <= last.seq)) return room;
    return { ...room, items: [...room.items, messageOf(room.id, entry)] };
  }
  if (entry.target === undefined) return room;
  let next = room;
  const at = place(room.items, entry.target);
  if (room.items[at]?.seq === entry.target) {
    const amended = amend(room.items[at], entry);
    if (amended !== room.items[at]) next = { ...next, items: room.items.with?.(at, amended) ?? replaced(room.items, at, amended) };
  }
  const extra = room.extras[entry.target];
  if (extra) {
    const amended = amend(extra, entry);
    if (amended !== extra) next = { ...next, extras: { ...room.extras, [entry.target]: amended } };
  }
  return next;
}

/** A copy with one item replaced. @param {Message[]} items @param {number} at @param {Message} item */
function replaced(items, at, item) {
  const copy = items.slice();
  copy[at] = item;
  return copy;
}

const GAINS = { added: (e) => e.users.length, joined: () => 1 };
const ROLES_CHANGED = new Set(['added', 'joined', 'left', 'kicked', 'banned', 'promoted', 'muted', 'unmuted']);

/** Whether the entry changes who is in the room, or as what. @param {Entry} entry */
export const changesMembers = (entry) => ROLES_CHANGED.has(entry.fact);

/** Folds an entry that the view doesn't know yet into it. @param {Room} room @param {any} entry @param {number} me */
function foldView(room, entry, me) {
  if (!room.view || entry.seq <= room.asOf) return room;
  const view = { ...room.view, last: entry.seq, updated_at: entry.at };
  let previewStale = room.previewStale;
  switch (entry.fact) {
    case 'posted':
      if (entry.content) {
        view.last_message = messageOf(room.id, entry);
        previewStale = false;
      }
      if (entry.by !== me && entry.seq > view.read) view.unread += 1;
      break;
    case 'deleted':
      if (view.last_message?.seq === entry.target) {
        view.last_message = room.atEnd ? room.items.findLast((m) => !m.deleted_at && m.seq !== entry.target) ?? null : null;
        previewStale = view.last_message === null;
      }
      break;
    case 'edited':
    case 'reacted':
    case 'unreacted':
      if (view.last_message?.seq === entry.target) view.last_message = amend(view.last_message, entry);
      break;
    case 'added':
    case 'joined':
      view.members += GAINS[entry.fact](entry);
      break;
    case 'left':
    case 'kicked':
      view.members -= 1;
      if (entry.heir === me) view.role = 'owner';
      break;
    case 'banned':
      if (entry.heir === me) view.role = 'owner';
      break;
    case 'promoted':
      if (entry.user === me) view.role = entry.role;
      else if (entry.role === 'owner' && view.role === 'owner') view.role = 'admin';
      break;
    case 'renamed':
      view.name = entry.name;
      break;
    case 'configured':
      view.history = entry.history;
      break;
    case 'archived':
    case 'unarchived':
      view.archived = entry.fact === 'archived';
      break;
    default:
  }
  return { ...room, view, asOf: entry.seq, previewStale };
}

/**
 * Folds a pushed entry. A repeat is dropped; one that leaves a hole is refused and nothing of it shown.
 * @param {Room} room @param {Entry} entry @param {number} me
 * @returns {{ room: Room, outcome: 'applied'|'repeat'|'gap' }}
 */
export function pushEntry(room, entry, me) {
  if (entry.seq <= room.seq) return { room, outcome: 'repeat' };
  if (entry.seq !== room.seq + 1) return { room, outcome: 'gap' };
  const recent = [...room.recent, entry];
  let next = { ...room, seq: entry.seq, append: entry.append, recent };
  next = foldMessages(next, entry);
  next = foldView(next, entry, me);
  return { room: next, outcome: 'applied' };
}

/** Lets go of pushes that no page on its way needs any more. @param {Room} room @returns {Room} */
export function trimRecent(room) {
  return room.recent.length > RECENT_MAX ? { ...room, recent: room.recent.slice(-RECENT_MAX) } : room;
}

/** The same, and of a room that nobody looks at no more than a window's messages. @param {Room} room @returns {Room} */
export function trimmed(room) {
  const next = trimRecent(room);
  if (next.items.length <= WINDOW_MAX) return next;
  return withNotes({ ...next, items: next.items.slice(-WINDOW_MAX), atStart: false }, []);
}

/** Takes the server's view, unless the pushes have gone past it. @param {Room} room @param {RoomView} view @param {number} me */
export function withView(room, view, me) {
  const read = Math.max(view.read, room.view?.read ?? 0);
  if (room.view && view.last < room.asOf) return { ...room, view: { ...room.view, read } };
  const unread = read >= view.last ? 0 : view.unread;
  let next = { ...room, view: { ...view, read, unread }, asOf: view.last, previewStale: false };
  for (const entry of room.recent) next = foldView(next, entry, me);
  return next;
}

/**
 * Takes a page of messages into the window. A page that doesn't border on it any more is dropped.
 * @param {Room} room @param {{ items: Message[], more: boolean }} page
 * @param {{ before?: number, after?: number }} query @returns {Room}
 */
export function mergePage(room, page, query) {
  let next;
  if (query.before !== undefined) {
    if (!room.loaded || room.items[0]?.seq !== query.before) return room;
    next = { ...room, items: [...page.items, ...room.items], atStart: !page.more };
    if (next.items.length > WINDOW_MAX) next = { ...next, items: next.items.slice(0, WINDOW_MAX), atEnd: false };
  } else if (query.after !== undefined) {
    if (!room.loaded || room.atEnd || room.items.at(-1)?.seq !== query.after) return room;
    next = { ...room, items: [...room.items, ...page.items], atEnd: !page.more };
    if (next.items.length > WINDOW_MAX) next = { ...next, items: next.items.slice(-WINDOW_MAX), atStart: false };
  } else {
    next = { ...room, items: page.items, loaded: true, atStart: !page.more, atEnd: true };
  }
  return withNotes(room.recent.reduce(foldMessages, next), []);
}

/**
 * Makes a window around a message of two pages that meet there.
 * @param {Room} room @param {{ items: Message[], more: boolean }} older @param {{ items: Message[], more: boolean }} newer
 */
export function mergeAround(room, older, newer) {
  const items = [...older.items, ...newer.items];
  const next = { ...room, items, loaded: true, atStart: !older.more, atEnd: !newer.more };
  return withNotes(room.recent.reduce(foldMessages, next), []);
}

/** Keeps a quoted message. @param {Room} room @param {Message} message @returns {Room} */
export function withExtra(room, message) {
  const latest = room.recent.reduce((m, e) => (e.target === m.seq ? amend(m, e) : m), message);
  return { ...room, extras: { ...room.extras, [message.seq]: latest } };
}

/**
 * Forgets all that came from the log; pushes go on after `from`.
 * @param {Room} room @param {number} epoch @param {number} from @returns {Room}
 */
export function forget(room, epoch, from) {
  return { ...newRoom(room.id), epoch, seq: from, generation: room.generation + 1, members: room.members };
}

/** Takes a read mark, one's own or another's. @param {Room} room @param {number} user @param {number} seq @param {number} me */
export function withRead(room, user, seq, me) {
  if (seq <= (room.readMarks[user] ?? 0)) return room;
  let next = { ...room, readMarks: { ...room.readMarks, [user]: seq } };
  if (room.members) next = withMembers(next, room.members);
  if (user === me && room.view && seq > room.view.read) {
    next = { ...next, view: { ...room.view, read: seq, unread: unreadAfter(room, seq, me) } };
  }
  return next;
}

/** Takes a list of members, which may be older than the marks that were heard meanwhile. @param {Room} room @param {any[]} members */
export function withMembers(room, members) {
  return { ...room, members: members.map((m) => ({ ...m, read: Math.max(m.read, room.readMarks[m.user] ?? 0) })) };
}

/** Others' messages after `seq`, as far as the window tells. @param {Room} room @param {number} seq @param {number} me */
function unreadAfter(room, seq, me) {
  if (seq >= room.view.last) return 0;
  const others = (from, to) => room.items.filter((m) => m.seq > from && m.seq <= to && m.by !== me).length;
  if (room.loaded && room.atEnd && (room.atStart || room.items[0]?.seq <= seq)) return others(seq, Infinity);
  // The window reaches from the old mark to the new one: what lies between was read.
  const { read, unread } = room.view;
  const within = room.loaded && (room.atStart || room.items[0]?.seq <= read + 1) && room.items.at(-1)?.seq >= seq;
  return within ? Math.max(0, unread - others(read, seq)) : unread;
}
