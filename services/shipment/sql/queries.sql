-- name: InsertShipment :exec
-- Two first requests under one key meet here: the second waits for the first, and then writes nothing. Its
-- idempotency row, which is always written with the shipment, tells it so.
INSERT INTO shipment (id, state, reference, address, carrier_key)
VALUES (@id, 1, @reference, @address, @carrier_key)
ON CONFLICT (carrier_key) DO NOTHING;

-- name: LockShipment :one
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at
  FROM shipment WHERE id = @id FOR UPDATE;

-- name: PutOutcome :one
UPDATE shipment
   SET state = @state, tracking_number = @tracking_number, refusal_reason = @refusal_reason, updated_at = now()
 WHERE id = @id
RETURNING updated_at;

-- name: GetShipment :one
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at
  FROM shipment WHERE id = @id;

-- name: ListShipments :many
-- Ids are UUIDv7: by id is by time.
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at
  FROM shipment WHERE id < @before ORDER BY id DESC LIMIT @n;
