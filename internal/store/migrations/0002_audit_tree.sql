-- The Merkle tree over the events. origin is the log's name, fixed when it
-- begins; size is how many leaves the tree has. One server at a time gives
-- events their leaves: holder. Whoever takes that over raises epoch, which each
-- of its transactions asks for again.
CREATE TABLE audit_log (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    origin  TEXT   NOT NULL,
    size    BIGINT NOT NULL,
    holder  TEXT   NOT NULL,
    epoch   BIGINT NOT NULL
);
INSERT INTO audit_log (id, origin, size, holder, epoch) VALUES (1, '', 0, '', 0);

-- The hashes of the tree, up to 256 of one level in a row.
CREATE TABLE audit_tiles (
    level  BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    hashes BYTEA  NOT NULL,
    PRIMARY KEY (level, n)
);

-- Signed notes, one for each second in which events came.
CREATE TABLE audit_checkpoints (
    size BIGINT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL,
    note BYTEA  NOT NULL
);
