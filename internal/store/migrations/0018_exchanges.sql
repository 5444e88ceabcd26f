-- Which clients may exchange tokens (RFC 8693): those that came from another client, or
-- API keys, for tokens for one API.
CREATE TABLE token_exchanges (
    id            TEXT    NOT NULL PRIMARY KEY,
    client        TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    resource      TEXT    NOT NULL,
    impersonation BOOLEAN NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    UNIQUE (client, source, resource)
);
CREATE INDEX token_exchanges_source ON token_exchanges (source);
CREATE INDEX token_exchanges_resource ON token_exchanges (resource);
