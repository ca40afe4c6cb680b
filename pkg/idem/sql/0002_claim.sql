-- +goose Up
-- Epoch is the highest fencing number under which the request was sent: a lower one is refused. 0 for none.
-- Claim is who works, or has worked, on a request that calls somebody else; with the attempt it tells the holder of
-- the lease, and lets a transaction whose COMMIT got no answer find what it did. NULL once the claim was given back.
ALTER TABLE idem ADD COLUMN epoch bigint NOT NULL DEFAULT 0, ADD COLUMN claim uuid;
