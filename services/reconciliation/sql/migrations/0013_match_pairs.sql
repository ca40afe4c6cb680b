-- +goose Up
-- Nearly all matches are of two movements. Each was a row and two legs, with four entries in indexes; now it is one row with three.
-- match and match_leg are views: whoever reads matches reads these. A run that the previous binary has under way waits for the next one:
-- it cannot write matches any more.

ALTER TABLE match RENAME TO match_before;
ALTER TABLE match_leg RENAME TO match_leg_before;

-- A match is movements that are the same money: pairs of one of ours and one of theirs, of which either may be missing. No movement is
-- in two matches that hold. Its id is its run's number, shifted left by 32 bits, and its place in the run; those that people make have
-- ids less than zero.
CREATE TABLE match_pair (
    match_id     bigint   NOT NULL,
    ours_id      bigint,  -- movements
    theirs_id    bigint,
    partition_id int      NOT NULL,
    number       int      NOT NULL DEFAULT 1 CHECK (number > 0), -- in the match, from 1; all of its pairs say the same but for the movements
    undone_run   int      NOT NULL DEFAULT 0,                    -- the first run for which the match does not hold; 0 while it does
    pass         smallint NOT NULL CHECK (pass BETWEEN 0 AND 7), -- match.Pass; 0 by hand
    ours_by      smallint NOT NULL DEFAULT 0,                    -- match.Carrier, of pass 1
    theirs_by    smallint NOT NULL DEFAULT 0,
    score        smallint NOT NULL DEFAULT 0 CHECK (score BETWEEN 0 AND 1000),
    evidence     text     NOT NULL DEFAULT '',                   -- JSON, where pass and carriers do not say all
    CHECK (ours_id IS NOT NULL OR theirs_id IS NOT NULL)
);

-- Every movement with a place of its own on its side of its match.
WITH legs AS (
    SELECT l.match_id, l.movement_id, v.ours, coalesce(l.undone_run, 0) AS undone_run,
           row_number() OVER (PARTITION BY l.match_id, v.ours ORDER BY l.movement_id) AS number
      FROM match_leg_before l JOIN movement v ON v.id = l.movement_id
), pairs AS (
    SELECT match_id, number, max(movement_id) FILTER (WHERE ours) AS ours_id, max(movement_id) FILTER (WHERE NOT ours) AS theirs_id,
           max(undone_run) AS undone_run
      FROM legs GROUP BY match_id, number)
INSERT INTO match_pair (match_id, ours_id, theirs_id, partition_id, number, undone_run, pass, ours_by, theirs_by, score, evidence)
SELECT m.id, p.ours_id, p.theirs_id, m.partition_id, p.number, p.undone_run, m.pass, m.ours_by, m.theirs_by, m.score, m.evidence
  FROM pairs p JOIN match_before m ON m.id = p.match_id
 ORDER BY m.id, p.number;

CREATE UNIQUE INDEX match_pair_ours ON match_pair (ours_id) WHERE undone_run = 0;
CREATE UNIQUE INDEX match_pair_theirs ON match_pair (theirs_id) WHERE undone_run = 0;
CREATE INDEX match_pair_ours_undone ON match_pair (ours_id) WHERE undone_run <> 0;
CREATE INDEX match_pair_theirs_undone ON match_pair (theirs_id) WHERE undone_run <> 0;
CREATE INDEX match_pair_by_hand ON match_pair (match_id) WHERE pass = 0;
-- Pairs lie in the order of their matches, all but for the pieces of a run and what people match: a few pages hold those of a match.
CREATE INDEX match_pair_of_match ON match_pair USING brin (match_id int8_minmax_multi_ops) WITH (pages_per_range = 16, autosummarize = on);

CREATE VIEW match AS
SELECT match_id AS id, partition_id, pass, ours_by, theirs_by, score, evidence FROM match_pair WHERE number = 1;

-- The movements of matches.
CREATE VIEW match_leg AS
SELECT match_id, ours_id AS movement_id, undone_run = 0 AS active, nullif(undone_run, 0) AS undone_run FROM match_pair WHERE ours_id IS NOT NULL
 UNION ALL
SELECT match_id, theirs_id, undone_run = 0, nullif(undone_run, 0) FROM match_pair WHERE theirs_id IS NOT NULL;

-- What must hold of them; but for the first one as it was.

