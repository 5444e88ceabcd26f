-- The attempts at a subject from one device, and from all that are not known (an
-- empty device). Both are SHA-256 digests. stamp changes with every write, and a
-- row is replaced by whoever knows its stamp: one of many who try.
CREATE TABLE attempts (
    subject BYTEA  NOT NULL,
    device  BYTEA  NOT NULL,
    stamp   BIGINT NOT NULL,
    round   BIGINT NOT NULL, -- changes with every run of attempts up to a lock
    tries   BIGINT NOT NULL, -- of this round
    failed  BIGINT NOT NULL, -- of this round
    total   BIGINT NOT NULL, -- since the last success
    locks   BIGINT NOT NULL, -- since the last success
    last_at BIGINT NOT NULL,
    until   BIGINT NOT NULL, -- 0: it is open
    PRIMARY KEY (subject, device)
);
CREATE INDEX attempts_last ON attempts (last_at);

-- Meters, alarms and what was told not long ago: a digest and a time.
CREATE TABLE marks (
    name  BYTEA  NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);
CREATE INDEX marks_until ON marks (until);
