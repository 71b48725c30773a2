-- The tables that one message's append writes, as in the server's own layout (schema/sqlite).
CREATE TABLE room (
    room_id  INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    last_seq INTEGER NOT NULL
);
CREATE TABLE snapshot (
    room_id INTEGER PRIMARY KEY,
    seq     INTEGER NOT NULL,
    state   BLOB NOT NULL
);
CREATE TABLE room_log (
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    by_user INTEGER NOT NULL,
    is_post INTEGER NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;
CREATE TABLE dedup (
    room_id   INTEGER NOT NULL,
    by_user   INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    is_post   INTEGER NOT NULL,
    PRIMARY KEY (room_id, by_user, client_id)
) WITHOUT ROWID;
CREATE TABLE message (
    message_id INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL,
    seq        INTEGER NOT NULL
);
