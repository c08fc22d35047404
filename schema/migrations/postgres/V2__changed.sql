-- The twin of ../sqlite/V2__changed.sql: what silences hold, and what was last told.

ALTER TABLE mails DROP CONSTRAINT mails_outcome_check, ADD CONSTRAINT mails_outcome_check CHECK (outcome IN
    ('pending', 'opened', 'reopened', 'resolved', 'updated', 'changed', 'unparsed', 'duplicate', 'stale', 'expired',
     'silenced', 'quarantined', 'ignored'));

-- Its actions get `change`; and it says which silence holds it, where that outlasts the mute that did.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_action_check, ADD CONSTRAINT deliveries_action_check
    CHECK (action IN ('trigger', 'change', 'resolve'));
ALTER TABLE deliveries ADD COLUMN silence BIGINT;
CREATE INDEX deliveries_held ON deliveries (next_at) WHERE state = 'held' AND next_at IS NOT NULL;
CREATE INDEX deliveries_silenced ON deliveries (silence) WHERE state = 'held' AND silence IS NOT NULL;

-- The labels last told that a change of is told (`notify_on_change`), as a JSON object; the severity is always among them.
ALTER TABLE incidents ADD COLUMN told TEXT;
-- By a pattern: a JSON that holds \u0000 PostgreSQL does not read. Within a value the quotes have a backslash before them.
UPDATE incidents SET told = '{"severity":' || coalesce(
    (SELECT substring(notification from '"severity":("(?:[^"\\]|\\.)*")') FROM deliveries
     WHERE deliveries.incident = incidents.id AND deliveries.episode = incidents.episode AND action = 'trigger'
     ORDER BY deliveries.id DESC LIMIT 1),
    substring(labels from '"severity":("(?:[^"\\]|\\.)*")')) || '}'
WHERE phase = 'firing' AND NOT untold;

-- What is told of an open incident when the last of the silences that cover it ends.
CREATE TABLE silenced (
    incident BIGINT PRIMARY KEY REFERENCES incidents (id) ON DELETE CASCADE,
    -- Which that is, and when it ends.
    silence  BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    page     TEXT   NOT NULL
);
CREATE INDEX silenced_until ON silenced (until);
CREATE INDEX silenced_by ON silenced (silence);
