-- name: LockLevels :many
-- Holds the levels of some SKUs to the end of the transaction, always in the same order, so that two takers
-- never wait for each other. The time is that of the transaction.
SELECT sku, available, reserved, shipped, adjusted, version, now()::timestamptz AS now
  FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku FOR UPDATE;

-- name: InsertStockEvents :exec
-- Events in their order, and what each belongs to: an adjustment to its action, others to their reservation; those of
-- neither have the zero id.
INSERT INTO stock_event (sku, type, quantity, reservation_id, action_id)
SELECT sku, type, quantity, CASE WHEN type <> 5 THEN cause END, CASE WHEN type = 5 THEN cause END
  FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@types::smallint[]) AS type, unnest(@quantities::bigint[]) AS quantity,
               NULLIF(unnest(@causes::uuid[]), '00000000-0000-0000-0000-000000000000') AS cause) AS e;

-- name: PutLevels :exec
-- Levels are written as the pure aggregate folded them, under the locks of LockLevels: they are there, so that none
-- is inserted, and each is found through the primary key whatever the plan. A trigger raises their versions by one.
INSERT INTO stock_level (sku, available, reserved, shipped, adjusted)
SELECT unnest(@skus::text[]), unnest(@available::bigint[]), unnest(@reserved::bigint[]), unnest(@shipped::bigint[]),
       unnest(@adjusted::bigint[])
ON CONFLICT (sku) DO UPDATE
   SET available = excluded.available, reserved = excluded.reserved, shipped = excluded.shipped,
       adjusted = excluded.adjusted, updated_at = now();

-- name: CreateLevels :many
-- The levels of SKUs that become known. Fewer rows than SKUs: somebody else made one of them known first.
INSERT INTO stock_level (sku, available, reserved, shipped, adjusted)
SELECT sku, available, reserved, shipped, adjusted
  FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@available::bigint[]) AS available, unnest(@reserved::bigint[]) AS reserved,
               unnest(@shipped::bigint[]) AS shipped, unnest(@adjusted::bigint[]) AS adjusted) AS l
 ORDER BY sku
ON CONFLICT (sku) DO NOTHING
RETURNING sku, version, updated_at;

-- name: GetLevels :many
SELECT sku, available, reserved, shipped, updated_at, adjusted, version FROM stock_level WHERE sku = ANY (@skus::text[]) ORDER BY sku;

-- name: ListLevels :many
SELECT sku, available, reserved, shipped, updated_at, adjusted, version FROM stock_level WHERE sku > @after::text ORDER BY sku LIMIT @n;

-- name: InsertReservations :exec
-- Reservations, and beside them their lines, each with the id of its reservation. Those that do not expire have the zero
-- time.
INSERT INTO reservation (id, reference, state, skus, quantities, expires_at)
SELECT r.id, r.reference, 1, array_agg(l.sku ORDER BY l.n), array_agg(l.quantity ORDER BY l.n), r.expires_at
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@refs::text[]) AS reference,
               NULLIF(unnest(@expire_at::timestamptz[]), '0001-01-01T00:00:00Z') AS expires_at) AS r
  JOIN (SELECT unnest(@line_ids::uuid[]) AS id, unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity,
               generate_subscripts(@line_ids::uuid[], 1) AS n) AS l ON l.id = r.id
 GROUP BY r.id, r.reference, r.expires_at;

-- name: LockReservations :many
-- Holds reservations to the end of the transaction, always in the same order. OFFSET 0 keeps it one index lookup
-- each: as a join it would be planned while the table is small, and would read all of it when it has grown.
SELECT r.id, r.reference, r.state, r.skus, r.quantities, r.expires_at
  FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) AS n
 CROSS JOIN LATERAL (
       SELECT id, reference, state, skus, quantities, expires_at FROM reservation WHERE id = n.id OFFSET 0 FOR UPDATE) AS r;

-- name: GetReservations :many
SELECT id, reference, state, skus, quantities, expires_at FROM reservation WHERE id = ANY (@ids::uuid[]);

-- name: SetReservationStates :exec
-- For rows that are locked; by their place in the table, for the same reason.
UPDATE reservation SET state = @state, expires_at = NULL, updated_at = now()
 WHERE ctid = ANY (ARRAY (
       SELECT r.ctid FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
        CROSS JOIN LATERAL (SELECT ctid FROM reservation WHERE id = n.id OFFSET 0) AS r));

-- name: InsertActions :exec
INSERT INTO operator_action (id, actor, verb, sku, reason)
SELECT unnest(@ids::uuid[]), unnest(@actors::text[]), unnest(@verbs::text[]), unnest(@skus::text[]), unnest(@reasons::text[]);

-- name: EnsureLevel :exec
-- A SKU becomes known before any piece of it has come.
INSERT INTO stock_level (sku, available, reserved, shipped) VALUES (@sku, 0, 0, 0) ON CONFLICT (sku) DO NOTHING;

-- name: PutItem :one
INSERT INTO item (sku, description, unit) VALUES (@sku, @description, @unit)
ON CONFLICT (sku) DO UPDATE SET description = excluded.description, unit = excluded.unit, updated_at = now()
RETURNING created_at, updated_at, version;

-- name: ListItems :many
-- Every known SKU is an item, also when nobody said anything about it.
SELECT l.sku, coalesce(i.description, '')::text AS description, coalesce(i.unit, @default_unit)::text AS unit,
       i.created_at, i.updated_at
  FROM stock_level l LEFT JOIN item i ON i.sku = l.sku
 WHERE l.sku > @after::text ORDER BY l.sku LIMIT @n;

