-- +goose NO TRANSACTION
-- +goose Up
-- The order in which projections follow: every event of a transaction that is older than all that run is there.
DROP INDEX CONCURRENTLY IF EXISTS stock_event_by_xid;
CREATE INDEX CONCURRENTLY stock_event_by_xid ON stock_event (xid, id);
