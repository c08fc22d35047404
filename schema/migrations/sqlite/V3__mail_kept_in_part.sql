-- When all of a mail but its header was given up, because more of its kind was kept than the configuration allows.
ALTER TABLE mails ADD COLUMN cut_at INTEGER;

-- Mail that is kept whole for a while only, by its kind: no alert, or not proven to be its sender's; the oldest first, with
-- the sizes that add up to what the configuration allows. `authenticity` begins with {"verdict":"fail", "none" or
-- "temperror". An index on the expression has all that is asked; on a generated column it has not.
CREATE INDEX mails_spare ON mails (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) IN ('fail', 'none', 'temp') THEN 'unproven' END,
    id, size
) WHERE (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) IN ('fail', 'none', 'temp') THEN 'unproven' END
) IS NOT NULL;
CREATE INDEX mails_quarantined_cut ON mails (cut_at) WHERE outcome = 'quarantined' AND cut_at IS NOT NULL;
