-- +goose Up
-- A view inv_<number>_<name> gives what violates an invariant, and nothing else. Its comment is the kind (A always,
-- Q when quiet, L within a bound) and the statement.
CREATE VIEW inv_27_events_are_published AS
SELECT o.id::text AS id, format('%s.%s of %s, written at %s, is not published', o.entity, o.name, o.subject, o.written_at) AS detail
  FROM outbox o WHERE o.published_at IS NULL AND o.written_at < now() - interval '5 minutes';
COMMENT ON VIEW inv_27_events_are_published IS 'Q: Every event is in the stream five minutes after it was written.';
