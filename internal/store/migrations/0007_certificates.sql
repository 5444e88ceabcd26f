-- What an ACME authority gave, and the key of the account with it. Names are those
-- of golang.org/x/crypto/acme/autocert: a host, host+rsa, host+token (the answer to
-- a challenge), acme_account+key. All is sealed by the master key.
CREATE TABLE certificates (
    name    TEXT   NOT NULL PRIMARY KEY,
    sealed  BYTEA  NOT NULL,
    kept_at BIGINT NOT NULL
);
