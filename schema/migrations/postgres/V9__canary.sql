-- What signs the bridge's own mails: one for all replicas.
CREATE TABLE canary_key (
    id  integer PRIMARY KEY CHECK (id = 1),
    key bytea NOT NULL CHECK (length(key) = 32)
);

-- The bridge's own mails through the real mail path, and when each passed which stage. When it was delivered is in
-- `deliveries`.
CREATE TABLE canaries (
    number     bigint PRIMARY KEY,
    begun_at   bigint NOT NULL,
    sent_at    bigint,
    arrived_at bigint,
    judged_at  bigint,
    read_at    bigint,
    decided_at bigint,
    -- The mail that brought it.
    mail       bigint,
    -- Why it could not be sent.
    failure    text,
    -- When the heartbeat was told that it came through.
    pinged_at  bigint
);
