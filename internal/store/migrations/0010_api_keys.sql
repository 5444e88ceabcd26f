-- The API keys of users and clients. A secret is kept as a MAC under a pepper of the
-- version beside it; the one before goes on working until previous_until.
CREATE TABLE api_keys (
    id              TEXT    NOT NULL PRIMARY KEY, -- stands in the key
    owner_kind      TEXT    NOT NULL,
    owner           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    networks        TEXT    NOT NULL,
    resources       TEXT    NOT NULL,
    rate            BIGINT  NOT NULL, -- times in a minute; 0: no limit
    secret          BYTEA   NOT NULL,
    pepper          BIGINT  NOT NULL,
    previous        BYTEA,
    previous_pepper BIGINT  NOT NULL,
    previous_until  BIGINT  NOT NULL,
    secret_at       BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL, -- 0: never
    ended           BOOLEAN NOT NULL, -- it was found expired
    created_by      TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    used_at         BIGINT  NOT NULL, -- 0: never
    used_from       TEXT    NOT NULL,
    version         BIGINT  NOT NULL
);

CREATE INDEX api_keys_owner ON api_keys (owner, id);
CREATE INDEX api_keys_expires ON api_keys (expires_at) WHERE expires_at > 0;

-- How often a key was used on a day (midnight UTC).
CREATE TABLE api_key_uses (
    id    TEXT   NOT NULL,
    day   BIGINT NOT NULL,
    times BIGINT NOT NULL,
    PRIMARY KEY (id, day)
);

CREATE INDEX api_key_uses_day ON api_key_uses (day);
