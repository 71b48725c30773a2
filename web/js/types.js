// The shapes of the native API (docs/protocol.md) and of what the page keeps, for editors and readers.

/** @typedef {{ text: string, parts?: Part[] }} Content */
/** @typedef {{ type: 'code', language?: string, text: string } | { type: 'image', url: string, alt?: string }
 *  | { type: 'file', url: string, name: string, mime?: string, size?: number }
 *  | { type: 'data', mime: string, text: string }} Part */

/**
 * A message as it is now.
 * @typedef {object} Message
 * @property {number} room
 * @property {number} seq
 * @property {number} id
 * @property {number} by
 * @property {number} at
 * @property {string} client_id
 * @property {Content|null} content Null once deleted.
 * @property {number|null} reply_to
 * @property {number[]} mentions
 * @property {Object<string, string>} meta
 * @property {number} revision
 * @property {number|null} edited_at
 * @property {number|null} deleted_at
 * @property {Object<string, number[]>} reactions
 */

/**
 * One numbered line of a room's log, with the fields of its fact beside these.
 * @typedef {object} Entry
 * @property {number} seq
 * @property {number} at
 * @property {number} by
 * @property {string} client_id
 * @property {number} posts
 * @property {number} append
 * @property {string} fact
 */

/**
 * A room as the server shows it.
 * @typedef {object} RoomView
 * @property {number} id
 * @property {'direct'|'group'|'conversation'} kind
 * @property {string} name
 * @property {number|null} peer
 * @property {number} epoch
 * @property {number} last
 * @property {number} members
 * @property {'member'|'admin'|'owner'|null} role
 * @property {number} first
 * @property {number} read
 * @property {number} unread
 * @property {'all'|'since_joined'} history
 * @property {boolean} archived
 * @property {number} created_at
 * @property {number} updated_at
 * @property {Message|null} last_message
 */

/** @typedef {{ user: number, role: string, joined_at: number, muted_until?: number, read: number, status: string }} Member */
/** @typedef {{ id: number, username: string, full_name: string, is_active: boolean, last_seen: number|null }} User */
/** @typedef {{ code: string, detail: string, retry: 'never'|'later'|'authenticate'|'refresh', retry_after_ms?: number }} Fault */

/**
 * A room as the page keeps it: the server's view, a position that moves by pushes alone, and one window of messages
 * without a hole.
 * @typedef {object} Room
 * @property {number} id
 * @property {RoomView|null} view
 * @property {number} asOf The last entry that `view` knows of.
 * @property {number|null} epoch
 * @property {number} seq The last entry that was pushed.
 * @property {number|null} append The random id of that entry's append.
 * @property {boolean} loaded Whether `items` is a window; false before the first page and after a reset.
 * @property {Message[]} items The window, by number.
 * @property {boolean} atStart Whether nothing is before the window.
 * @property {boolean} atEnd Whether the window follows the live end.
 * @property {Entry[]} notes What happened to the room between the window's messages: who came and went, a new name…
 * @property {Object<number, Message>} extras Quoted messages outside the window.
 * @property {Entry[]} recent The latest pushes, folded again over each page, which may be older than they are.
 * @property {number} generation Counts resets, so that a page of an earlier log is dropped.
 * @property {boolean} previewStale Whether the last message was deleted and the one before it isn't known.
 * @property {Object<number, number>} readMarks Per user the highest read mark that was pushed.
 * @property {Member[]|null} members
 */

export {};
