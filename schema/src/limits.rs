//! The limits that clients meet, or that several crates share, units last in the name. A limit that concerns one file alone
//! is a constant in that file.

/// Largest id of a user, room or message: 2^53 - 1, the largest integer that a JavaScript number holds exactly.
pub const ID_MAX: u64 = (1 << 53) - 1;
/// Largest id that another service's data may bring: 2^52. New ids begin after the largest, so that as many are left.
pub const IMPORTED_ID_MAX: u64 = 1 << 52;
/// Ids that must be left for a node to be healthy; at a million a second they last for an hour and more.
pub const IDS_LEFT_MIN: u64 = 1 << 32;
/// Ids that a node takes from the store at a time.
pub const ID_BLOCK: u64 = 65_536;

/// Members of a room, its owner included.
pub const MEMBERS_MAX: usize = 100;
/// Bans remembered per room; the oldest expired ones make way.
pub const BANS_MAX: usize = 1_000;
/// Mutes that a room keeps of those who have left it; beyond that the oldest is forgotten.
pub const MUTES_KEPT_MAX: usize = 1_000;
/// Open invites per room.
pub const INVITES_MAX: usize = 50;
/// Rooms that one user may be in.
pub const ROOMS_PER_USER_MAX: usize = 1_000;
/// Unicode scalar values of a room's name.
pub const ROOM_NAME_CHARS_MAX: usize = 100;

/// Unicode scalar values of one message, text and parts together.
pub const MESSAGE_CHARS_MAX: usize = 10_000;
/// Parts of one message.
pub const PARTS_MAX: usize = 20;
/// Bytes of a link, a file name or a MIME type in a part.
pub const PART_FIELD_BYTES_MAX: usize = 2_048;
/// Bytes of the name of a language in a part that is source code.
pub const CODE_LANGUAGE_BYTES_MAX: usize = 64;
/// Users mentioned by one message.
pub const MENTIONS_MAX: usize = MEMBERS_MAX;
/// Keys of a message's metadata.
pub const META_KEYS_MAX: usize = 16;
/// Bytes of all keys and values of a message's metadata.
pub const META_BYTES_MAX: usize = 2_048;
/// Times that one message may be edited.
pub const EDITS_MAX: usize = 200;
/// Different reactions on one message.
pub const REACTIONS_MAX: usize = 32;
/// Bytes of one reaction (an emoji sequence, or a short name).
pub const REACTION_BYTES_MAX: usize = 64;

/// Bytes of a client id.
pub const CLIENT_ID_BYTES_MAX: usize = 64;
/// Bytes of one WebSocket message from a client, all fragments together.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes of one HTTP request body.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// Milliseconds within which an HTTP request body must have arrived.
pub const BODY_MS_MAX: u64 = 10_000;
/// Bytes of a request id that is taken over from a client.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Nesting of a decoded frame or body.
pub const DEPTH_MAX: usize = 32;

/// Bytes of a node's name.
pub const NODE_ID_BYTES_MAX: usize = 64;

/// Commands of one session that may wait for their reply.
pub const CREDITS: usize = 64;
/// Commands a second that one session may give, with a burst of as many.
pub const COMMANDS_PER_S: u32 = 200;
/// Connections that one user may have at once.
pub const CONNECTIONS_PER_USER: usize = 50;
/// Clients a second that are asked to come back when a node drains.
pub const RECONNECTS_PER_S: u32 = 1_000;
/// Commands that may wait in one room.
pub const ROOM_QUEUE_MAX: usize = 8_192;
/// Answers that a room remembers, to give them again without asking the store.
pub const ROOM_RECENT_MAX: usize = 128;
/// Bytes queued for one session before its rooms are marked behind.
pub const OUTBOX_BYTES_MAX: usize = 512 * 1024;
/// Below this many queued bytes a session that was behind is caught up again.
pub const OUTBOX_BYTES_LOW: usize = 128 * 1024;
/// Above this many queued bytes ephemeral pushes (typing, presence, deltas) are dropped.
pub const OUTBOX_BYTES_EPHEMERAL: usize = 64 * 1024;
/// Milliseconds that a session may stay behind without reading anything before it is closed.
pub const SLOW_CLOSE_MS: u64 = 60_000;
/// Milliseconds without a byte from a client after which it is pinged.
pub const HEARTBEAT_MS: u64 = 25_000;
/// Milliseconds without a byte from a client after which it is closed.
pub const SILENCE_MS: u64 = 75_000;
/// Milliseconds within which a command is answered, one way or the other.
pub const COMMAND_DEADLINE_MS: u64 = 10_000;
/// Milliseconds within which anything else that a connection asks for is answered.
pub const OPERATION_DEADLINE_MS: u64 = 30_000;

