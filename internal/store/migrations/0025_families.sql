-- Whether somebody has room for one family more is read of the index alone.
DROP INDEX token_families_live;
CREATE INDEX token_families_live ON token_families (user_id, client_id, created_at, id) WHERE ended_at = 0;
