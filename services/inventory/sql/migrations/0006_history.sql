-- +goose NO TRANSACTION
-- +goose Up
-- The history of a SKU, for what asks about its past or adds it up again.
DROP INDEX CONCURRENTLY IF EXISTS stock_event_of_sku;
CREATE INDEX CONCURRENTLY stock_event_of_sku ON stock_event (sku, id);

-- The time at which an event is written, under the lock on its SKU's level, and not that of the transaction, which may
-- have waited for that lock: so the times of a SKU's events have the order of their ids.
ALTER TABLE stock_event ALTER COLUMN at SET DEFAULT clock_timestamp();
