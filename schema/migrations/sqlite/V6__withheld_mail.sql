-- Why the mail server did not give a mail, of which only the header is kept, if that.
ALTER TABLE mails ADD COLUMN withheld TEXT;

-- Mails up to a mailbox's bookmark that its server has not given yet: they are asked for again.
CREATE TABLE wanted_mails (
    mailbox      TEXT    NOT NULL,
    uid_validity INTEGER NOT NULL,
    uid          INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    -- Whether somebody was told.
    told         INTEGER NOT NULL CHECK (told IN (0, 1)),
    PRIMARY KEY (mailbox, uid_validity, uid)
) STRICT, WITHOUT ROWID;
