-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION saga_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: what happened is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER saga_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON saga_event
    FOR EACH STATEMENT EXECUTE FUNCTION saga_event_is_append_only();

-- The pivot of each definition, and the step before it: when that is done, the pivot may have been sent.
CREATE VIEW saga_pivot AS
SELECT 'order'::text AS definition, 1 AS version, 'ship'::text AS step, 'charge'::text AS step_before;

-- What must hold of this database: a view inv_<number>_<name> gives what violates it, and nothing else. Its comment
-- is the kind (A always, Q when quiet, L within a bound) and the statement.

CREATE VIEW inv_9_saga_events_are_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass('saga_event') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'saga_event_is_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_saga_events_are_append_only IS 'A: A trigger refuses every change of a saga''s event.';

CREATE VIEW inv_16_orders_have_their_sagas AS
SELECT coalesce('ord_' || o.id, 'sag_' || s.id) AS id,
       CASE WHEN o.id IS NULL THEN 'drives no order' ELSE 'is driven by no saga' END AS detail
  FROM orders o FULL JOIN saga s ON s.id = o.saga_id AND s.order_id = o.id
 WHERE o.id IS NULL OR s.id IS NULL;
COMMENT ON VIEW inv_16_orders_have_their_sagas IS 'A: Every order is driven by one saga, and every saga drives one order.';

-- Operators may hold a saga, and give one that was parked a new chance; then it has two hours more.
CREATE VIEW inv_17_sagas_come_to_rest AS
SELECT 'sag_' || s.id AS id, format('is %s at step %s since %s, past its deadline of %s',
       CASE s.phase WHEN 1 THEN 'running' ELSE 'compensating' END, s.step, s.updated_at, s.deadline) AS detail
  FROM saga s
 WHERE s.phase IN (1, 2) AND s.deadline < now() - interval '2 hours' AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.at > now() - interval '2 hours'
       AND e.type IN ('resumed', 'retried', 'step_resolved', 'step_ruled_out', 'step_skipped'))
   AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.type = 'paused' AND NOT EXISTS (
        SELECT FROM saga_event r WHERE r.saga_id = s.id AND r.type = 'resumed' AND r.seq > e.seq));
COMMENT ON VIEW inv_17_sagas_come_to_rest IS
    'L: Two hours after its deadline, or after an operator let it go on, a saga is at rest, unless it is paused.';

CREATE VIEW inv_18_events_have_no_gaps AS
SELECT 'sag_' || s.id AS id,
       format('has %s events, numbered %s to %s', count(e.seq), coalesce(min(e.seq), 0), coalesce(max(e.seq), 0)) AS detail
  FROM saga s LEFT JOIN saga_event e ON e.saga_id = s.id
 GROUP BY s.id HAVING count(e.seq) = 0 OR min(e.seq) <> 1 OR max(e.seq) <> count(e.seq);
COMMENT ON VIEW inv_18_events_have_no_gaps IS 'A: The events of a saga are numbered from 1 without gaps.';

-- Each event with the phase that it leads to: the way back begins with the decision, and parking interrupts either way.
CREATE VIEW saga_event_phase AS
SELECT d.saga_id, d.seq, d.type, d.decisions,
       CASE d.type WHEN 'completed' THEN 3 WHEN 'compensated' THEN 4 WHEN 'parked' THEN 5
                   ELSE CASE WHEN d.decisions > 0 THEN 2 ELSE 1 END END AS phase
  FROM (SELECT e.saga_id, e.seq, e.type,
               count(*) FILTER (WHERE e.type = 'compensation_decided') OVER (PARTITION BY e.saga_id ORDER BY e.seq) AS decisions
          FROM saga_event e) d;

CREATE VIEW inv_18_transitions_are_legal AS
SELECT 'sag_' || p.saga_id AS id, format('event %s, %s, cannot follow on %s', p.seq, p.type, coalesce(p.after, 'nothing')) AS detail
  FROM (SELECT e.saga_id, e.seq, e.type, e.decisions,
               lag(e.type) OVER (PARTITION BY e.saga_id ORDER BY e.seq) AS after,
               coalesce(lag(e.phase) OVER (PARTITION BY e.saga_id ORDER BY e.seq), 0) AS phase
          FROM saga_event_phase e) p
 WHERE (p.type = 'compensation_decided' AND p.decisions > 1)
    OR NOT (p.phase = 0 AND p.type = 'started'
         OR p.phase = 1 AND p.type IN ('step_done', 'step_refused', 'step_unknown', 'step_ruled_out', 'compensation_decided', 'completed')
         OR p.phase = 2 AND p.type IN ('step_compensated', 'compensation_unknown', 'compensated')
         OR p.phase IN (1, 2) AND p.type IN ('parked', 'paused', 'resumed')
         OR p.phase IN (1, 2, 5) AND p.type IN ('retried', 'step_resolved', 'step_skipped')
         OR p.phase = 5 AND p.type IN ('compensation_decided', 'step_ruled_out'));
