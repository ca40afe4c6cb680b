-- name: LockLevels :many
-- Holds the levels of some SKUs to the end of the transaction, always in the same order, so that two takers
-- never wait for each other.
SELECT sku, available, reserved, shipped FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku FOR UPDATE;

-- name: InsertStockEvents :exec
-- Events in their order; those of no reservation have the zero id.
INSERT INTO stock_event (sku, type, quantity, reservation_id)
SELECT sku, type, quantity, NULLIF(reservation_id, '00000000-0000-0000-0000-000000000000')
  FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@types::smallint[]) AS type,
               unnest(@quantities::bigint[]) AS quantity, unnest(@reservation_ids::uuid[]) AS reservation_id) AS e;

-- name: PutLevels :exec
-- Levels are written as the pure aggregate folded them, under the locks of LockLevels: they are there, so that none
-- is inserted, and each is found through the primary key whatever the plan.
INSERT INTO stock_level (sku, available, reserved, shipped)
SELECT unnest(@skus::text[]), unnest(@available::bigint[]), unnest(@reserved::bigint[]), unnest(@shipped::bigint[])
ON CONFLICT (sku) DO UPDATE
   SET available = excluded.available, reserved = excluded.reserved, shipped = excluded.shipped, updated_at = now();

-- name: CreateLevels :execrows
-- The levels of SKUs that become known. Fewer rows than SKUs: somebody else made one of them known first.
INSERT INTO stock_level (sku, available, reserved, shipped)
SELECT sku, available, reserved, shipped
  FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@available::bigint[]) AS available,
               unnest(@reserved::bigint[]) AS reserved, unnest(@shipped::bigint[]) AS shipped) AS l
 ORDER BY sku
ON CONFLICT (sku) DO NOTHING;

-- name: GetLevels :many
SELECT sku, available, reserved, shipped, updated_at FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku;

-- name: ListLevels :many
SELECT sku, available, reserved, shipped, updated_at FROM stock_level WHERE sku > @after::text ORDER BY sku LIMIT @n;

-- name: InsertReservations :exec
-- Reservations, and beside them their lines, each with the id of its reservation.
INSERT INTO reservation (id, reference, state, skus, quantities)
SELECT r.id, r.reference, 1, array_agg(l.sku ORDER BY l.n), array_agg(l.quantity ORDER BY l.n)
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@refs::text[]) AS reference) AS r
  JOIN (SELECT unnest(@line_ids::uuid[]) AS id, unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity,
               generate_subscripts(@line_ids::uuid[], 1) AS n) AS l ON l.id = r.id
 GROUP BY r.id, r.reference;

-- name: LockReservations :many
-- Holds reservations to the end of the transaction, always in the same order. OFFSET 0 keeps it one index lookup
-- each: as a join it would be planned while the table is small, and would read all of it when it has grown.
SELECT r.id, r.reference, r.state, r.skus, r.quantities
  FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) AS n
 CROSS JOIN LATERAL (
       SELECT id, reference, state, skus, quantities FROM reservation WHERE id = n.id OFFSET 0 FOR UPDATE) AS r;

-- name: SetReservationStates :exec
-- For rows that are locked; by their place in the table, for the same reason.
UPDATE reservation SET state = @state, updated_at = now()
 WHERE ctid = ANY (ARRAY (
       SELECT r.ctid FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
        CROSS JOIN LATERAL (SELECT ctid FROM reservation WHERE id = n.id OFFSET 0) AS r));
