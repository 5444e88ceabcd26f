-- Those of days ago are found by their time: there is one for each second of the last day.
CREATE INDEX audit_checkpoints_at ON audit_checkpoints (at);
