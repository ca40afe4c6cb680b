-- +goose Up
-- Marking an event as published wrote it into the index of those that are not, and so into both indexes again. Now the
-- row is changed in place: what is unpublished is found behind published_to, by the primary key.
ALTER TABLE outbox SET (fillfactor = 50);
DROP INDEX outbox_unpublished;

-- published_to is the sequence up to which everything is published, or was never committed. While this runs nobody
-- writes to outbox, so that no sequence is under way.
ALTER TABLE outbox_stream ADD COLUMN published_to bigint NOT NULL DEFAULT 0 CHECK (published_to >= 0);
UPDATE outbox_stream SET published_to = coalesce(
    (SELECT min(seq) - 1 FROM outbox WHERE published_at IS NULL), (SELECT max(seq) FROM outbox), 0);
