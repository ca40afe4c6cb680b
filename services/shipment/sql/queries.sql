-- name: InsertShipments :exec
-- Two first requests under one key meet here: the second waits for the first, and then writes nothing. Its
-- idempotency row, which is always written with the shipment, tells it so. In one order for all, so that none waits
-- for another in a circle.
INSERT INTO shipment (id, state, reference, address, carrier_key, carrier, service_level)
SELECT id, 1, reference, address, carrier_key, carrier, service_level
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@refs::text[]) AS reference, unnest(@addresses::jsonb[]) AS address,
               unnest(@carrier_keys::text[]) AS carrier_key, unnest(@carriers::text[]) AS carrier,
               unnest(@service_levels::smallint[]) AS service_level) AS s
 ORDER BY carrier_key
ON CONFLICT (carrier_key) DO NOTHING;

-- name: FindParcels :many
-- OFFSET 0 keeps it one index lookup each: as a join it would be planned while the table is small, and would read all
-- of it when it has grown.
SELECT s.id, s.state, s.reference, s.address, s.carrier_key, s.carrier, s.service_level
  FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
 CROSS JOIN LATERAL (SELECT id, state, reference, address, carrier_key, carrier, service_level
                       FROM shipment WHERE id = n.id OFFSET 0) AS s;

-- name: LockShipments :many
-- In one order for all, so that none waits for another in a circle.
SELECT s.id, s.state FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) AS n
 CROSS JOIN LATERAL (SELECT id, state FROM shipment WHERE id = n.id FOR NO KEY UPDATE) AS s;

-- name: FindHandedOver :many
SELECT s.carrier_key FROM (SELECT unnest(@carrier_keys::text[]) AS carrier_key) AS n
 CROSS JOIN LATERAL (SELECT carrier_key, state FROM shipment WHERE carrier_key = n.carrier_key OFFSET 0) AS s
 WHERE s.state >= 5;

-- name: PutOutcomes :many
-- What came of shipments that are locked. A number and a reason are kept when none is given. They are found by their
-- place in the table, which is looked up as above.
UPDATE shipment AS s
   SET state = o.state, refusal_reason = coalesce(NULLIF(o.refusal_reason, ''), s.refusal_reason), updated_at = now(),
       tracking_number = coalesce(NULLIF(o.tracking_number, ''), s.tracking_number)
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state,
               unnest(@tracking_numbers::text[]) AS tracking_number, unnest(@refusal_reasons::text[]) AS refusal_reason) AS o
 WHERE s.id = o.id AND s.ctid = ANY (ARRAY (
       SELECT r.ctid FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
        CROSS JOIN LATERAL (SELECT ctid FROM shipment WHERE id = n.id OFFSET 0) AS r))
RETURNING s.id, s.state, s.reference, s.address, s.tracking_number, s.refusal_reason, s.created_at, s.updated_at, s.carrier,
          s.service_level;

-- name: GetShipment :one
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at, carrier, service_level
  FROM shipment WHERE id = @id;

-- name: ListShipments :many
-- Ids are UUIDv7: by id is by time.
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at, carrier, service_level
  FROM shipment WHERE id < @before ORDER BY id DESC LIMIT @n;
