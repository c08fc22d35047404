-- Times are microseconds since the epoch, UTC.

-- A mail as it came, and what became of it.
CREATE TABLE mails (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    ingress      TEXT    NOT NULL,
    arrived_at   INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    cut_from     INTEGER,
    sha256       TEXT    NOT NULL,
    envelope     TEXT,
    authenticity TEXT    NOT NULL,
    outcome      TEXT    NOT NULL DEFAULT 'pending' CHECK (outcome IN
        ('pending', 'opened', 'reopened', 'resolved', 'updated', 'unparsed', 'duplicate', 'stale', 'expired',
         'silenced', 'quarantined', 'ignored')),
    reason       TEXT,
    incident     INTEGER REFERENCES incidents (id),
    labels       TEXT,
    decided_at   INTEGER,
    -- How many deliveries were made when it was decided: `store check` counts them.
    owed         INTEGER NOT NULL DEFAULT 0,
    -- When it is to be looked at again: its authenticity could not be checked, or (0) it was let out of the quarantine.
    check_at     INTEGER,
    checks       INTEGER NOT NULL DEFAULT 0,
    released     TEXT,
    -- Why it is quarantined, where the bridge tells of it: 'resolve', 'flood' or 'app:KEY'.
    hold         TEXT,
    -- An unverified trigger that was told.
    marked       INTEGER NOT NULL DEFAULT 0 CHECK (marked IN (0, 1)),
    CHECK ((outcome = 'pending') = (decided_at IS NULL)),
    CHECK (hold IS NULL OR outcome = 'quarantined')
) STRICT;
CREATE INDEX mails_undecided ON mails (id) WHERE outcome = 'pending' AND check_at IS NULL;
CREATE INDEX mails_due ON mails (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX mails_marked ON mails (decided_at) WHERE marked = 1;
CREATE INDEX mails_held ON mails (hold, decided_at) WHERE hold IS NOT NULL;
CREATE INDEX mails_held_resolves ON mails (incident) WHERE hold = 'resolve' AND incident IS NOT NULL;
CREATE INDEX mails_quarantined ON mails (id) WHERE outcome = 'quarantined';
CREATE INDEX mails_by_incident ON mails (incident) WHERE incident IS NOT NULL;
CREATE INDEX mails_by_arrival ON mails (arrived_at, id);

-- The bytes, zstd; apart from `mails`, so that what is read often stays dense.
CREATE TABLE bodies (
    mail INTEGER PRIMARY KEY REFERENCES mails (id) ON DELETE CASCADE,
    raw  BLOB NOT NULL
) STRICT;

-- How far each IMAP mailbox was read.
CREATE TABLE bookmarks (
    mailbox      TEXT PRIMARY KEY,
    uid_validity INTEGER NOT NULL,
    last_uid     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
    id          INTEGER PRIMARY KEY,
    incident_id TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('incident', 'unparsed', 'self')),
    phase       TEXT    NOT NULL CHECK (phase IN ('firing', 'resolved')),
    status      TEXT    NOT NULL,
    newest      INTEGER,
    verified    INTEGER NOT NULL CHECK (verified IN (0, 1)),
    untold      INTEGER NOT NULL CHECK (untold IN (0, 1)),
    episode     INTEGER NOT NULL CHECK (episode > 0),
    opened_at   INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    labels      TEXT    NOT NULL,
    -- What a mail calls its incident can never be taken for what the bridge calls its own.
    UNIQUE (incident_id, kind)
) STRICT;
CREATE INDEX incidents_open ON incidents (changed_at) WHERE phase = 'firing' AND kind <> 'unparsed';
CREATE INDEX incidents_by_change ON incidents (changed_at);
CREATE INDEX incidents_firing ON incidents (id) WHERE phase = 'firing';
CREATE INDEX incidents_alarms ON incidents (id) WHERE phase = 'firing' AND kind = 'self';

-- Every status and time applied to an incident, and who brought it first: the same again is a duplicate. What unverified
-- mail applied is none to a verified one.
CREATE TABLE applied (
    incident INTEGER NOT NULL REFERENCES incidents (id),
    status   TEXT    NOT NULL,
    time     INTEGER NOT NULL,
    verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
    ingress  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (incident, status, time)
) STRICT, WITHOUT ROWID;

-- How many incidents of an app's metric opened in an hour (since the epoch), by verified mail: Atlassian escalates by
-- frequency.
CREATE TABLE openings (
    app_key TEXT    NOT NULL,
    metric  TEXT    NOT NULL,
    hour    INTEGER NOT NULL,
    count   INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (app_key, metric, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX openings_by_hour ON openings (hour);

-- What is owed, done and given up. Deliveries of one incident to one integration form a lane and go in order of id:
-- only the head of a lane has a next_at.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    mail         INTEGER,
    incident     INTEGER NOT NULL REFERENCES incidents (id),
    episode      INTEGER NOT NULL,
    receiver     TEXT    NOT NULL,
    integration  TEXT    NOT NULL,
    action       TEXT    NOT NULL CHECK (action IN ('trigger', 'resolve')),
    alias        TEXT    NOT NULL,
    notification TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'dead', 'discarded')),
    step         TEXT    NOT NULL,
    failures     INTEGER NOT NULL DEFAULT 0,
    -- When it is due. While leased: when the lease ends. NULL behind another of its lane.
    next_at      INTEGER,
    held_until   INTEGER,
    lease        INTEGER,
    fallback_at  INTEGER,
    created_at   INTEGER NOT NULL,
    -- When a person had it sent again, dead as it was: its patience counts from there.
    retried_at   INTEGER,
    settled_at   INTEGER,
    detail       TEXT,
    CHECK ((state IN ('pending', 'held')) = (settled_at IS NULL))
) STRICT;
CREATE INDEX deliveries_due ON deliveries (receiver, integration, next_at) WHERE settled_at IS NULL AND next_at IS NOT NULL;
CREATE INDEX deliveries_lane ON deliveries (incident, receiver, integration, id) WHERE settled_at IS NULL;
CREATE INDEX deliveries_by_incident ON deliveries (incident, episode);
CREATE INDEX deliveries_fallback ON deliveries (fallback_at) WHERE settled_at IS NULL AND fallback_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (incident) WHERE state = 'dead';
CREATE INDEX deliveries_by_mail ON deliveries (mail);

CREATE TABLE attempts (
    -- In order of recording, whatever the clock did.
    id       INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    took_ms  INTEGER NOT NULL,
    result   TEXT    NOT NULL,
    detail   TEXT    NOT NULL
) STRICT;
CREATE INDEX attempts_by_delivery ON attempts (delivery, id);

-- Planned maintenance. What a silence matches never changes; to expire it is to move its end.
CREATE TABLE silences (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- One to a line.
    matchers   TEXT    NOT NULL CHECK (matchers <> ''),
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    author     TEXT    NOT NULL,
    comment    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK (starts_at <= ends_at)
) STRICT;
CREATE INDEX silences_by_end ON silences (ends_at);
