-- +goose Up
-- Replays is how often the row's answer, or its refusal, was given again. A transaction whose COMMIT got no answer is
-- applied again, and its replays may then be counted twice.
ALTER TABLE idem ADD COLUMN replays bigint NOT NULL DEFAULT 0;
