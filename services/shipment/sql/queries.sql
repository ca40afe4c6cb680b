-- name: InsertShipments :exec
-- Two first requests under one key meet here: the second waits for the first, and then writes nothing. Its
-- idempotency row, which is always written with the shipment, tells it so. In one order for all, so that none waits
-- for another in a circle.
INSERT INTO shipment (id, state, reference, address, carrier_key, carrier, service_level, caller, idempotency_key, default_carrier)
SELECT id, 1, reference, address, carrier_key, carrier, service_level, caller, idempotency_key, default_carrier
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@refs::text[]) AS reference, unnest(@addresses::jsonb[]) AS address,
               unnest(@carrier_keys::text[]) AS carrier_key, unnest(@carriers::text[]) AS carrier,
               unnest(@service_levels::smallint[]) AS service_level, unnest(@callers::text[]) AS caller,
               unnest(@idempotency_keys::text[]) AS idempotency_key, unnest(@default_carriers::boolean[]) AS default_carrier) AS s
 ORDER BY carrier_key
ON CONFLICT (carrier_key) DO NOTHING;

-- name: FindParcels :many
-- OFFSET 0 keeps it one index lookup each: as a join it would be planned while the table is small, and would read all
-- of it when it has grown.
SELECT s.id, s.state, s.reference, s.address, s.carrier_key, s.carrier, s.service_level, s.caller, s.idempotency_key,
       s.default_carrier, s.cancelling, s.by_operator
  FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
 CROSS JOIN LATERAL (SELECT id, state, reference, address, carrier_key, carrier, service_level, caller, idempotency_key,
                            default_carrier, cancelling, by_operator
                       FROM shipment WHERE id = n.id OFFSET 0) AS s;

-- name: LockShipments :many
-- In one order for all, so that none waits for another in a circle. The time is that of the transaction.
SELECT s.id, s.state, s.reference, s.address, s.tracking_number, s.refusal_reason, s.created_at, s.carrier, s.service_level,
       now()::timestamptz AS now
  FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) AS n
 CROSS JOIN LATERAL (SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, carrier, service_level
                       FROM shipment WHERE id = n.id FOR NO KEY UPDATE) AS s;

-- name: FindHandedOver :many
SELECT s.carrier_key FROM (SELECT unnest(@carrier_keys::text[]) AS carrier_key) AS n
 CROSS JOIN LATERAL (SELECT carrier_key, state FROM shipment WHERE carrier_key = n.carrier_key OFFSET 0) AS s
 WHERE s.state >= 5;

-- name: PutOutcomes :exec
-- What came of shipments that are locked. A number and a reason are kept when none is given. They are found by their
-- place in the table, which is looked up as above.
UPDATE shipment AS s
   SET state = o.state, refusal_reason = coalesce(NULLIF(o.refusal_reason, ''), s.refusal_reason), updated_at = now(),
       tracking_number = coalesce(NULLIF(o.tracking_number, ''), s.tracking_number)
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state,
               unnest(@tracking_numbers::text[]) AS tracking_number, unnest(@refusal_reasons::text[]) AS refusal_reason) AS o
 WHERE s.id = o.id AND s.ctid = ANY (ARRAY (
       SELECT r.ctid FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
        CROSS JOIN LATERAL (SELECT ctid FROM shipment WHERE id = n.id OFFSET 0) AS r));

-- name: GetShipment :one
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at, carrier, service_level
  FROM shipment WHERE id = @id;

-- name: ListShipments :many
-- Ids are UUIDv7: by id is by time.
SELECT id, state, reference, address, tracking_number, refusal_reason, created_at, updated_at, carrier, service_level
  FROM shipment
 WHERE id < @before AND (@state::smallint = 0 OR state = @state) AND (@reference::text = '' OR reference = @reference)
 ORDER BY id DESC LIMIT @n;

-- name: MarkCancelling :exec
-- From now on the resolver asks for the cancellation, if nobody else does. They are found as in PutOutcomes, and held in the
-- same order by all.
UPDATE shipment SET cancelling = true, updated_at = now(), looks = 0, look_at = now() + interval '30 seconds'
 WHERE ctid = ANY (ARRAY (
       SELECT r.ctid FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) AS n
        CROSS JOIN LATERAL (SELECT ctid FROM shipment WHERE id = n.id FOR NO KEY UPDATE) AS r));

-- name: FindTrackingEvents :many
SELECT e.shipment_id, e.seq, e.event_id FROM tracking_event e WHERE e.shipment_id = ANY (@shipment_ids::uuid[])
 ORDER BY e.shipment_id, e.seq;

-- name: InsertTrackingEvents :exec
-- What a carrier says of two shipments under one id is told of the first only.
INSERT INTO tracking_event (shipment_id, seq, carrier, event_id, state, detail, happened_at)
SELECT unnest(@shipment_ids::uuid[]), unnest(@seqs::int[]), unnest(@carriers::text[]), unnest(@event_ids::text[]),
       unnest(@states::smallint[]), unnest(@details::text[]), unnest(@happened_ats::timestamptz[])
ON CONFLICT (carrier, event_id) DO NOTHING;

-- name: Tracked :many
-- Shipments that are locked, of which something new was told: they are asked about soon again, unless they have ended.
UPDATE shipment AS s
   SET state = o.state, looks = 0, updated_at = now(), look_at = CASE WHEN o.state IN (2, 5, 6) THEN now() + interval '1 minute' END
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state) AS o
 WHERE s.id = o.id
RETURNING s.id, s.state, s.reference, s.address, s.tracking_number, s.refusal_reason, s.created_at, s.updated_at, s.carrier,
          s.service_level;

-- name: ListTrackingEvents :many
SELECT seq, event_id, state, detail, happened_at, created_at
  FROM tracking_event WHERE shipment_id = @shipment_id AND seq > @after ORDER BY seq LIMIT @n;

-- name: MarkByOperator :exec
-- Shipments that are locked.
UPDATE shipment SET by_operator = true WHERE id = ANY (@ids::uuid[]);

-- name: InsertActions :exec
INSERT INTO operator_action (id, actor, verb, reason, shipment_id, idempotency_key)
SELECT unnest(@ids::uuid[]), unnest(@actors::text[]), 'cancel', unnest(@reasons::text[]), unnest(@shipment_ids::uuid[]),
       unnest(@idempotency_keys::text[]);

-- name: GetCancellation :one
-- The last one that a person began.
SELECT actor, reason, idempotency_key FROM operator_action
 WHERE shipment_id = @shipment_id AND verb = 'cancel' ORDER BY at DESC, id DESC LIMIT 1;
