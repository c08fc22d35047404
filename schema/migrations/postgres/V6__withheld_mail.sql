-- Why the mail server did not give a mail, of which only the header is kept, if that.
ALTER TABLE mails ADD COLUMN withheld text;

-- Mails up to a mailbox's bookmark that its server has not given yet: they are asked for again.
CREATE TABLE wanted_mails (
    mailbox      text    NOT NULL,
    uid_validity bigint  NOT NULL,
    uid          bigint  NOT NULL,
    since        bigint  NOT NULL,
    -- Whether somebody was told.
    told         boolean NOT NULL,
    PRIMARY KEY (mailbox, uid_validity, uid)
);
