-- The names under which deliveries are stored. Each was given once, to one destination, and is never given again.
CREATE TABLE integrations (
    receiver         TEXT   COLLATE "C" NOT NULL,
    integration      TEXT   COLLATE "C" NOT NULL,
    -- Where its entry stands in its list; NULL if the configuration has it no more.
    place            BIGINT CHECK (place >= 0),
    -- Under a key of the store: of all that decides where its pages go, and of that without the credentials.
    fingerprint      TEXT   NOT NULL,
    address          TEXT   NOT NULL,
    -- What its destination was called next, in another receiver.
    next_receiver    TEXT   COLLATE "C",
    next_integration TEXT   COLLATE "C",
    PRIMARY KEY (receiver, integration),
    CHECK ((next_receiver IS NULL) = (next_integration IS NULL)),
    CHECK (place IS NULL OR next_receiver IS NULL)
);
