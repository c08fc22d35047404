-- What people do, what they were answered, and who is signed in.

-- Who did what. A row is there before the deed is done; without an outcome nobody knows what came of it.
CREATE TABLE deeds (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    by      TEXT    NOT NULL,
    via     TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    outcome TEXT
) STRICT;
CREATE INDEX deeds_by_time ON deeds (at);

-- What requests with an Idempotency-Key were answered; without a status somebody is about to answer.
CREATE TABLE answers (
    key          TEXT    PRIMARY KEY,
    -- What was asked: the same key with another request is a mistake.
    request      TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    status       INTEGER,
    content_type TEXT,
    body         TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (at);

CREATE TABLE sessions (
    -- The SHA-256 of what the browser holds.
    id       TEXT    PRIMARY KEY,
    name     TEXT    NOT NULL,
    role     TEXT    NOT NULL,
    how      TEXT    NOT NULL,
    stamp    TEXT    NOT NULL,
    begun_at INTEGER NOT NULL,
    ends_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_end ON sessions (ends_at);
