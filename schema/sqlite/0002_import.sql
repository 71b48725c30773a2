-- What imports from other services keep, so that one that was interrupted goes on where it was.

-- How far each import has got.
CREATE TABLE import (
    name     TEXT PRIMARY KEY,
    step     INTEGER NOT NULL,       -- pieces written; the next one is conditional on it
    progress BLOB NOT NULL           -- the importer's own bytes
) WITHOUT ROWID;

-- What an import notes by the way: which id became which, what was refused.
CREATE TABLE import_record (
    import TEXT NOT NULL,
    kind   INTEGER NOT NULL,         -- the importer's own numbering
    key    INTEGER NOT NULL,
    value  BLOB NOT NULL,            -- the importer's own bytes
    PRIMARY KEY (import, kind, key)
) WITHOUT ROWID;
