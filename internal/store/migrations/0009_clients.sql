-- The applications that are registered. A secret is kept as a MAC under a pepper
-- of the version beside it; the one before goes on working until previous_until.
CREATE TABLE clients (
    id              TEXT   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL,
    status          TEXT   NOT NULL,
    method          TEXT   NOT NULL,
    grants          TEXT   NOT NULL,
    scopes          TEXT   NOT NULL,
    default_scopes  TEXT   NOT NULL,
    audiences       TEXT   NOT NULL,
    secret          BYTEA  NOT NULL,
    pepper          BIGINT NOT NULL,
    previous        BYTEA,
    previous_pepper BIGINT NOT NULL,
    previous_until  BIGINT NOT NULL,
    secret_at       BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    version         BIGINT NOT NULL
);

