-- The lists that say of each access token whether it was revoked: a bit for each.
-- given is how many bits were given to tokens; key puts those in the order in which
-- they are given.
CREATE TABLE status_lists (
    id        TEXT   NOT NULL PRIMARY KEY,
    key       BYTEA  NOT NULL,
    given     BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    until     BIGINT NOT NULL, -- when the last of its tokens has expired
    version   BIGINT NOT NULL  -- rises with each change of its bits
);
CREATE INDEX status_lists_opened ON status_lists (opened_at);
CREATE INDEX status_lists_until ON status_lists (until);

-- Their bits, 8192 in a row. What has no row has none.
CREATE TABLE status_pages (
    list TEXT   NOT NULL,
    page BIGINT NOT NULL,
    bits BYTEA  NOT NULL,
    PRIMARY KEY (list, page)
);

-- What access tokens of a family may be alive, and their bits.
ALTER TABLE token_families ADD COLUMN live TEXT NOT NULL DEFAULT '';
CREATE INDEX token_families_client ON token_families (client_id, id);

-- Bits of tokens that are of no family: a row for each principal, family and key that
-- they end with. One of the rows of a run is the first.
CREATE TABLE status_runs (
    owner  TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    first  BOOLEAN NOT NULL,
    access TEXT    NOT NULL, -- JSON
    live   TEXT    NOT NULL,
    until  BIGINT  NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX status_runs_first ON status_runs (id) WHERE first;
CREATE INDEX status_runs_until ON status_runs (until);

-- How far the bits follow the change feed: 1 at once, and 2 a while later, for tokens
-- that were being issued then. One server at a time sets them: holder, until its time is
-- over.
CREATE TABLE status_marks (
    id     BIGINT NOT NULL PRIMARY KEY,
    seq    BIGINT NOT NULL,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
INSERT INTO status_marks (id, seq, holder, until) VALUES (1, 0, '', 0), (2, 0, '', 0);
