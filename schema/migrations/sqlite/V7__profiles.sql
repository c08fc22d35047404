-- Mail of any sender: which profile took it, several incidents in one mail, and mail that did not come.
--
-- A CHECK of SQLite's is changed by building its table anew: see V2.

ALTER TABLE mails ADD COLUMN profile TEXT;

-- What became of each alert of a mail that holds several; the mail's own row sums it up, and belongs to no incident.
CREATE TABLE mail_items (
    mail       INTEGER NOT NULL REFERENCES mails (id) ON DELETE CASCADE,
    -- From 1, in the mail's order.
    item       INTEGER NOT NULL CHECK (item > 0),
    outcome    TEXT    NOT NULL CHECK (outcome IN
        ('pending', 'opened', 'reopened', 'resolved', 'updated', 'changed', 'unparsed', 'duplicate', 'stale', 'expired',
         'silenced', 'quarantined', 'ignored')),
    reason     TEXT,
    incident   INTEGER REFERENCES incidents (id),
    labels     TEXT,
    decided_at INTEGER NOT NULL,
    -- As the mail's own.
    hold       TEXT,
    marked     INTEGER NOT NULL DEFAULT 0 CHECK (marked IN (0, 1)),
    profile    TEXT,
    PRIMARY KEY (mail, item),
    CHECK (hold IS NULL OR outcome = 'quarantined')
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_items_by_incident ON mail_items (incident) WHERE incident IS NOT NULL;
CREATE INDEX mail_items_marked ON mail_items (decided_at) WHERE marked = 1;
CREATE INDEX mail_items_held ON mail_items (hold, decided_at) WHERE hold IS NOT NULL;
CREATE INDEX mail_items_held_resolves ON mail_items (incident) WHERE hold = 'resolve' AND incident IS NOT NULL;

-- Its kinds get `missing`; and it says whose it is, and when it was last heard of.
CREATE TABLE incidents_anew (
    id          INTEGER PRIMARY KEY,
    incident_id TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('incident', 'unparsed', 'missing', 'self')),
    phase       TEXT    NOT NULL CHECK (phase IN ('firing', 'resolved')),
    status      TEXT    NOT NULL,
    newest      INTEGER,
    verified    INTEGER NOT NULL CHECK (verified IN (0, 1)),
    untold      INTEGER NOT NULL CHECK (untold IN (0, 1)),
    episode     INTEGER NOT NULL CHECK (episode > 0),
    opened_at   INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    labels      TEXT    NOT NULL,
    told        TEXT,
    profile     TEXT,
    heard_at    INTEGER NOT NULL DEFAULT 0,
    -- What a mail calls its incident can never be taken for what the bridge calls its own.
    UNIQUE (incident_id, kind)
) STRICT;
INSERT INTO incidents_anew
    SELECT id, incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels, told,
           CASE WHEN kind IN ('incident', 'unparsed') THEN 'atlassian-sli' END, changed_at
    FROM incidents;
DROP TABLE incidents;
ALTER TABLE incidents_anew RENAME TO incidents;
CREATE INDEX incidents_open ON incidents (changed_at) WHERE phase = 'firing' AND kind <> 'unparsed';
CREATE INDEX incidents_by_change ON incidents (changed_at);
CREATE INDEX incidents_firing ON incidents (id) WHERE phase = 'firing';
CREATE INDEX incidents_alarms ON incidents (id) WHERE phase = 'firing' AND kind = 'self';
CREATE INDEX incidents_quiet ON incidents (profile, heard_at) WHERE phase = 'firing' AND kind = 'incident';

-- When the mail that a profile expects last came.
CREATE TABLE expected_mail (
    profile  TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    heard_at INTEGER NOT NULL,
    -- Whether it is told to be missing.
    missing  INTEGER NOT NULL DEFAULT 0 CHECK (missing IN (0, 1)),
    PRIMARY KEY (profile, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_mail_quiet ON expected_mail (profile, missing, heard_at);
