-- What lets logs be followed: marks of unfinished work, consumers and how far they have got.

-- Things that may be unfinished. By whose mark it is.
CREATE TABLE work_mark (
    owner  INTEGER NOT NULL,         -- the incarnation of a process; or, from 2^60 on, a set of marks that need no fence
    shard  INTEGER NOT NULL,         -- thing % 16
    kind   INTEGER NOT NULL,         -- 1: a room, 2: a user, 3: a job
    thing  INTEGER NOT NULL,
    at     INTEGER NOT NULL,         -- a count of the owner's; a removal as of an earlier one does nothing
    PRIMARY KEY (owner, shard, kind, thing)
) WITHOUT ROWID;

-- Things to look at when their time comes.
CREATE TABLE due_mark (
    shard  INTEGER NOT NULL,         -- thing % 16
    due    INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    thing  INTEGER NOT NULL,
    owner  INTEGER NOT NULL,         -- who wrote it
    at     INTEGER NOT NULL,
    PRIMARY KEY (shard, due, kind, thing, owner)
) WITHOUT ROWID;

-- What an append to a stretch of a log must know, where somebody has made certain that earlier ones don't land.
CREATE TABLE fence (
    room_id INTEGER PRIMARY KEY,
    bucket  INTEGER NOT NULL,        -- it holds for numbers n with (n - 1) / 1024 = bucket
    fence   INTEGER NOT NULL         -- random
);

-- Who follows logs.
CREATE TABLE consumer (
    name       TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,     -- which following of all logs it is at; kept once it is dropped
    dropped    INTEGER NOT NULL,     -- 1 once it is unregistered
    begins     TEXT NOT NULL,        -- 'start', 'now'
    filter     BLOB NOT NULL,
    walk       BLOB,                 -- the last room that it was walked through when it was registered; absent: all were
    ran_at     INTEGER               -- when a node last said that it runs it
) WITHOUT ROWID;

-- How far they have got; rows only ever move forward.
CREATE TABLE feed_cursor (
    room_id    INTEGER NOT NULL,
    consumer   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    seq        INTEGER NOT NULL,     -- entries up to this number are done
    PRIMARY KEY (room_id, consumer, generation)
) WITHOUT ROWID;

-- Entries that consumers could not be given.
CREATE TABLE dead_letter (
    consumer TEXT NOT NULL,
    room_id  INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    reason   TEXT NOT NULL,          -- no words of the entry
    PRIMARY KEY (consumer, room_id, seq)
) WITHOUT ROWID;

-- Logs that are there already are found by the walk through all rooms that a consumer's registration begins.
