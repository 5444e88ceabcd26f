-- What people are to be told, from the commit that makes it so until it is
-- delivered. Whoever takes a letter moves due on by his lease: he alone has it
-- until then. tries tells one taking from another.
CREATE TABLE outbox (
    id      TEXT   NOT NULL PRIMARY KEY,
    user_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    data    TEXT   NOT NULL, -- JSON object
    at      BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    tries   BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due);
CREATE INDEX outbox_user ON outbox (user_id);

-- The local inbox of dev: what a mail server would have been handed.
CREATE TABLE inbox (
    id      TEXT   NOT NULL PRIMARY KEY, -- the letter's
    user_id TEXT   NOT NULL,
    address TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    body    TEXT   NOT NULL,
    html    TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX inbox_at ON inbox (at);
CREATE INDEX inbox_user ON inbox (user_id);
