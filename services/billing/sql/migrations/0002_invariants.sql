-- +goose Up
-- What must hold of this database; see the orchestrator's.

CREATE VIEW inv_41_batches_count_their_items AS
SELECT 'bat_' || b.id AS id,
       format('has %s planned, %s running, %s succeeded, %s failed, %s unknown and %s cancelled items; its row says %s, %s, %s, %s, %s, %s',
              coalesce(i.planned, 0), coalesce(i.running, 0), coalesce(i.succeeded, 0), coalesce(i.failed, 0), coalesce(i.unknown, 0), coalesce(i.cancelled, 0),
              b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled) AS detail
  FROM batch b LEFT JOIN (
    SELECT batch_id, count(*) FILTER (WHERE state = 1) AS planned, count(*) FILTER (WHERE state = 2) AS running,
           count(*) FILTER (WHERE state = 3) AS succeeded, count(*) FILTER (WHERE state = 4) AS failed,
           count(*) FILTER (WHERE state = 5) AS unknown, count(*) FILTER (WHERE state = 6) AS cancelled
      FROM batch_item GROUP BY batch_id) i ON i.batch_id = b.id
 WHERE b.state > 0 AND (b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled) IS DISTINCT FROM
       (coalesce(i.planned, 0), coalesce(i.running, 0), coalesce(i.succeeded, 0), coalesce(i.failed, 0), coalesce(i.unknown, 0), coalesce(i.cancelled, 0));
COMMENT ON VIEW inv_41_batches_count_their_items IS 'A: The counters of a batch are the numbers of its items in each state.';

CREATE VIEW inv_42_batches_sum_their_items AS
SELECT 'bat_' || coalesce(s.batch_id, i.batch_id) || ' ' || coalesce(s.currency, i.currency) AS id,
       format('%s items of %s, %s of %s taken; its items come to %s of %s, %s of %s taken', s.items, s.sum_minor, s.collected_items,
              s.collected_minor, i.items, i.sum_minor, i.collected_items, i.collected_minor) AS detail
  FROM batch_sum s FULL JOIN (
    SELECT i.batch_id, i.currency, count(*) AS items, sum(i.amount_minor) AS sum_minor,
           count(*) FILTER (WHERE i.state = 3) AS collected_items, coalesce(sum(i.amount_minor) FILTER (WHERE i.state = 3), 0) AS collected_minor
      FROM batch_item i JOIN batch b ON b.id = i.batch_id AND b.state > 0
     GROUP BY i.batch_id, i.currency) i ON i.batch_id = s.batch_id AND i.currency = s.currency
 WHERE (s.items, s.sum_minor, s.collected_items, s.collected_minor) IS DISTINCT FROM (i.items, i.sum_minor, i.collected_items, i.collected_minor);
COMMENT ON VIEW inv_42_batches_sum_their_items IS 'A: The sums of a batch, planned and taken, are those of its items.';

CREATE VIEW inv_43_ended_batches_are_proven AS
SELECT 'bat_' || b.id AS id, coalesce('its proof says: ' || nullif(p.difference, ''), 'has ended, and its totals are not proven') AS detail
  FROM batch b LEFT JOIN LATERAL (
    SELECT difference, proven_at, plan_hash FROM batch_proof WHERE batch_id = b.id ORDER BY number DESC LIMIT 1) p ON true
 WHERE b.state IN (4, 5) AND b.items > 0 AND b.started_at IS NOT NULL AND (p.difference IS NULL OR p.difference <> '' OR p.plan_hash <> b.plan_hash);
COMMENT ON VIEW inv_43_ended_batches_are_proven IS 'A: The totals of a batch that was started and has ended are proven, and hold.';

CREATE VIEW inv_44_feeding_leaves_nothing_behind AS
SELECT 'bat_' || i.batch_id || ' line ' || i.line AS id, format('is planned, and its batch was fed through line %s', b.fed_through) AS detail
  FROM batch_item i JOIN batch b ON b.id = i.batch_id
 WHERE i.state = 1 AND b.state > 0 AND i.line <= b.fed_through;
COMMENT ON VIEW inv_44_feeding_leaves_nothing_behind IS 'A: Every item up to the line that a batch was fed through was started, or cancelled.';

CREATE VIEW inv_36_operators_leave_a_record AS
SELECT 'bat_' || b.id AS id, 'was started or cancelled, and there is no record of who did it' AS detail
  FROM batch b
 WHERE (b.started_at IS NOT NULL AND NOT EXISTS (SELECT FROM operator_action a WHERE a.target = 'bat_' || b.id AND a.verb = 'start'))
    OR (b.cancelled_at IS NOT NULL AND NOT EXISTS (SELECT FROM operator_action a WHERE a.target = 'bat_' || b.id AND a.verb IN ('cancel', 'cut off')));
COMMENT ON VIEW inv_36_operators_leave_a_record IS 'A: Whatever a person did to a batch has a record of who did it, and why.';
