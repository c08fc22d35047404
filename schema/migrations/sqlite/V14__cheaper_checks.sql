-- SQLite reads a list of more than two values by filling a table that it makes for the statement, each time: in checks and
-- indexes that cost a mail eleven such tables, half of what its decision costs. What may stand where stays the same.
DROP INDEX mails_rare;
CREATE INDEX mails_rare ON mails (outcome, id) WHERE
    outcome = 'duplicate' OR outcome = 'ignored' OR outcome = 'stale' OR outcome = 'unparsed' OR outcome = 'silenced'
    OR outcome = 'reopened' OR outcome = 'updated' OR outcome = 'changed' OR outcome = 'expired';

DROP INDEX mails_spare;
CREATE INDEX mails_spare ON mails (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) = 'fail' OR substr(authenticity, 13, 4) = 'none'
           OR substr(authenticity, 13, 4) = 'temp' THEN 'unproven'
         WHEN outcome = 'duplicate' OR outcome = 'stale' OR outcome = 'expired' THEN 'repeated'
         WHEN outcome = 'quarantined' THEN 'quarantined' END,
    id, size
) WHERE (
    CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
         WHEN outcome = 'ignored' THEN 'ignored'
         WHEN substr(authenticity, 13, 4) = 'fail' OR substr(authenticity, 13, 4) = 'none'
           OR substr(authenticity, 13, 4) = 'temp' THEN 'unproven'
         WHEN outcome = 'duplicate' OR outcome = 'stale' OR outcome = 'expired' THEN 'repeated'
         WHEN outcome = 'quarantined' THEN 'quarantined' END
) IS NOT NULL;

-- A check that accepts what it accepted before can be changed where it stands, without copying the table
-- (https://www.sqlite.org/lang_altertable.html#otheralter).
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (outcome IN
        (''pending'', ''opened'', ''reopened'', ''resolved'', ''updated'', ''changed'', ''unparsed'', ''duplicate'', ''stale'', ''expired'',
         ''silenced'', ''quarantined'', ''ignored''))',
    'CHECK (outcome = ''pending'' OR outcome = ''opened'' OR outcome = ''resolved'' OR outcome = ''duplicate''
        OR outcome = ''ignored'' OR outcome = ''stale'' OR outcome = ''unparsed'' OR outcome = ''silenced''
        OR outcome = ''reopened'' OR outcome = ''updated'' OR outcome = ''changed'' OR outcome = ''expired''
        OR outcome = ''quarantined'')')
WHERE type = 'table' AND name IN ('mails', 'mail_items');

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'CHECK (action IN (''trigger'', ''change'', ''resolve''))',
    'CHECK (action = ''trigger'' OR action = ''resolve'' OR action = ''change'')'),
    'CHECK (state IN (''pending'', ''held'', ''delivered'', ''dead'', ''discarded''))',
    'CHECK (state = ''pending'' OR state = ''delivered'' OR state = ''held'' OR state = ''dead'' OR state = ''discarded'')')
WHERE type = 'table' AND name = 'deliveries';

UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (kind IN (''incident'', ''unparsed'', ''missing'', ''self''))',
    'CHECK (kind = ''incident'' OR kind = ''self'' OR kind = ''unparsed'' OR kind = ''missing'')')
WHERE type = 'table' AND name = 'incidents';

PRAGMA writable_schema = RESET;

-- Under a key of the store: of where an integration's pages go with its credentials, whatever is said there.
ALTER TABLE integrations ADD COLUMN site TEXT NOT NULL DEFAULT '';
