-- +goose Up
-- What must hold of breaks; see the orchestrator's.

-- Matches that people make have ids less than zero, everywhere but where breaks were decided on: these counted as a run's.
UPDATE match_leg l SET match_id = -(l.match_id & 4294967295) FROM match m WHERE m.pass = 0 AND m.id > 0 AND l.match_id = m.id;
UPDATE provisional_match p SET match_id = -(p.match_id & 4294967295) FROM match m WHERE m.pass = 0 AND m.id > 0 AND p.match_id = m.id;
UPDATE payout_posting p SET match_id = -(p.match_id & 4294967295) FROM match m WHERE m.pass = 0 AND m.id > 0 AND p.match_id = m.id;
UPDATE break b SET match_id = -(b.match_id & 4294967295) WHERE b.match_id > 0;
UPDATE match m SET id = -(m.id & 4294967295) WHERE m.pass = 0 AND m.id > 0;

-- The history of breaks, with what a break is after each event: package breaks, as SQL. Seeing and snoozing leave a break as it is,
-- but for one that is resolved and seen again. What comes of a reversal is no event of the break's life.
CREATE VIEW break_step AS
WITH told AS (
    SELECT e.break_id, e.number, e.at, e.actor, j.kind,
           CASE WHEN e.verb IN ('finish', 'fail') AND j.kind = 4 THEN 'reversal' ELSE e.verb END AS verb
      FROM break_event e LEFT JOIN break_journal j ON e.verb IN ('finish', 'fail') AND j.key = e.detail ->> 'key'
), parted AS (
    SELECT t.break_id, t.number, t.at, t.actor, t.kind, t.verb,
           count(*) FILTER (WHERE t.verb NOT IN ('see', 'snooze', 'reversal')) OVER (PARTITION BY t.break_id ORDER BY t.number) AS part
      FROM told t
), led AS (
    SELECT p.break_id, p.number, p.at, p.actor, p.verb, p.part, first_value(p.verb) OVER led AS by, first_value(p.kind) OVER led AS kind,
           count(*) FILTER (WHERE p.verb = 'see') OVER led AS seen
      FROM parted p WINDOW led AS (PARTITION BY p.break_id, p.part ORDER BY p.number)
), ended AS (
    SELECT l.break_id, l.number, l.at, l.actor, l.verb,
           CASE WHEN l.part = 0 OR l.by = 'reopen' THEN 1 WHEN l.by IN ('ack', 'assign', 'reject', 'fail') THEN 2
                WHEN l.by IN ('resolve', 'approve') THEN 3 WHEN l.by = 'propose' THEN 4 WHEN l.seen > 0 THEN 1 ELSE 5 END AS state,
           CASE l.by WHEN 'match' THEN 1 WHEN 'vanish' THEN 2 WHEN 'accept' THEN 3 WHEN 'finish' THEN l.kind + 3 END AS resolution
      FROM led l
)
SELECT e.break_id, e.number, e.at, e.actor, e.verb, e.state, CASE WHEN e.state = 5 THEN coalesce(e.resolution, 0) ELSE 0 END AS resolution FROM ended e;

CREATE VIEW inv_9_break_history_is_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass('break_event') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'break_history_is_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_break_history_is_append_only IS 'A: A trigger refuses every change of the history of breaks.';

CREATE VIEW inv_36_people_at_breaks_leave_a_record AS
SELECT 'brk_' || e.break_id AS id, format('event %s is %s by %s, and there is no record of it', e.number, e.verb, e.actor) AS detail
  FROM break_event e
 WHERE e.verb IN ('ack', 'assign', 'snooze', 'resolve', 'propose', 'accept', 'reopen', 'approve', 'reject') AND NOT EXISTS (
       SELECT FROM operator_action a
        WHERE a.target = 'brk_' || e.break_id AND a.at = e.at AND a.actor = e.actor
          AND a.verb = 'break ' || CASE e.verb WHEN 'propose' THEN 'resolve' ELSE e.verb END);
COMMENT ON VIEW inv_36_people_at_breaks_leave_a_record IS 'A: Whoever decided on a break is on record, with why.';

