-- A request that a client brought itself, before it sends the person (RFC 9126). It is
-- deleted with the answer; till then it is known for as long as a person may take.
CREATE TABLE pushed_requests (
    id         BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    client_id  TEXT   NOT NULL,
    query      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL              -- a browser comes before that
);
CREATE INDEX pushed_requests_expires ON pushed_requests (expires_at);

-- By what was pushed a request came; NULL if it came by itself.
ALTER TABLE authorization_requests ADD COLUMN pushed BYTEA;