COMMENT ON VIEW inv_18_transitions_are_legal IS
    'A: A saga starts once, goes forward until it turns back once, and nothing follows on its end; a parked one waits for an operator.';

CREATE VIEW inv_18_rows_are_their_events AS
WITH folded AS (
    SELECT DISTINCT ON (p.saga_id) p.saga_id, p.seq, p.phase, (e.detail ->> 'retry_at')::timestamptz AS next_at
      FROM saga_event_phase p JOIN saga_event e ON e.saga_id = p.saga_id AND e.seq = p.seq
     ORDER BY p.saga_id, p.seq DESC
), caused AS (
    SELECT DISTINCT ON (e.saga_id) e.saga_id, e.detail ->> 'cause' AS cause
      FROM saga_event e WHERE e.type IN ('compensation_decided', 'parked') ORDER BY e.saga_id, e.seq DESC
)
SELECT 'sag_' || s.id AS id,
       format('the row says event %s, phase %s, step %s, next %s, cause %s; the events say %s, %s, next %s, cause %s',
              s.seq, s.phase, quote_literal(s.step), s.next_at, quote_literal(s.cause),
              f.seq, f.phase, f.next_at, quote_literal(coalesce(c.cause, ''))) AS detail
  FROM saga s JOIN folded f ON f.saga_id = s.id LEFT JOIN caused c ON c.saga_id = s.id
 WHERE s.seq <> f.seq OR s.phase <> f.phase OR s.cause <> CASE WHEN f.phase IN (1, 3) THEN '' ELSE coalesce(c.cause, '') END
    OR (s.step = '') <> (s.phase IN (3, 4))
    OR date_trunc('milliseconds', s.next_at) IS DISTINCT FROM date_trunc('milliseconds', f.next_at);
COMMENT ON VIEW inv_18_rows_are_their_events IS
    'A: The row of a saga says what its events come to: their number, the phase, the cause and when it goes on.';

-- What became of the steps of sagas that turned back: what was known of each when the decision fell, and when, if it
-- was, it was undone. A step without an event of its own was open and came last.
CREATE VIEW saga_step_back AS
SELECT d.saga_id, d.seq AS decided, e.step,
       max(e.seq) FILTER (WHERE e.seq < d.seq) AS went,
       (array_agg(e.type ORDER BY e.seq DESC) FILTER (WHERE e.seq < d.seq))[1] AS was,
       min(e.seq) FILTER (WHERE e.seq > d.seq AND e.type IN ('step_compensated', 'step_resolved', 'step_skipped')) AS undone
  FROM saga_event d JOIN saga_event e ON e.saga_id = d.saga_id AND e.step <> ''
 WHERE d.type = 'compensation_decided'
 GROUP BY d.saga_id, d.seq, e.step;

CREATE VIEW inv_19_all_that_may_be_done_is_undone AS
SELECT 'sag_' || b.saga_id AS id, format('is compensated, and step %s, %s, is not', b.step, replace(b.was, 'step_', '')) AS detail
  FROM saga_step_back b
 WHERE b.was IN ('step_done', 'step_unknown', 'step_resolved') AND b.undone IS NULL
   AND EXISTS (SELECT FROM saga_event e WHERE e.saga_id = b.saga_id AND e.type = 'compensated');
COMMENT ON VIEW inv_19_all_that_may_be_done_is_undone IS
    'A: A saga that ended as compensated has compensated every step that was done or may have been.';

CREATE VIEW inv_20_steps_are_done_once AS
SELECT 'sag_' || e.saga_id AS id, format('step %s is %s %s times', e.step, replace(e.type, 'step_', ''), count(*)) AS detail
  FROM saga_event e WHERE e.type IN ('step_done', 'step_compensated')
 GROUP BY e.saga_id, e.step, e.type HAVING count(*) > 1;
COMMENT ON VIEW inv_20_steps_are_done_once IS 'A: No step of a saga is recorded as done, or as compensated, more than once.';

