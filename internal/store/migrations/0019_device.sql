-- A device that waits for a person (RFC 8628). What the person types is kept as it is:
-- it gives nothing by itself, and there are too few of them for a digest to hide it.
CREATE TABLE devices (
    hash          BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the device code
    user_code     TEXT   NOT NULL UNIQUE,      -- 8 letters
    client_id     TEXT   NOT NULL,
    scope         TEXT   NOT NULL,             -- that was asked for; once it was allowed, that was given
    audience      TEXT   NOT NULL,
    address       TEXT   NOT NULL,             -- where the device is; personal data
    user_agent    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    polled_at     BIGINT NOT NULL,             -- 0: it has not asked yet
    poll_interval BIGINT NOT NULL,             -- µs
    decision      TEXT   NOT NULL,             -- 'allow', 'deny', or empty
    user_id       TEXT   NOT NULL,             -- who decided, and the session in which he did
    session       TEXT   NOT NULL,
    amr           TEXT   NOT NULL,
    auth_time     BIGINT NOT NULL,
    used_at       BIGINT NOT NULL,             -- 0: it was not
    family        TEXT   NOT NULL              -- what came of it
);
CREATE INDEX devices_expires ON devices (expires_at);
