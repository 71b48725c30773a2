-- The embedded store's first layout. Ids, numbers and times are integers; times are milliseconds since the Unix epoch, UTC.
-- Blobs are MessagePack maps with named fields, unless something else is said.

-- Facts about the database itself.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,          -- 'epoch': random, below 2^53, another one in each restored copy; 'probe': see health
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- The next id of each kind; ids are taken in blocks.
CREATE TABLE id_block (
    kind    TEXT PRIMARY KEY,        -- 'user', 'room', 'message'
    next_id INTEGER NOT NULL         -- the first id that nobody has taken
) WITHOUT ROWID;

-- Unique names.
CREATE TABLE claim (
    tenant INTEGER NOT NULL,
    kind   TEXT NOT NULL,            -- 'direct', 'create'
    key    TEXT NOT NULL,            -- what is unique within tenant and kind
    target INTEGER NOT NULL,         -- the id that has it
    PRIMARY KEY (tenant, kind, key)
) WITHOUT ROWID;

-- Rooms that have a log. Kept small, since every append rewrites its row.
CREATE TABLE room (
    room_id  INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    last_seq INTEGER NOT NULL        -- the number of the log's last entry; appends are conditional on it
);

-- The state of a room folded up to an entry; apart from `room`, so that an append doesn't copy it.
CREATE TABLE snapshot (
    room_id INTEGER PRIMARY KEY,
    seq     INTEGER NOT NULL,        -- the last entry folded in
    state   BLOB NOT NULL            -- the room's own bytes
);

-- The logs. What follows is derived from them.
CREATE TABLE room_log (
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,        -- 1, 2, 3… without a gap
    by_user INTEGER NOT NULL,        -- who did it
    is_post INTEGER NOT NULL,        -- 1 where the entry is a message
    entry   BLOB NOT NULL,           -- the entry
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;

-- Which entry a sender's client id made; also counts a sender's messages without reading the log.
CREATE TABLE dedup (
    room_id   INTEGER NOT NULL,
    by_user   INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,      -- the entry
    is_post   INTEGER NOT NULL,      -- 1 where the entry is a message
    PRIMARY KEY (room_id, by_user, client_id)
) WITHOUT ROWID;

-- Where a message is.
CREATE TABLE message (
    message_id INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL,
    seq        INTEGER NOT NULL      -- its entry
);

-- What became of messages that were edited, deleted or reacted to.
CREATE TABLE message_state (
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,        -- the message's entry
    state   BLOB NOT NULL,           -- edits, deletion, reactions
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;

-- Who is in which room, for listing a user's rooms; the room's log decides.
CREATE TABLE member (
    user_id INTEGER NOT NULL,
    room_id INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id)
) WITHOUT ROWID;

-- How far members have read; rows only ever move forward.
CREATE TABLE read_mark (
    room_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,        -- everything up to this number was read
    posts   INTEGER NOT NULL,        -- messages in the room up to there
    own     INTEGER NOT NULL,        -- the user's own messages up to there
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;

-- Users.
CREATE TABLE account (
    user_id       INTEGER PRIMARY KEY,
    tenant        INTEGER NOT NULL,
    username      TEXT NOT NULL,     -- as the user wrote it
    username_key  TEXT NOT NULL,     -- the same without regard to case, all of Unicode
    email         TEXT,              -- as the user wrote it; absent where there is none
    email_key     TEXT,              -- the same without regard to case
    full_name     TEXT NOT NULL,     -- the name to show
    full_name_key TEXT NOT NULL,     -- the same without regard to case
    password      TEXT,              -- the password's hash in PHC form; absent for those who can't log in with one
    role          TEXT NOT NULL,     -- 'readonly', 'user', 'manager', 'tenant_admin', 'super_admin'
    active        INTEGER NOT NULL,  -- 0 once disabled
    created_at    INTEGER NOT NULL,
    last_seen     INTEGER,           -- when the user was last connected; absent for never
    valid_after   INTEGER NOT NULL   -- access tokens issued before are void
);
CREATE UNIQUE INDEX account_username ON account (tenant, username_key);
CREATE UNIQUE INDEX account_email ON account (tenant, email_key) WHERE email_key IS NOT NULL;

-- Families of refresh tokens: one login, renewed again and again.
CREATE TABLE family (
    family_id  TEXT PRIMARY KEY,     -- random
    user_id    INTEGER NOT NULL,
    current    TEXT NOT NULL,        -- SHA-256 of the one token that is good now, in hexadecimal
    expires_at INTEGER NOT NULL,
    revoked    INTEGER NOT NULL      -- 1 once revoked
) WITHOUT ROWID;
CREATE INDEX family_user ON family (user_id);
CREATE INDEX family_expiry ON family (expires_at);

-- What moderators did outside their own rooms.
CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    by_user  INTEGER NOT NULL,       -- the moderator
    room_id  INTEGER,                -- where; absent where it was no room
    what     TEXT NOT NULL           -- what was done, in a few words
);
