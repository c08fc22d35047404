-- Mail of each outcome that few mails have: such a list is short, and asked for often.
CREATE INDEX mails_rare ON mails (outcome, id) WHERE outcome IN
    ('reopened', 'updated', 'changed', 'unparsed', 'duplicate', 'stale', 'expired', 'silenced', 'ignored');
