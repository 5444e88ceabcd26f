-- To find the events of one actor, target or action without looking through all:
-- by id, which sorts by time. They hold what has its leaf, so that the
-- transaction which writes an event does not pay for them; who gives it its leaf
-- does. The few that have none yet are looked through.
CREATE INDEX audit_events_actor ON audit_events (actor, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_events_target ON audit_events (target, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_events_action ON audit_events (action, id) WHERE leaf IS NOT NULL;

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
