-- Streams by which receivers hear of what happened to people (OpenID Shared Signals
-- Framework 1.0). Who has work moves due on by his lease, as with letters; tries counts
-- since something was taken.
CREATE TABLE ssf_streams (
    id            TEXT    NOT NULL PRIMARY KEY,
    client_id     TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    stopped       BOOLEAN NOT NULL, -- by an administrator
    method        TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    sealed        BYTEA,            -- what is sent along there
    requested     TEXT    NOT NULL, -- JSON array
    description   TEXT    NOT NULL,
    all_subjects  BOOLEAN NOT NULL,
    subjects      BIGINT  NOT NULL, -- how many rows it has below
    verified_at   BIGINT  NOT NULL,
    status_at     BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    version       BIGINT  NOT NULL,
    due           BIGINT  NOT NULL,
    tries         BIGINT  NOT NULL
);
CREATE INDEX ssf_streams_client ON ssf_streams (client_id);

-- Whom a receiver wants to hear of, or no more, as digests of what it calls him.
CREATE TABLE ssf_subjects (
    stream TEXT    NOT NULL,
    key    BYTEA   NOT NULL, -- SHA-256
    wanted BOOLEAN NOT NULL,
    PRIMARY KEY (stream, key)
);

-- What waits for a receiver, from the commit that makes it so. subject is empty until
-- somebody has looked whether the receiver is to hear of the person at all.
CREATE TABLE ssf_events (
    id      TEXT   NOT NULL PRIMARY KEY,
    stream  TEXT   NOT NULL,
    user_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    facts   TEXT   NOT NULL, -- JSON
    cause   TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX ssf_events_stream ON ssf_events (stream, at, id);
CREATE INDEX ssf_events_new ON ssf_events (stream) WHERE subject = '';
CREATE INDEX ssf_events_at ON ssf_events (at);
