-- Mail that is kept whole for a while only is of two kinds more: proven mail that says nothing new, and proven mail in the
-- quarantine. One signed mail can be sent again for ever, each time with other bytes that nothing signs.
DROP INDEX mails_spare;
CREATE INDEX mails_spare ON mails (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) IN ('fail', 'none', 'temp') THEN 'unproven'
         WHEN outcome IN ('duplicate', 'stale', 'expired') THEN 'repeated'
         WHEN outcome = 'quarantined' THEN 'quarantined' END,
    id, size
) WHERE (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) IN ('fail', 'none', 'temp') THEN 'unproven'
         WHEN outcome IN ('duplicate', 'stale', 'expired') THEN 'repeated'
         WHEN outcome = 'quarantined' THEN 'quarantined' END
) IS NOT NULL;
