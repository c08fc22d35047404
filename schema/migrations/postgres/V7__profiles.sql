-- The twin of ../sqlite/V7__profiles.sql: which profile took a mail, several incidents in one, and mail that did not come.

ALTER TABLE mails ADD COLUMN profile TEXT;

-- What became of each alert of a mail that holds several; the mail's own row sums it up, and belongs to no incident.
CREATE TABLE mail_items (
    mail       BIGINT  NOT NULL REFERENCES mails (id) ON DELETE CASCADE,
    -- From 1, in the mail's order.
    item       BIGINT  NOT NULL CHECK (item > 0),
    outcome    TEXT    NOT NULL CHECK (outcome IN
        ('pending', 'opened', 'reopened', 'resolved', 'updated', 'changed', 'unparsed', 'duplicate', 'stale', 'expired',
         'silenced', 'quarantined', 'ignored')),
    reason     TEXT,
    incident   BIGINT  REFERENCES incidents (id),
    labels     TEXT,
    decided_at BIGINT  NOT NULL,
    -- As the mail's own.
    hold       TEXT    COLLATE "C",
    marked     BOOLEAN NOT NULL DEFAULT false,
    profile    TEXT,
    PRIMARY KEY (mail, item),
    CHECK (hold IS NULL OR outcome = 'quarantined')
);
CREATE INDEX mail_items_by_incident ON mail_items (incident) WHERE incident IS NOT NULL;
CREATE INDEX mail_items_marked ON mail_items (decided_at) WHERE marked;
CREATE INDEX mail_items_held ON mail_items (hold, decided_at) WHERE hold IS NOT NULL;
CREATE INDEX mail_items_held_resolves ON mail_items (incident) WHERE hold = 'resolve' AND incident IS NOT NULL;

-- Its kinds get `missing`; and it says whose it is, and when it was last heard of.
ALTER TABLE incidents DROP CONSTRAINT incidents_kind_check, ADD CONSTRAINT incidents_kind_check
    CHECK (kind IN ('incident', 'unparsed', 'missing', 'self'));
ALTER TABLE incidents ADD COLUMN profile TEXT COLLATE "C";
ALTER TABLE incidents ADD COLUMN heard_at BIGINT;
UPDATE incidents SET heard_at = changed_at, profile = CASE WHEN kind IN ('incident', 'unparsed') THEN 'atlassian-sli' END;
ALTER TABLE incidents ALTER COLUMN heard_at SET NOT NULL, ALTER COLUMN heard_at SET DEFAULT 0;
CREATE INDEX incidents_quiet ON incidents (profile, heard_at) WHERE phase = 'firing' AND kind = 'incident';

-- When the mail that a profile expects last came.
CREATE TABLE expected_mail (
    profile  TEXT    COLLATE "C" NOT NULL,
    key      TEXT    COLLATE "C" NOT NULL,
    heard_at BIGINT  NOT NULL,
    -- Whether it is told to be missing.
    missing  BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (profile, key)
);
CREATE INDEX expected_mail_quiet ON expected_mail (profile, missing, heard_at);
