-- The twin of ../sqlite/V3__mail_kept_in_part.sql. What is there one index on an expression is here two on conditions, which
-- PostgreSQL reads alone.

-- When all of a mail but its header was given up, because more of its kind was kept than the configuration allows.
ALTER TABLE mails ADD COLUMN cut_at BIGINT;

-- Mail that is kept whole for a while only, the oldest first, with the sizes that add up to what the configuration allows:
-- what is no alert,
CREATE INDEX mails_ignored_whole ON mails (id, size) WHERE outcome = 'ignored' AND cut_at IS NULL AND check_at IS NULL;
-- and what is not proven to be its sender's. `authenticity` begins with {"verdict":"fail", "none" or "temperror".
CREATE INDEX mails_unproven_whole ON mails (id, size) WHERE outcome NOT IN ('pending', 'ignored') AND cut_at IS NULL
    AND check_at IS NULL AND substr(authenticity, 13, 4) IN ('fail', 'none', 'temp');
CREATE INDEX mails_quarantined_cut ON mails (cut_at) WHERE outcome = 'quarantined' AND cut_at IS NOT NULL;