CREATE VIEW inv_39_what_is_open_is_explained AS
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
COMMENT ON VIEW inv_39_what_is_open_is_explained IS
    'A: Every movement that a run looked at is matched once, or is not due yet, or has a break.';

CREATE VIEW inv_66_breaks_are_their_events AS
SELECT 'brk_' || b.id AS id,
       CASE WHEN s.events IS NULL THEN 'has no history'
            WHEN (s.events, s.last, s.first) <> (b.last_event, b.last_event, 1)
            THEN format('has %s events from %s to %s, and says that the last one is %s', s.events, s.first, s.last, b.last_event)
            ELSE format('is in state %s by %s, and by its events in %s by %s', b.state, b.resolution, s.state, s.resolution) END AS detail
  FROM break b LEFT JOIN (
       SELECT break_id, count(*) AS events, min(number) AS first, max(number) AS last, (array_agg(state ORDER BY number DESC))[1] AS state,
              (array_agg(resolution ORDER BY number DESC))[1] AS resolution
         FROM break_step GROUP BY break_id) s ON s.break_id = b.id
 WHERE s.events IS NULL OR (s.events, s.last, s.first) <> (b.last_event, b.last_event, 1) OR (s.state, s.resolution) <> (b.state, b.resolution);
COMMENT ON VIEW inv_66_breaks_are_their_events IS
    'A: The events of a break are numbered from 1 without gaps, and its row says what they come to: its state, and what ended it.';

CREATE VIEW inv_67_breaks_change_as_they_may AS
SELECT 'brk_' || s.break_id AS id, format('event %s is %s in state %s', s.number, s.verb, coalesce(s.before, 0)) AS detail
  FROM (SELECT break_id, number, verb, lag(state) OVER w AS before, lag(resolution) OVER w AS resolution
          FROM break_step WINDOW w AS (PARTITION BY break_id ORDER BY number)) s
 WHERE s.verb <> 'reversal' AND (coalesce(s.before, 0), s.verb) NOT IN (VALUES
       (0, 'see'),
       (1, 'ack'), (1, 'assign'), (1, 'snooze'), (1, 'resolve'), (1, 'propose'), (1, 'accept'), (1, 'see'), (1, 'match'), (1, 'vanish'),
       (2, 'assign'), (2, 'snooze'), (2, 'resolve'), (2, 'propose'), (2, 'accept'), (2, 'see'), (2, 'match'), (2, 'vanish'),
       (3, 'finish'), (3, 'fail'), (3, 'see'),
       (4, 'approve'), (4, 'reject'), (4, 'see'), (4, 'match'), (4, 'vanish'),
       (5, 'reopen'), (5, 'see'))
    OR s.before = 5 AND s.verb = 'see' AND s.resolution IN (3, 4, 5); -- what a person has left so stays so
COMMENT ON VIEW inv_67_breaks_change_as_they_may IS
    'A: A break is seen first, and then takes only what its state allows; what a person has ended is not opened by being seen.';

CREATE VIEW inv_68_what_is_matched_is_no_break AS
WITH last AS (SELECT max(number) AS number FROM run WHERE state = 2)
SELECT 'brk_' || b.id AS id, format('is open, and all of its %s movements are matched', count(*)) AS detail
  FROM break b JOIN break_movement d ON d.break_id = b.id CROSS JOIN last
  LEFT JOIN match_leg l ON l.movement_id = d.movement_id AND l.active
  LEFT JOIN run r ON r.number = (l.match_id >> 32)::int AND r.state = 2 AND l.match_id > 0
  LEFT JOIN open_movement o ON o.movement_id = d.movement_id AND o.by_hand AND o.until_run <= last.number AND l.match_id < 0
 WHERE b.state IN (1, 2, 4) AND NOT b.matched AND b.watcher = 'run'
 GROUP BY b.id HAVING count(r.number) + count(o.movement_id) >= count(*);
COMMENT ON VIEW inv_68_what_is_matched_is_no_break IS
    'A: A break that is about movements ends when a run has seen all of them matched, unless it is about how they are matched.';

