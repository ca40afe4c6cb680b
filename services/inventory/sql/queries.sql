-- name: LockLevels :many
-- Holds the levels of some SKUs to the end of the transaction, always in the same order, so that two takers
-- never wait for each other.
SELECT sku, available, reserved, shipped FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku FOR UPDATE;

-- name: InsertStockEvents :exec
INSERT INTO stock_event (sku, type, quantity, reservation_id)
SELECT unnest(@skus::text[]), unnest(@types::smallint[]), unnest(@quantities::bigint[]), sqlc.narg(reservation_id)::uuid;

-- name: PutLevels :exec
-- Levels are written as the pure aggregate folded them, under the locks of LockLevels.
INSERT INTO stock_level (sku, available, reserved, shipped)
SELECT unnest(@skus::text[]), unnest(@available::bigint[]), unnest(@reserved::bigint[]), unnest(@shipped::bigint[])
ON CONFLICT (sku) DO UPDATE
   SET available = excluded.available, reserved = excluded.reserved, shipped = excluded.shipped, updated_at = now();

-- name: CreateLevels :exec
-- Makes SKUs known, so that they can be locked.
INSERT INTO stock_level (sku, available, reserved, shipped)
SELECT unnest(@skus::text[]), 0, 0, 0
ON CONFLICT (sku) DO NOTHING;

-- name: GetLevels :many
SELECT sku, available, reserved, shipped, updated_at FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku;

-- name: ListLevels :many
SELECT sku, available, reserved, shipped, updated_at FROM stock_level WHERE sku > @after::text ORDER BY sku LIMIT @n;

-- name: InsertReservation :exec
INSERT INTO reservation (id, reference, state, skus, quantities)
VALUES (@id, @reference, 1, @skus, @quantities);

-- name: LockReservation :one
SELECT id, reference, state, skus, quantities FROM reservation WHERE id = @id FOR UPDATE;

-- name: SetReservationState :exec
UPDATE reservation SET state = @state, updated_at = now() WHERE id = @id;
