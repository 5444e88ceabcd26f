-- What lets people without an account register clients (RFC 7591, Section 3).
CREATE TABLE registration_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       BYTEA  NOT NULL UNIQUE, -- SHA-256
    name       TEXT   NOT NULL,
    scopes     TEXT   NOT NULL,        -- JSON: what the clients may ask for at the most
    uses       BIGINT NOT NULL,        -- that are left
    created_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX registration_tokens_expires ON registration_tokens (expires_at);

-- The clients that were registered so, until an administrator changes them: by what they
-- change themselves (RFC 7592).
CREATE TABLE registrations (
    client_id  TEXT    NOT NULL PRIMARY KEY,
    hash       BYTEA   NOT NULL, -- SHA-256 of the registration access token
    scopes     TEXT    NOT NULL, -- JSON: what it may ask for at the most
    token      TEXT    NOT NULL, -- the id of what registered it; empty for nothing
    used       BOOLEAN NOT NULL, -- somebody agreed to it once
    created_at BIGINT  NOT NULL
);
CREATE INDEX registrations_unused ON registrations (used, created_at);
