-- The APIs that are registered. identifier is what tokens for one are for; policy
-- is the version of roles and grants with which it changed last.
CREATE TABLE resources (
    id          TEXT   NOT NULL PRIMARY KEY,
    identifier  TEXT   NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    permissions TEXT   NOT NULL, -- JSON array of objects
    access_ttl  BIGINT NOT NULL, -- microseconds; 0: that of all others
    alg         TEXT   NOT NULL, -- empty: that of all others
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    policy      BIGINT NOT NULL
);
