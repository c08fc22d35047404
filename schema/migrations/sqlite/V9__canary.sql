-- What signs the bridge's own mails: one for all replicas.
CREATE TABLE canary_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;

-- The bridge's own mails through the real mail path, and when each passed which stage. When it was delivered is in
-- `deliveries`.
CREATE TABLE canaries (
    number     INTEGER PRIMARY KEY,
    begun_at   INTEGER NOT NULL,
    sent_at    INTEGER,
    arrived_at INTEGER,
    judged_at  INTEGER,
    read_at    INTEGER,
    decided_at INTEGER,
    -- The mail that brought it.
    mail       INTEGER,
    -- Why it could not be sent.
    failure    TEXT,
    -- When the heartbeat was told that it came through.
    pinged_at  INTEGER
) STRICT;