CREATE VIEW inv_21_decided_before_compensating AS
SELECT DISTINCT ON (e.saga_id) 'sag_' || e.saga_id AS id,
       format('event %s, %s %s, has no decision with a cause before it', e.seq, e.type, e.step) AS detail
  FROM saga_event e
 WHERE e.type IN ('step_compensated', 'compensation_unknown', 'compensated') AND NOT EXISTS (
    SELECT FROM saga_event d WHERE d.saga_id = e.saga_id AND d.type = 'compensation_decided' AND d.seq < e.seq
       AND d.detail ->> 'cause' <> '')
 ORDER BY e.saga_id, e.seq;
COMMENT ON VIEW inv_21_decided_before_compensating IS
    'A: The decision to compensate is recorded, with its cause, before anything is recorded as compensated.';

CREATE VIEW inv_21_compensated_in_reverse AS
SELECT 'sag_' || o.saga_id AS id, format('step %s was compensated after step %s, which came before it', o.step, o.after_step) AS detail
  FROM (SELECT b.saga_id, b.step, coalesce(b.went, b.decided) AS went,
               lag(b.step) OVER (PARTITION BY b.saga_id ORDER BY b.undone) AS after_step,
               lag(coalesce(b.went, b.decided)) OVER (PARTITION BY b.saga_id ORDER BY b.undone) AS after_went
          FROM saga_step_back b WHERE b.undone IS NOT NULL) o
 WHERE o.went > o.after_went;
COMMENT ON VIEW inv_21_compensated_in_reverse IS 'A: Steps are compensated in the reverse of the order in which they were taken.';

CREATE VIEW inv_21_never_back_past_the_pivot AS
SELECT 'sag_' || d.saga_id AS id, format('compensation was decided at event %s, after the pivot %s was done', d.seq, p.step) AS detail
  FROM saga_event d JOIN saga s ON s.id = d.saga_id
  JOIN saga_pivot p ON p.definition = s.definition AND p.version = s.version
 WHERE d.type = 'compensation_decided' AND EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = d.saga_id AND e.step = p.step AND e.type IN ('step_done', 'step_resolved') AND e.seq < d.seq);
COMMENT ON VIEW inv_21_never_back_past_the_pivot IS 'A: Compensation is never decided after the pivot was done.';

CREATE VIEW inv_22_unknown_is_no_refusal AS
SELECT 'sag_' || b.saga_id AS id,
       format('compensation was decided at event %s, when the pivot %s may have been done and was not refused', b.decided, p.step) AS detail
  FROM saga_step_back b JOIN saga s ON s.id = b.saga_id
  JOIN saga_pivot p ON p.definition = s.definition AND p.version = s.version AND p.step_before = b.step
 WHERE b.was IN ('step_done', 'step_resolved') AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = b.saga_id AND e.step = p.step AND e.seq < b.decided
       AND e.type IN ('step_done', 'step_resolved', 'step_refused', 'step_ruled_out') AND NOT EXISTS (
        SELECT FROM saga_event r WHERE r.saga_id = e.saga_id AND r.seq > e.seq AND r.seq < b.decided
           AND r.type IN ('step_unknown', 'retried')));
COMMENT ON VIEW inv_22_unknown_is_no_refusal IS 'A: Once the pivot may have been sent, only its refusal turns a saga back.';

-- An operator who retries grants new patience.
CREATE VIEW inv_23_attempts_are_bounded AS
SELECT 'sag_' || e.saga_id AS id, format('%s of step %s: %s times', e.type, e.step, count(*)) AS detail
  FROM (SELECT a.saga_id, a.step, a.type,
               count(*) FILTER (WHERE a.type = 'retried') OVER (PARTITION BY a.saga_id ORDER BY a.seq) AS patience
          FROM saga_event a) e
 WHERE e.type IN ('step_unknown', 'compensation_unknown')
 GROUP BY e.saga_id, e.step, e.type, e.patience HAVING count(*) > 60;
COMMENT ON VIEW inv_23_attempts_are_bounded IS
    'A: No step is executed or compensated more than 60 times without a known outcome before a person looks.';

CREATE VIEW inv_36_operators_leave_a_record AS
SELECT 'sag_' || e.saga_id AS id, format('event %s, %s, has no record of who and why', e.seq, e.type) AS detail
  FROM saga_event e
 WHERE (e.type IN ('paused', 'resumed', 'retried', 'step_resolved', 'step_ruled_out', 'step_skipped')
        OR e.type = 'compensation_decided' AND e.detail ->> 'cause' LIKE 'decided by %')
   AND NOT EXISTS (SELECT FROM operator_action a WHERE a.saga_id = e.saga_id AND a.seq = e.seq);
COMMENT ON VIEW inv_36_operators_leave_a_record IS 'A: Whatever an operator did to a saga has a record of who did it, and why.';