/// Entries of one append.
pub const APPEND_ENTRIES_MAX: usize = 64;
/// Commands that are decided for one append: of those that are refused, or the same again, many fit.
pub const APPEND_COMMANDS_MAX: usize = 4 * APPEND_ENTRIES_MAX;
/// Bytes of one append's entries.
pub const APPEND_BYTES_MAX: usize = 512 * 1024;
/// Numbers in one bucket of the log on a CQL server; an append never crosses it.
pub const LOG_BUCKET: u64 = 1_024;
/// Entries after which a room's snapshot is renewed.
pub const SNAPSHOT_EVERY: u64 = 256;
/// Entries or messages of one page.
pub const PAGE_MAX: usize = 200;
/// Entries or messages of a page where the client names no number.
pub const PAGE_DEFAULT: usize = 50;
/// Items of one page of a dialect.
pub const DIALECT_PAGE_MAX: u64 = 100;
/// Items of a page of a dialect where the client names no number.
pub const DIALECT_PAGE_DEFAULT: u64 = 20;
/// Entries that a resume may miss in one room; beyond that it is told to page.
pub const RESUME_ENTRIES_MAX: u64 = 10_000;
/// Rooms that one resume may name.
pub const RESUME_ROOMS_MAX: usize = ROOMS_PER_USER_MAX;
/// Bytes of recent entries that a relay keeps per room.
pub const RING_BYTES_MAX: usize = 256 * 1024;
/// Milliseconds after which a room without work goes to sleep.
pub const ROOM_IDLE_MS: u64 = 60_000;

/// Shards that marks of unfinished work are in.
pub const FEED_SHARDS: u8 = 16;
/// Bytes of the name of a consumer that follows logs.
pub const CONSUMER_NAME_BYTES_MAX: usize = 64;
/// Consumers that follow logs.
pub const CONSUMERS_MAX: usize = 1_000;
/// Entries of one page that a consumer is given.
pub const FEED_PAGE_ENTRIES_MAX: usize = 256;
/// Bytes of a dead letter's reason.
pub const DEAD_LETTER_REASON_BYTES_MAX: usize = 500;

/// Unicode scalar values of a username.
pub const USERNAME_CHARS_MAX: usize = 50;
/// Unicode scalar values of a full name.
pub const FULL_NAME_CHARS_MAX: usize = 100;
/// Bytes of an e-mail address (RFC 5321, 4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Unicode scalar values that a password has at least.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Seconds that an access token is good for.
pub const ACCESS_TOKEN_S: u64 = 30 * 60;
/// Most seconds that an access token can be made good for.
pub const TOKEN_LIFE_S_MAX: u64 = 30 * 24 * 3600;
/// Seconds that a refresh token is good for.
pub const REFRESH_TOKEN_S: u64 = 30 * 24 * 3600;

// A reader of this file can rely on these; so does the code.
const _: () = assert!(IMPORTED_ID_MAX < ID_MAX - IDS_LEFT_MIN && ID_BLOCK < IDS_LEFT_MIN);
const _: () = assert!(OUTBOX_BYTES_LOW < OUTBOX_BYTES_MAX);
const _: () = assert!(OUTBOX_BYTES_EPHEMERAL <= OUTBOX_BYTES_LOW);
const _: () = assert!(APPEND_ENTRIES_MAX as u64 <= LOG_BUCKET);
const _: () = assert!(HEARTBEAT_MS * 2 < SILENCE_MS);
const _: () = assert!(COMMAND_DEADLINE_MS < OPERATION_DEADLINE_MS);
// A message of the longest kind, four bytes a character and escaped, still fits a frame and an append.
const _: () = assert!(MESSAGE_CHARS_MAX * 12 + META_BYTES_MAX * 2 < FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= APPEND_BYTES_MAX);
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
