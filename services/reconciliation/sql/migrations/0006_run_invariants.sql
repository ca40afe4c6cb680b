-- +goose Up
-- What must hold of runs; see the orchestrator's.

CREATE VIEW inv_9_rules_are_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid IN (to_regclass('rule_set'), to_regclass('rule_activation')) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'rules_are_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_rules_are_append_only IS 'A: Triggers refuse every change of the rules that runs go by, and of when they were activated.';

CREATE VIEW inv_61_matches_have_their_legs AS
SELECT 'match ' || coalesce(m.id, l.match_id) AS id,
       CASE WHEN m.id IS NULL THEN 'its legs are there, and it is not'
            WHEN l.match_id IS NULL THEN 'has no legs'
            WHEN l.active > 0 AND l.active < l.legs THEN format('%s of its %s legs hold', l.active, l.legs)
            ELSE 'has a leg of another partition' END AS detail
  FROM match m
  FULL JOIN (SELECT l.match_id, count(*) AS legs, count(*) FILTER (WHERE l.active) AS active, min(v.partition_id) AS first, max(v.partition_id) AS last
               FROM match_leg l LEFT JOIN movement v ON v.id = l.movement_id GROUP BY l.match_id) l ON l.match_id = m.id
 WHERE m.id IS NULL OR l.match_id IS NULL OR l.active > 0 AND l.active < l.legs
    OR m.pass > 0 AND (l.first, l.last) IS DISTINCT FROM (m.partition_id, m.partition_id);
COMMENT ON VIEW inv_61_matches_have_their_legs IS
    'A: A match holds with all its movements or with none, and those that a run has made are of one partition.';

CREATE VIEW inv_62_nothing_is_lost AS
WITH ended AS (SELECT number FROM run WHERE state = 2)
SELECT 'movement ' || m.id AS id,
       CASE WHEN l.movement_id IS NULL THEN format('run %s took it, and it is in no match and not open', d.run_number)
            ELSE 'is in a match, and open' END AS detail
  FROM delivery d JOIN ended e ON e.number = d.run_number
  JOIN movement m ON m.id >= d.id::bigint << 32 AND m.id < (d.id + 1)::bigint << 32
  LEFT JOIN match_leg l ON l.movement_id = m.id AND l.active AND (l.match_id < 0 OR l.match_id >> 32 IN (SELECT number FROM ended))
  LEFT JOIN open_movement o ON o.movement_id = m.id AND o.until_run IS NULL
 WHERE l.movement_id IS NULL AND o.movement_id IS NULL AND m.standing = 0
       AND NOT EXISTS (SELECT FROM match_leg r WHERE r.movement_id = m.id AND r.active) -- by a run that is under way
    OR l.movement_id IS NOT NULL AND o.movement_id IS NOT NULL;
COMMENT ON VIEW inv_62_nothing_is_lost IS
    'A: A movement that has happened and that a finished run has taken is in one match that holds, or is open, and never both.';

CREATE VIEW inv_63_runs_are_their_partitions AS
SELECT 'run_' || r.id AS id, format('has made %s matches, not told of %s partitions, and there are %s', p.matches, p.untold, coalesce(m.matches, 0)) AS detail
  FROM run r
  JOIN LATERAL (SELECT coalesce(sum(matches), 0) AS matches, count(*) FILTER (WHERE NOT told) AS untold FROM run_partition WHERE run_number = r.number) p ON true
  LEFT JOIN (SELECT id >> 32 AS number, count(*) AS matches FROM match WHERE id > 0 GROUP BY id >> 32) m ON m.number = r.number
 WHERE r.state = 2 AND (p.untold > 0 OR p.matches <> coalesce(m.matches, 0)) OR r.state = 3 AND (p.matches > 0 OR m.matches > 0);
COMMENT ON VIEW inv_63_runs_are_their_partitions IS
    'A: A finished run has as many matches as it came to and has told all that it found; one that was cancelled has left nothing.';

CREATE VIEW inv_64_days_are_movements AS
WITH taken AS (
    SELECT m.partition_id, m.ours, sum(m.amount_minor) AS minor
      FROM delivery d JOIN run r ON r.number = d.run_number AND r.state = 2
      JOIN movement m ON m.id >= d.id::bigint << 32 AND m.id < (d.id + 1)::bigint << 32
     WHERE NOT m.ours OR m.standing = 0
     GROUP BY m.partition_id, m.ours
), own AS (
    SELECT t.partition_id, sum(m.amount_minor) AS minor
      FROM match t JOIN run r ON r.number = (t.id >> 32)::int AND r.state = 2 JOIN match_leg l ON l.match_id = t.id JOIN movement m ON m.id = l.movement_id
     WHERE t.pass = 7 AND NOT m.ours GROUP BY t.partition_id
), days AS (
    SELECT d.partition_id, d.ours, sum(d.amount_minor) AS minor FROM run_day d JOIN run r ON r.number = d.run_number AND r.state = 2
     GROUP BY d.partition_id, d.ours
)
SELECT format('%s of partition %s', CASE WHEN s.ours THEN 'ours' ELSE 'theirs' END, s.partition_id) AS id,
       format('come to %s, and the days to %s', s.minor, s.days) AS detail
  FROM (SELECT coalesce(t.partition_id, d.partition_id) AS partition_id, coalesce(t.ours, d.ours) AS ours,
               coalesce(t.minor, 0) + CASE WHEN coalesce(t.ours, d.ours) THEN coalesce(o.minor, 0) ELSE 0 END AS minor, coalesce(d.minor, 0) AS days
          FROM taken t FULL JOIN days d ON d.partition_id = t.partition_id AND d.ours = t.ours
          LEFT JOIN own o ON o.partition_id = coalesce(t.partition_id, d.partition_id)) s
 WHERE s.minor <> s.days;
COMMENT ON VIEW inv_64_days_are_movements IS
    'A: The days that reports are made of come to the movements that finished runs have taken, and what needs no counterpart counts on both sides.';

CREATE VIEW inv_65_runs_end AS
SELECT 'run_' || id AS id, 'has been under way since ' || started_at || coalesce(': ' || nullif(trouble, ''), '') AS detail
  FROM run WHERE state = 1 AND started_at < now() - interval '6 hours';
COMMENT ON VIEW inv_65_runs_end IS 'L: A run ends within six hours.';