-- name: GetItems :many
-- The version of an item that nobody spoke about is 1.
SELECT l.sku, coalesce(i.description, '')::text AS description, coalesce(i.unit, @default_unit)::text AS unit,
       i.created_at, i.updated_at, (1 + coalesce(i.version, 0))::bigint AS version
  FROM stock_level l LEFT JOIN item i ON i.sku = l.sku
 WHERE l.sku = ANY (@skus::text[]);

-- name: Now :one
-- The time of the transaction, by the clock that decides what has expired.
SELECT now()::timestamptz;

-- name: DueReservations :many
SELECT id FROM reservation WHERE expires_at <= now() AND state = 1 ORDER BY expires_at LIMIT @n;

-- name: GetEventAsOf :one
-- The last event of a SKU up to a time.
SELECT id, at FROM stock_event WHERE sku = @sku AND at <= @as_of ORDER BY id DESC LIMIT 1;

-- name: GetEvent :one
SELECT id, at FROM stock_event WHERE id = @id AND sku = @sku;

-- name: TotalsUpTo :many
SELECT type, sum(quantity)::bigint AS quantity FROM stock_event WHERE sku = @sku AND id <= @last GROUP BY type;

-- name: ListStockEvents :many
-- The newest first. Actions are there for corrections only.
SELECT e.id, e.sku, e.type, e.quantity, e.reservation_id, e.at, e.action_id,
       coalesce(a.actor, '')::text AS actor, coalesce(a.reason, '')::text AS reason
  FROM stock_event e LEFT JOIN operator_action a ON a.id = e.action_id
 WHERE e.sku = @sku AND e.id < @before AND e.at >= @since AND e.at < @until
 ORDER BY e.id DESC LIMIT @n;

-- name: KnownSKUs :many
-- SKUs that have a level, or events, or both; those of the events by a look into the index for each.
WITH RECURSIVE happened AS (
    (SELECT e.sku FROM stock_event e WHERE e.sku > @after::text ORDER BY e.sku LIMIT 1)
    UNION ALL
    SELECT (SELECT e.sku FROM stock_event e WHERE e.sku > h.sku ORDER BY e.sku LIMIT 1) FROM happened h WHERE h.sku IS NOT NULL
)
SELECT k.sku::text AS sku FROM (
    (SELECT h.sku FROM happened h WHERE h.sku IS NOT NULL LIMIT @n)
    UNION
    (SELECT l.sku FROM stock_level l WHERE l.sku > @after::text ORDER BY l.sku LIMIT @n)) AS k
 ORDER BY k.sku LIMIT @n;

-- name: EventsOfSKUs :many
-- The events of the SKUs behind one place up to a last SKU, by SKU and in their order.
SELECT sku, id, type, quantity FROM stock_event
 WHERE (sku, id) > (@after_sku::text, @after_id::bigint) AND sku <= @last_sku::text
 ORDER BY sku, id LIMIT @n;

-- name: LockProjection :one
SELECT xid::text AS xid, event_id FROM projection WHERE name = @name FOR UPDATE;

-- name: ProjectMovements :one
-- Up to N events behind a place, and the place with them. Only of transactions older than all that run: no more can come.
WITH batch AS (
    SELECT e.xid, e.id, e.sku, (e.at AT TIME ZONE 'UTC')::date AS day, e.type, e.quantity FROM stock_event e
     WHERE (e.xid, e.id) > ((@xid::text)::xid8, @event_id::bigint) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY e.xid, e.id LIMIT @n
), folded AS (
    INSERT INTO daily_movement AS d (sku, day, received, reserved, released, committed, adjusted, expired)
    SELECT b.sku, b.day, coalesce(sum(b.quantity) FILTER (WHERE b.type = 1), 0), coalesce(sum(b.quantity) FILTER (WHERE b.type = 2), 0),
           coalesce(sum(b.quantity) FILTER (WHERE b.type = 3), 0), coalesce(sum(b.quantity) FILTER (WHERE b.type = 4), 0),
           coalesce(sum(b.quantity) FILTER (WHERE b.type = 5), 0), coalesce(sum(b.quantity) FILTER (WHERE b.type = 6), 0)
      FROM batch b GROUP BY b.sku, b.day
    ON CONFLICT (sku, day) DO UPDATE
       SET received = d.received + excluded.received, reserved = d.reserved + excluded.reserved,
           released = d.released + excluded.released, committed = d.committed + excluded.committed,
           adjusted = d.adjusted + excluded.adjusted, expired = d.expired + excluded.expired
), moved AS (
    UPDATE projection p SET xid = l.xid, event_id = l.id
      FROM (SELECT b.xid, b.id FROM batch b ORDER BY b.xid DESC, b.id DESC LIMIT 1) AS l
     WHERE p.name = @name
)
SELECT count(*) FROM batch b;

-- name: ListMovements :many
SELECT d.sku, to_char(d.day, 'YYYY-MM-DD')::text AS day, d.received, d.reserved, d.released, d.committed, d.adjusted, d.expired
  FROM daily_movement d
 WHERE (@sku::text = '' OR d.sku = @sku::text) AND (d.sku, d.day) > (@after_sku::text, (@after_day::text)::date)
   AND d.day >= (@since::text)::date AND d.day < (@until::text)::date
 ORDER BY d.sku, d.day LIMIT @n;

-- name: IsBehind :one
-- Whether there is anything behind a projection's place, so that a round of an idle system writes nothing.
SELECT EXISTS (
    SELECT FROM stock_event e
     WHERE (e.xid, e.id) > ((SELECT p.xid FROM projection p WHERE p.name = @name), (SELECT p.event_id FROM projection p WHERE p.name = @name)));
