-- Which applications a person signed in to under the session of his browser: they are
-- told when it ends, and then it is forgotten.
CREATE TABLE session_clients (
    session    TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    expires_at BIGINT NOT NULL, -- when the session does
    PRIMARY KEY (session, client_id)
);
CREATE INDEX session_clients_client ON session_clients (client_id);
CREATE INDEX session_clients_expires ON session_clients (expires_at);

-- Applications are told by the same box as people are. Who is waiting for one is not held
-- up by the other.
ALTER TABLE outbox ADD COLUMN channel TEXT NOT NULL DEFAULT 'mail';
CREATE INDEX outbox_channel_due ON outbox (channel, due);
DROP INDEX outbox_due;
