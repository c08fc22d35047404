-- Mail that arrived in a mailbox before this was left out when it was first read, and stays so when its mails are numbered
-- anew. NULL until this version has read it.
ALTER TABLE bookmarks ADD COLUMN starts_at INTEGER;
