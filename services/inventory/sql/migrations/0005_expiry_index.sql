-- +goose NO TRANSACTION
-- +goose Up
-- The state is no part of it, so that a change of state alone touches no index.
DROP INDEX CONCURRENTLY IF EXISTS reservation_expires;
CREATE INDEX CONCURRENTLY reservation_expires ON reservation (expires_at) WHERE expires_at IS NOT NULL;
