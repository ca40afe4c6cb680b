-- +goose Up
-- What a break is about and its history are written in its transaction, tens of thousands at a time: to ask for the break of each row by
-- itself took longer than to write the rows. Breaks are never deleted, and the audit sees that nothing is without its break.
ALTER TABLE break_movement DROP CONSTRAINT break_movement_break_id_fkey;
ALTER TABLE break_event DROP CONSTRAINT break_event_break_id_fkey;

CREATE VIEW inv_73_what_is_of_a_break_has_one AS
SELECT 'brk_' || o.break_id AS id, 'is no break, and there is ' || string_agg(DISTINCT o.what, ' and ') || ' of it' AS detail
  FROM (SELECT break_id, 'a movement' AS what FROM break_movement UNION ALL SELECT break_id, 'an event' FROM break_event) o
 WHERE NOT EXISTS (SELECT FROM break b WHERE b.id = o.break_id)
 GROUP BY o.break_id;
COMMENT ON VIEW inv_73_what_is_of_a_break_has_one IS 'A: What a break is about, and its history, are of a break that is there.';
