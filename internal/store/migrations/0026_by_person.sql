-- Who withdraws what he agreed to, or is deleted, is found by himself in what is kept of
-- all: not only what lives, since what has ended tells of him too until it is purged.
CREATE INDEX token_families_user ON token_families (user_id);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX codes_user ON codes (user_id);
CREATE INDEX devices_user ON devices (user_id);
