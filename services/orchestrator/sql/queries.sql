-- name: InsertOrder :exec
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at)
VALUES (@id, @saga_id, @customer_id, @payment_method, @currency, @total_minor, @lines, @ship_to, @created_at);

-- name: GetOrder :one
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at
  FROM orders o JOIN saga s ON s.id = o.saga_id
 WHERE o.id = @id;

-- name: ListOrders :many
-- Newest first: ids are UUIDv7.
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at
  FROM orders o JOIN saga s ON s.id = o.saga_id
 WHERE o.id < @before
 ORDER BY o.id DESC LIMIT @n;

-- name: InsertSaga :exec
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, created_at)
VALUES (@id, @definition, @version, @order_id, @phase, @step, '', @seq, @deadline, @traceparent, @created_at);

-- name: InsertSagaEvents :exec
INSERT INTO saga_event (saga_id, seq, type, step, at, detail)
SELECT @saga_id::uuid, unnest(@seqs::int[]), unnest(@types::text[]), unnest(@steps::text[]), unnest(@ats::timestamptz[]), unnest(@details::jsonb[]);

-- name: UpdateSaga :exec
UPDATE saga SET phase = @phase, step = @step, cause = @cause, seq = @seq, next_at = @next_at, updated_at = now() WHERE id = @id;

-- name: GetSaga :one
SELECT id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, next_at, created_at, updated_at FROM saga WHERE id = @id;

-- name: GetSagaOfOrder :one
SELECT saga_id FROM orders WHERE id = @id;

-- name: ListSagaEvents :many
SELECT seq, type, step, at, detail FROM saga_event WHERE saga_id = @saga_id ORDER BY seq;

-- name: LiveSagas :many
-- What is to be driven; oldest first, for ids are UUIDv7.
SELECT id FROM saga WHERE phase IN (1, 2) ORDER BY id;

-- name: InsertTimeline :exec
INSERT INTO timeline (order_id, event_id, at, service, type, subject)
SELECT unnest(@order_ids::uuid[]), unnest(@event_ids::uuid[]), unnest(@ats::timestamptz[]), unnest(@services::text[]), unnest(@types::text[]), unnest(@subjects::text[])
ON CONFLICT (order_id, event_id) DO NOTHING;

-- name: ListTimeline :many
SELECT event_id, at, service, type, subject FROM timeline WHERE order_id = @order_id ORDER BY at, event_id;
