-- A signed-in browser. The cookie holds a random secret, and this its digest.
CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    secret     BYTEA  NOT NULL UNIQUE, -- SHA-256
    user_id    TEXT   NOT NULL,
    amr        TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    user_agent TEXT   NOT NULL,
    auth_time  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL, -- 0: it lives
    ended_why  TEXT   NOT NULL
);

CREATE INDEX sessions_live ON sessions (user_id, created_at) WHERE ended_at = 0;
CREATE INDEX sessions_expires ON sessions (expires_at);

-- The session that a family belongs to, empty for one of an app or a script, and
-- where that began.
ALTER TABLE token_families ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE token_families ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE token_families ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';

CREATE INDEX token_families_session ON token_families (session) WHERE session <> '';