CREATE OR REPLACE VIEW inv_61_matches_have_their_legs AS
SELECT 'match ' || p.match_id AS id,
       CASE WHEN p.first <> 1 OR p.last <> p.pairs THEN format('has %s pairs, and they are numbered to %s', p.pairs, p.last)
            WHEN p.holding > 0 AND p.holding < p.pairs THEN format('%s of its %s pairs hold', p.holding, p.pairs)
            WHEN p.misplaced THEN 'has a movement of the other side'
            ELSE 'has a leg of another partition' END AS detail
  FROM (SELECT p.match_id, count(*) AS pairs, count(*) FILTER (WHERE p.number = 1) AS first, max(p.number) AS last,
               count(*) FILTER (WHERE p.undone_run = 0) AS holding,
               bool_or(p.ours_id IS NOT NULL AND o.ours IS DISTINCT FROM true OR p.theirs_id IS NOT NULL AND t.ours IS DISTINCT FROM false) AS misplaced,
               bool_or(p.pass > 0 AND (o.partition_id <> p.partition_id OR t.partition_id <> p.partition_id)) AS across
          FROM match_pair p LEFT JOIN movement o ON o.id = p.ours_id LEFT JOIN movement t ON t.id = p.theirs_id
         GROUP BY p.match_id) p
 WHERE p.first <> 1 OR p.last <> p.pairs OR p.holding > 0 AND p.holding < p.pairs OR p.misplaced OR p.across;
COMMENT ON VIEW inv_61_matches_have_their_legs IS
    'A: A match holds with all its movements or with none, each on its side, and those that a run has made are of one partition.';

CREATE OR REPLACE VIEW inv_62_nothing_is_lost AS
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

CREATE OR REPLACE VIEW inv_63_runs_are_their_partitions AS
SELECT 'run_' || r.id AS id, format('has made %s matches, not told of %s partitions, and there are %s', p.matches, p.untold, coalesce(m.matches, 0)) AS detail
  FROM run r
  JOIN LATERAL (SELECT coalesce(sum(matches), 0) AS matches, count(*) FILTER (WHERE NOT told) AS untold FROM run_partition WHERE run_number = r.number) p ON true
  LEFT JOIN (SELECT id >> 32 AS number, count(*) AS matches FROM match WHERE id > 0 GROUP BY id >> 32) m ON m.number = r.number
 WHERE r.state = 2 AND (p.untold > 0 OR p.matches <> coalesce(m.matches, 0)) OR r.state = 3 AND (p.matches > 0 OR m.matches > 0);

CREATE OR REPLACE VIEW inv_64_days_are_movements AS
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

CREATE OR REPLACE VIEW inv_39_what_is_open_is_explained AS
WITH last AS (SELECT max(number) AS number FROM run WHERE state = 2), found AS (
    SELECT f.movement_id, bool_and(f.code = 'TIMING_OPEN') AS waits
      FROM (SELECT unnest(f.ours || f.theirs) AS movement_id, f.code FROM run_finding f JOIN last ON last.number = f.run_number WHERE NOT f.matched) f
     GROUP BY f.movement_id)
SELECT 'movement ' || m.id AS id,
       CASE WHEN f.movement_id IS NULL THEN format('run %s left it open, and says nothing of it', last.number)
            ELSE format('run %s found something of it, and there is no break', last.number) END AS detail
  FROM last JOIN open_movement o ON o.until_run IS NULL AND o.since_run <= last.number
  JOIN movement m ON m.id = o.movement_id AND m.standing = 0
  LEFT JOIN found f ON f.movement_id = o.movement_id
 WHERE NOT coalesce(f.waits, false)
   AND NOT EXISTS (SELECT FROM match_leg l WHERE l.movement_id = m.id AND NOT l.active AND l.undone_run > last.number) -- the next run looks at it
   AND (f.movement_id IS NULL OR NOT EXISTS (
       SELECT FROM break_movement d JOIN break b ON b.id = d.break_id
        WHERE d.movement_id = m.id AND (b.state <> 5 OR b.resolution IN (3, 4, 5)))); -- or a person has left it so
CREATE OR REPLACE VIEW inv_68_what_is_matched_is_no_break AS
WITH last AS (SELECT max(number) AS number FROM run WHERE state = 2)
SELECT 'brk_' || b.id AS id, format('is open, and all of its %s movements are matched', count(*)) AS detail
  FROM break b JOIN break_movement d ON d.break_id = b.id CROSS JOIN last
  LEFT JOIN match_leg l ON l.movement_id = d.movement_id AND l.active
  LEFT JOIN run r ON r.number = (l.match_id >> 32)::int AND r.state = 2 AND l.match_id > 0
  LEFT JOIN open_movement o ON o.movement_id = d.movement_id AND o.by_hand AND o.until_run <= last.number AND l.match_id < 0
 WHERE b.state IN (1, 2, 4) AND NOT b.matched AND b.watcher = 'run'
 GROUP BY b.id HAVING count(r.number) + count(o.movement_id) >= count(*);

DROP TABLE match_before, match_leg_before;
