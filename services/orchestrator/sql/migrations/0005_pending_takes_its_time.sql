-- +goose Up
-- That a participant has taken a step over is recorded once, however long it takes. Behind the point of no return, or on
-- the way back, it may take a week; before, the deadline ends it.
CREATE OR REPLACE VIEW inv_17_sagas_come_to_rest AS
SELECT 'sag_' || s.id AS id, format('is %s at step %s since %s, past its deadline of %s',
       CASE s.phase WHEN 1 THEN 'running' ELSE 'compensating' END, s.step, s.updated_at, s.deadline) AS detail
  FROM saga s
 WHERE s.phase IN (1, 2) AND s.deadline < now() - interval '2 hours' AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.at > now() - interval '2 hours'
       AND e.type IN ('resumed', 'retried', 'step_resolved', 'step_ruled_out', 'step_skipped'))
   AND NOT EXISTS (
    SELECT FROM saga_event e JOIN saga_pivot p ON p.definition = s.definition AND p.version = s.version
     WHERE e.saga_id = s.id AND e.seq = s.seq AND e.at > now() - interval '7 days'
       AND (e.type = 'compensation_pending' OR e.type = 'step_pending' AND (e.step = p.step OR EXISTS (
        SELECT FROM saga_event d WHERE d.saga_id = s.id AND d.step = p.step AND d.type IN ('step_done', 'step_resolved')))))
   AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.type = 'paused' AND NOT EXISTS (
        SELECT FROM saga_event r WHERE r.saga_id = s.id AND r.type = 'resumed' AND r.seq > e.seq));
COMMENT ON VIEW inv_17_sagas_come_to_rest IS
    'L: Two hours after its deadline, or after an operator let it go on, a saga is at rest, unless it is paused or, for up to a week, pending where it cannot turn back.';
