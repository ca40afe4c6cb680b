-- +goose Up
-- What a movement was before it was converted into the currency of its partition, with the same sign; NULL where nobody told of it.
-- The check is not run on the rows that are there: none has what it is about.
ALTER TABLE movement ADD COLUMN original_minor bigint, ADD COLUMN original_currency text;
ALTER TABLE movement ADD CONSTRAINT movement_original CHECK (
    (original_minor IS NULL) = (original_currency IS NULL) AND original_currency ~ '^[A-Z]{3}$') NOT VALID;
