-- Groups, and who is in them. What a group is given are rows of grants whose
-- principal is "group:" and its name, which is no account's and no client's id.
CREATE TABLE groups (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL
);

CREATE TABLE members (
    principal  TEXT   NOT NULL,
    group_name TEXT   NOT NULL,
    kind       TEXT   NOT NULL CHECK (kind IN ('user', 'service')),
    until      BIGINT NOT NULL, -- 0: no end
    added_by   TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    added_at   BIGINT NOT NULL,
    PRIMARY KEY (principal, group_name)
);
CREATE INDEX members_group ON members (group_name, principal);
