-- When a password was changed; 0: it is the first. A hash that is made anew with
-- other parameters is no change.
ALTER TABLE users ADD COLUMN password_at BIGINT NOT NULL DEFAULT 0;
