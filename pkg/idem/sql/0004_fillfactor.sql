-- +goose Up
-- A request that calls somebody else writes its row twice, the second time with the answer: room for that on the page
-- saves the wide key from being written to its index again.
ALTER TABLE idem SET (fillfactor = 35);
