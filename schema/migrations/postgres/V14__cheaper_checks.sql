-- The twin of ../sqlite/V14__cheaper_checks.sql. The checks stay as they are: PostgreSQL plans a list once.

-- Under a key of the store: of where an integration's pages go with its credentials, whatever is said there.
ALTER TABLE integrations ADD COLUMN site TEXT NOT NULL DEFAULT '';
