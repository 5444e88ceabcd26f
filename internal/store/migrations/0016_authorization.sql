-- What a client is registered as beyond its scopes: JSON by the names of RFC 7591.
ALTER TABLE clients ADD COLUMN registration TEXT NOT NULL DEFAULT '{}';

-- A request that waits for a person. The browser that began it holds a secret in a
-- cookie, of which this is the digest; what was asked is kept as it came, and read
-- again whenever it goes on.
CREATE TABLE authorization_requests (
    id         BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    browser    BYTEA  NOT NULL,             -- SHA-256
    query      TEXT   NOT NULL,
    begun_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    session    TEXT   NOT NULL,             -- in which it was decided; empty: it was not
    decision   TEXT   NOT NULL              -- 'allow', 'deny', 'chosen', or empty
);
CREATE INDEX authorization_requests_expires ON authorization_requests (expires_at);

-- An authorization code. It is kept after its use for as long as it could have been
-- used, and then some: who uses it again ends what came of it.
CREATE TABLE codes (
    hash         BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    client_id    TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL, -- as the request named it; empty for none
    challenge    TEXT   NOT NULL,
    nonce        TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    session      TEXT   NOT NULL,
    scope        TEXT   NOT NULL,
    audience     TEXT   NOT NULL,
    claims       TEXT   NOT NULL,
    amr          TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    failures     BIGINT NOT NULL,
    used_at      BIGINT NOT NULL, -- 0: it was not
    family       TEXT   NOT NULL  -- what came of it
);
CREATE INDEX codes_expires ON codes (expires_at);

-- What a person lets an application do at an API. audience is whom the tokens are for.
CREATE TABLE consents (
    user_id    TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    audience   TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    client     TEXT   NOT NULL, -- the digest of what the client was registered as
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id, audience)
);
CREATE INDEX consents_client ON consents (client_id);

-- The claims that were asked for one by one, as JSON; empty for none.
ALTER TABLE token_families ADD COLUMN claims TEXT NOT NULL DEFAULT '';
