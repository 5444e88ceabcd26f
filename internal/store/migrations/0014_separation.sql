-- Roles that are kept apart: nobody may hold two of a set (static), or may hold but
-- not use two of it in one session or token (dynamic).
CREATE TABLE separations (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    kind        TEXT   NOT NULL CHECK (kind IN ('static', 'dynamic')),
    roles       TEXT   NOT NULL, -- JSON array
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL
);

-- The granted roles that a sign-in activated, separated by spaces; NULL for all.
ALTER TABLE token_families ADD COLUMN roles TEXT NULL;
