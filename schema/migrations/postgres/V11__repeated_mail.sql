-- The twin of ../sqlite/V11__repeated_mail.sql. Mail that is kept whole for a while only, two kinds more: one signed mail can be
-- sent again for ever, each time with other bytes that nothing signs. Proven mail that says nothing new,
CREATE INDEX mails_repeated_whole ON mails (id, size) WHERE outcome IN ('duplicate', 'stale', 'expired')
    AND cut_at IS NULL AND check_at IS NULL AND substr(authenticity, 13, 4) NOT IN ('fail', 'none', 'temp');
-- and proven mail in the quarantine.
CREATE INDEX mails_quarantined_whole ON mails (id, size) WHERE outcome = 'quarantined'
    AND cut_at IS NULL AND check_at IS NULL AND substr(authenticity, 13, 4) NOT IN ('fail', 'none', 'temp');
