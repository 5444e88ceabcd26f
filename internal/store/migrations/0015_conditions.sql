-- Policies in Cedar that permit or forbid beside the roles, by name.
CREATE TABLE conditions (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    policy      TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL
);

-- Decisions whose ids were told to somebody, to be looked up for a while. An id
-- begins with the time at which it was made.
CREATE TABLE decisions (
    id   TEXT NOT NULL PRIMARY KEY,
    data TEXT NOT NULL
);
