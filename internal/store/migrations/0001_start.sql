-- The one schema, for SQLite and PostgreSQL alike. Only types that mean the same
-- in both are used: TEXT, BIGINT (also for time, as Unix microseconds; 0 is "no
-- time"), BOOLEAN and BYTEA. Ids are made by the program. TEXT is sorted by its
-- bytes: on PostgreSQL each such column gets COLLATE "C" when it is made.

-- The version of all roles and grants together. Every transaction that changes
-- them begins by raising it, which lets one of them run at a time.
CREATE TABLE policy (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    roles   BIGINT NOT NULL -- the version under which roles, not only grants, changed last
);
INSERT INTO policy (id, version, roles) VALUES (1, 1, 1);

-- The change feed. A change is written without a number, by the transaction that
-- makes it, and numbered once it is committed, under the lock of feed's row.
-- keep is how long a change is needed, in microseconds: the longest lifetime that
-- any server on this database ever gave an access token.
CREATE TABLE feed (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    head BIGINT NOT NULL,
    keep BIGINT NOT NULL
);
INSERT INTO feed (id, head, keep) VALUES (1, 0, 960000000);

CREATE TABLE changes (
    id      TEXT   NOT NULL PRIMARY KEY,
    seq     BIGINT,
    topic   TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    version BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    until   BIGINT NOT NULL
);
CREATE UNIQUE INDEX changes_seq ON changes (seq) WHERE seq IS NOT NULL;
CREATE INDEX changes_new ON changes (id) WHERE seq IS NULL;
CREATE INDEX changes_until ON changes (until);

CREATE TABLE users (
    id             TEXT    NOT NULL PRIMARY KEY,
    username       TEXT    NOT NULL,
    username_key   BYTEA   NOT NULL UNIQUE,
    email          TEXT    NOT NULL,
    email_key      BYTEA   UNIQUE, -- NULL: no address
    email_verified BOOLEAN NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
    name           TEXT    NOT NULL,
    profile        TEXT    NOT NULL, -- JSON object
    attributes     TEXT    NOT NULL, -- JSON object
    password       TEXT    NOT NULL, -- hash; empty: none
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    signed_in_at   BIGINT  NOT NULL,
    version        BIGINT  NOT NULL
);

CREATE TABLE roles (
    name        TEXT    NOT NULL PRIMARY KEY,
    description TEXT    NOT NULL,
    permissions TEXT    NOT NULL, -- JSON array
    inherits    TEXT    NOT NULL, -- JSON array
    builtin     BOOLEAN NOT NULL,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    version     BIGINT  NOT NULL
);

CREATE TABLE grants (
    id           TEXT   NOT NULL PRIMARY KEY,
    principal    TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    organization TEXT   NOT NULL DEFAULT '',
    until        BIGINT NOT NULL, -- 0: no end
    granted_by   TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    granted_at   BIGINT NOT NULL,
    UNIQUE (principal, role, organization)
);
CREATE INDEX grants_role ON grants (role, principal);

-- One row for the whole chain of refresh tokens that began with one sign-in.
CREATE TABLE token_families (
    id           TEXT   NOT NULL PRIMARY KEY,
    handle       BYTEA  NOT NULL UNIQUE, -- SHA-256
    user_id      TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    scope        TEXT   NOT NULL,
    audience     TEXT   NOT NULL,
    amr          TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    secret       BYTEA  NOT NULL, -- SHA-256 of the present turn
    previous     BYTEA, -- SHA-256 of the turn before
    generation   BIGINT NOT NULL,
    grace_salt   BYTEA,
    grace_pepper BIGINT NOT NULL,
    grace_until  BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    idle_until   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL, -- 0: it lives
    ended_why    TEXT   NOT NULL
);
CREATE INDEX token_families_live ON token_families (user_id, client_id, created_at) WHERE ended_at = 0;
CREATE INDEX token_families_expires ON token_families (expires_at);
CREATE INDEX token_families_grace ON token_families (grace_until) WHERE grace_salt IS NOT NULL;

CREATE TABLE signing_keys (
    id          TEXT   NOT NULL PRIMARY KEY,
    purpose     TEXT   NOT NULL, -- 'access'
    ordinal     BIGINT NOT NULL,
    alg         TEXT   NOT NULL,
    sealed      BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL,
    retired_at  BIGINT NOT NULL,
    UNIQUE (purpose, ordinal)
);

CREATE TABLE peppers (
    purpose    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, version)
);

-- The events that have no place in the tree yet. What the log will prove
-- untouched is data, byte for byte; the other columns repeat parts of it to be
-- searched, but for private: what the event tells of persons, which may be erased.
-- The event holds the digests of that alone.
CREATE TABLE audit_waiting (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    action  TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    actor   TEXT   NOT NULL,
    target  TEXT   NOT NULL,
    data    BYTEA  NOT NULL,
    private TEXT   NOT NULL
);

-- Those that have one: leaf. Each is written once, at the end.
CREATE TABLE audit_leaves (
    leaf    BIGINT NOT NULL PRIMARY KEY,
    id      TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    action  TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    actor   TEXT   NOT NULL,
    target  TEXT   NOT NULL,
    data    BYTEA  NOT NULL,
    private TEXT   NOT NULL
);
CREATE UNIQUE INDEX audit_leaves_id ON audit_leaves (id);

-- All of them, for who reads with SQL.
CREATE VIEW audit_events AS
    SELECT id, at, action, outcome, actor, target, data, private, leaf FROM audit_leaves
    UNION ALL SELECT id, at, action, outcome, actor, target, data, private, NULL FROM audit_waiting;

CREATE TABLE audit_counts (
    minute     BIGINT NOT NULL,
    credential TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    times      BIGINT NOT NULL,
    PRIMARY KEY (minute, credential, action, outcome)
);

-- A caller's name for one change, so that it has one effect however often it is
-- sent.
CREATE TABLE once (
    key        TEXT   NOT NULL PRIMARY KEY,
    request    TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX once_expires ON once (expires_at);
