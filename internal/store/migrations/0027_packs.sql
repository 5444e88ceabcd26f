-- Events that have no leaf yet, as they were committed together: a line for each, of the
-- bytes of its leaf, a tab and what it tells of persons. id is that of one of them.
CREATE TABLE audit_packs (
    id     TEXT NOT NULL PRIMARY KEY,
    events TEXT NOT NULL
);
/* sqlite */ INSERT INTO audit_packs (id, events)
    SELECT id, CAST(data AS TEXT) || char(9) || private || char(10) FROM audit_waiting;
/* postgres */ INSERT INTO audit_packs (id, events)
    SELECT id, convert_from(data, 'UTF8') || chr(9) || private || chr(10) FROM audit_waiting;
DROP VIEW audit_events;
DROP TABLE audit_waiting;

-- They one by one, for who looks for some of them.
/* sqlite */ CREATE VIEW audit_waiting AS
    SELECT json_extract(data, '$.id') AS id,
        CAST(strftime('%s', substr(json_extract(data, '$.at'), 1, 19)) AS INTEGER) * 1000000 + CAST(substr(json_extract(data, '$.at'), 21, 6) AS INTEGER) AS at,
        json_extract(data, '$.action') AS action, json_extract(data, '$.outcome') AS outcome, json_extract(data, '$.actor') AS actor, COALESCE(json_extract(data, '$.target'), '') AS target,
        CAST(data AS BLOB) AS data, private
    FROM (SELECT substr(value, 1, instr(value, char(9)) - 1) AS data, substr(value, instr(value, char(9)) + 1) AS private
        FROM audit_packs, json_each('["' || replace(replace(replace(replace(rtrim(events, char(10)), '\', '\\'), '"', '\"'), char(9), '\t'), char(10), '","') || '"]')) AS lines;
/* postgres */ CREATE VIEW audit_waiting AS
    SELECT (data::json ->> 'id') COLLATE "C" AS id,
        CAST(round(extract(epoch FROM (data::json ->> 'at')::timestamptz) * 1000000) AS BIGINT) AS at,
        (data::json ->> 'action') COLLATE "C" AS action, (data::json ->> 'outcome') COLLATE "C" AS outcome,
        (data::json ->> 'actor') COLLATE "C" AS actor, COALESCE(data::json ->> 'target', '') COLLATE "C" AS target,
        convert_to(data, 'UTF8') AS data, private COLLATE "C" AS private
    FROM (SELECT split_part(line, chr(9), 1) AS data, split_part(line, chr(9), 2) AS private
        FROM audit_packs, unnest(string_to_array(rtrim(events, chr(10)), chr(10))) AS line) AS lines;

-- All of them, for who reads with SQL.
CREATE VIEW audit_events AS
    SELECT id, at, action, outcome, actor, target, data, private, leaf FROM audit_leaves
    UNION ALL SELECT id, at, action, outcome, actor, target, data, private, NULL FROM audit_waiting;
