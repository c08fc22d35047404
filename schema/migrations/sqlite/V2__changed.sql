-- What silences hold, and what was last told: an open incident of another severity is `changed`, and told as that.
--
-- A CHECK of SQLite's is changed by building its table anew. It runs with foreign keys off (see `store::sqlite::file`): what
-- belongs to a row of the old table belongs to that of the new.

CREATE TABLE mails_anew (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    ingress      TEXT    NOT NULL,
    arrived_at   INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    cut_from     INTEGER,
    sha256       TEXT    NOT NULL,
    envelope     TEXT,
    authenticity TEXT    NOT NULL,
    outcome      TEXT    NOT NULL DEFAULT 'pending' CHECK (outcome IN
        ('pending', 'opened', 'reopened', 'resolved', 'updated', 'changed', 'unparsed', 'duplicate', 'stale', 'expired',
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
INSERT INTO mails_anew
    SELECT id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, outcome, reason, incident, labels,
           decided_at, owed, check_at, checks, released, hold, marked
    FROM mails;

-- Its actions get `change`; and it says which silence holds it, where that outlasts the mute that did.
CREATE TABLE deliveries_anew (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    mail         INTEGER,
    incident     INTEGER NOT NULL REFERENCES incidents (id),
    episode      INTEGER NOT NULL,
    receiver     TEXT    NOT NULL,
    integration  TEXT    NOT NULL,
    action       TEXT    NOT NULL CHECK (action IN ('trigger', 'change', 'resolve')),
    alias        TEXT    NOT NULL,
    notification TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'dead', 'discarded')),
    step         TEXT    NOT NULL,
    failures     INTEGER NOT NULL DEFAULT 0,
    -- When it is due, or looked at again where it is held. While leased: when the lease ends. NULL behind another of its
    -- lane.
    next_at      INTEGER,
    held_until   INTEGER,
    silence      INTEGER,
    lease        INTEGER,
    fallback_at  INTEGER,
    created_at   INTEGER NOT NULL,
    -- When a person had it sent again, dead as it was: its patience counts from there.
    retried_at   INTEGER,
    settled_at   INTEGER,
    detail       TEXT,
    CHECK ((state IN ('pending', 'held')) = (settled_at IS NULL))
) STRICT;
INSERT INTO deliveries_anew
    SELECT id, mail, incident, episode, receiver, integration, action, alias, notification, state, step, failures, next_at,
           held_until, NULL, lease, fallback_at, created_at, retried_at, settled_at, detail
    FROM deliveries;

-- No number is used twice, not even one whose row is gone.
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence AS old WHERE old.name || '_anew' = sqlite_sequence.name)
WHERE name IN ('mails_anew', 'deliveries_anew');
INSERT INTO sqlite_sequence (name, seq)
    SELECT name || '_anew', seq FROM sqlite_sequence AS old
    WHERE name IN ('mails', 'deliveries')
      AND NOT EXISTS (SELECT 1 FROM sqlite_sequence AS new WHERE new.name = old.name || '_anew');
DROP TABLE mails;
DROP TABLE deliveries;
ALTER TABLE mails_anew RENAME TO mails;
ALTER TABLE deliveries_anew RENAME TO deliveries;

CREATE INDEX mails_undecided ON mails (id) WHERE outcome = 'pending' AND check_at IS NULL;
CREATE INDEX mails_due ON mails (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX mails_marked ON mails (decided_at) WHERE marked = 1;
CREATE INDEX mails_held ON mails (hold, decided_at) WHERE hold IS NOT NULL;
CREATE INDEX mails_held_resolves ON mails (incident) WHERE hold = 'resolve' AND incident IS NOT NULL;
CREATE INDEX mails_quarantined ON mails (id) WHERE outcome = 'quarantined';
CREATE INDEX mails_by_incident ON mails (incident) WHERE incident IS NOT NULL;
CREATE INDEX mails_by_arrival ON mails (arrived_at, id);

CREATE INDEX deliveries_due ON deliveries (receiver, integration, next_at) WHERE settled_at IS NULL AND next_at IS NOT NULL;
CREATE INDEX deliveries_lane ON deliveries (incident, receiver, integration, id) WHERE settled_at IS NULL;
CREATE INDEX deliveries_by_incident ON deliveries (incident, episode);
CREATE INDEX deliveries_fallback ON deliveries (fallback_at) WHERE settled_at IS NULL AND fallback_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (incident) WHERE state = 'dead';
CREATE INDEX deliveries_by_mail ON deliveries (mail);
CREATE INDEX deliveries_held ON deliveries (next_at) WHERE state = 'held' AND next_at IS NOT NULL;
CREATE INDEX deliveries_silenced ON deliveries (silence) WHERE state = 'held' AND silence IS NOT NULL;

-- The labels last told that a change of is told (`notify_on_change`), as a JSON object; the severity is always among them.
ALTER TABLE incidents ADD COLUMN told TEXT;
UPDATE incidents SET told = (
    SELECT json_object('severity', severity) FROM (
        SELECT coalesce(
            (SELECT CASE WHEN json_valid(notification) THEN json_extract(notification, '$.labels.severity') END
             FROM deliveries
             WHERE deliveries.incident = incidents.id AND deliveries.episode = incidents.episode AND action = 'trigger'
             ORDER BY deliveries.id DESC LIMIT 1),
            CASE WHEN json_valid(labels) THEN json_extract(labels, '$.severity') END) AS severity)
    WHERE severity IS NOT NULL)
WHERE phase = 'firing' AND untold = 0;

-- What is told of an open incident when the last of the silences that cover it ends.
CREATE TABLE silenced (
    incident INTEGER PRIMARY KEY REFERENCES incidents (id) ON DELETE CASCADE,
    -- Which that is, and when it ends.
    silence  INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    page     TEXT    NOT NULL
) STRICT;
CREATE INDEX silenced_until ON silenced (until);
CREATE INDEX silenced_by ON silenced (silence);