CREATE VIEW inv_69_bookings_are_approved AS
SELECT 'brk_' || j.break_id AS id,
       CASE WHEN j.approved_by = '' THEN format('journal %s is about %s %s, and above %s a second person approves', j.number, j.amount_minor, j.currency, r.most)
            ELSE format('journal %s says that %s approved it, and the history does not', j.number, j.approved_by) END AS detail
  FROM break_journal j CROSS JOIN LATERAL (
       SELECT max((s.document -> 'breaks' ->> 'write_off_limit_minor')::bigint) AS most -- of the rules that any replica may have gone by then
         FROM rule_activation a JOIN rule_set s ON s.version = a.version
        WHERE a.at <= j.created_at
          AND NOT EXISTS (SELECT FROM rule_activation n WHERE n.id > a.id AND n.at <= j.created_at - interval '5 minutes')) r
 WHERE j.kind IN (1, 2) AND j.state IN (2, 3, 5)
   AND (j.approved_by = '' AND j.amount_minor > r.most OR j.approved_by <> '' AND NOT EXISTS (
       SELECT FROM break_event e WHERE e.break_id = j.break_id AND e.verb = 'approve' AND e.actor = j.approved_by));
COMMENT ON VIEW inv_69_bookings_are_approved IS
    'A: What is written off or reposted above the limit of the rules was approved by a second person, as the history has it.';

CREATE VIEW inv_70_endings_have_their_journals AS
SELECT 'brk_' || b.id AS id,
       format('is in state %s by %s; of its journals %s are to be approved, %s are due, and the last one done is of kind %s', b.state, b.resolution,
              coalesce(j.proposed, 0), coalesce(j.due, 0), coalesce(j.done, 0)) AS detail
  FROM break b LEFT JOIN (
       SELECT break_id, count(*) FILTER (WHERE state = 1) AS proposed, count(*) FILTER (WHERE state = 2 AND kind <> 4) AS due,
              (array_agg(kind ORDER BY number DESC) FILTER (WHERE state = 3 AND kind <> 4))[1] AS done
         FROM break_journal GROUP BY break_id) j ON j.break_id = b.id
 WHERE coalesce(j.proposed, 0) <> (b.state = 4)::int OR coalesce(j.due, 0) <> (b.state = 3)::int
    OR b.resolution IN (4, 5, 6) AND j.done IS DISTINCT FROM b.resolution - 3;
COMMENT ON VIEW inv_70_endings_have_their_journals IS
    'A: A break that waits for a journal or a repair, or for its approval, has one; and one that was ended by it has it done.';

CREATE VIEW inv_71_operations_are_their_items AS
SELECT 'bop_' || o.id AS id,
       format('says %s matched, %s done, %s refused; there are %s, %s, %s, and the totals are of %s', o.matched, o.done, o.refused,
              coalesce(i.n, 0), coalesce(i.done, 0), coalesce(i.refused, 0), coalesce(t.n, 0)) AS detail
  FROM break_operation o
  LEFT JOIN (SELECT operation_id, count(*) AS n, count(*) FILTER (WHERE outcome = 1) AS done, count(*) FILTER (WHERE outcome = 2) AS refused
               FROM break_operation_item GROUP BY operation_id) i ON i.operation_id = o.id
  LEFT JOIN (SELECT operation_id, sum(count) AS n FROM break_operation_total GROUP BY operation_id) t ON t.operation_id = o.id
 WHERE (o.matched, o.done, o.refused, o.matched) <> (coalesce(i.n, 0), coalesce(i.done, 0), coalesce(i.refused, 0), coalesce(t.n, 0));
COMMENT ON VIEW inv_71_operations_are_their_items IS 'A: An operation on breaks counts what it found, and what came of it.';

CREATE VIEW inv_72_operations_are_in_the_history AS
SELECT 'brk_' || i.break_id AS id, format('bop_%s says that it was done, and the history does not', o.id) AS detail
  FROM break_operation o JOIN break_operation_item i ON i.operation_id = o.id AND i.outcome = 1
 WHERE NOT EXISTS (
       SELECT FROM break_event e
        WHERE e.break_id = i.break_id AND e.actor = o.applied_by AND e.at >= o.applied_at
          AND (e.verb = o.decision ->> 'verb' OR e.verb = 'propose' AND o.decision ->> 'verb' = 'resolve'));
COMMENT ON VIEW inv_72_operations_are_in_the_history IS
    'A: What an operation did to a break is in the history of the break, under the name of whoever applied it.';
