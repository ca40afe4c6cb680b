-- +goose Up
-- A view inv_<number>_<name> gives what violates an invariant, and nothing else. Its comment is the kind (A always,
-- Q when quiet, L within a bound) and the statement.
CREATE VIEW inv_28_given_up_is_done AS
SELECT d.id::text AS id, format('event %s of consumer %s is a dead letter and could still take effect', d.event_id, d.consumer) AS detail
  FROM dead_letter d
 WHERE d.event_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = d.consumer AND i.event_id = d.event_id);
COMMENT ON VIEW inv_28_given_up_is_done IS 'A: An event that became a dead letter is marked as seen, and takes no effect by itself any more.';

CREATE VIEW inv_32_no_dead_letters AS
SELECT d.id::text AS id, format('%s at consumer %s since %s: %s', d.subject, d.consumer, d.created_at, d.error) AS detail
  FROM dead_letter d;
COMMENT ON VIEW inv_32_no_dead_letters IS 'Q: No event waits as a dead letter for a person to look at.';
