-- In which moments the log has events of a name: of an actor, a target, an
-- action, an outcome, or a person whom they tell of. A moment, of 256 ms, is what
-- the ids begin with that were made in it. So who is busy costs few rows, and what
-- is rare is looked for among the events of its moments alone.
CREATE TABLE audit_names (
    name   TEXT NOT NULL,
    moment TEXT NOT NULL,
    PRIMARY KEY (name, moment)
);

-- How far the log was sent to each place outside, by the hash of its address:
-- the next leaf to send, and the size of the tree at the last checkpoint sent.
-- One server at a time sends: holder, until its time is over. sent_at is when
-- the place last took something.
CREATE TABLE audit_sinks (
    name       TEXT   NOT NULL PRIMARY KEY,
    leaf       BIGINT NOT NULL,
    checkpoint BIGINT NOT NULL,
    sent_at    BIGINT NOT NULL,
    holder     TEXT   NOT NULL,
    until      BIGINT NOT NULL
);
