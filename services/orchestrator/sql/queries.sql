-- name: InsertOrders :exec
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at)
SELECT unnest(@ids::uuid[]), unnest(@saga_ids::uuid[]), unnest(@customer_ids::text[]), unnest(@payment_methods::text[]),
       unnest(@currencies::text[]), unnest(@totals_minor::bigint[]), unnest(@lines::jsonb[]), unnest(@ship_tos::jsonb[]),
       unnest(@created_ats::timestamptz[]);

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

-- name: InsertSagas :exec
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, created_at)
SELECT unnest(@ids::uuid[]), unnest(@definitions::text[]), unnest(@versions::int[]), unnest(@order_ids::uuid[]),
       unnest(@phases::smallint[]), unnest(@steps::text[]), '', unnest(@seqs::int[]), unnest(@deadlines::timestamptz[]),
       unnest(@traceparents::text[]), unnest(@created_ats::timestamptz[]);

-- name: LockSagas :many
-- Holds the rows of some sagas to the end of the transaction, always in the same order, and tells their last events.
SELECT id, seq FROM saga WHERE id = ANY (@ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: InsertSagaEvents :exec
INSERT INTO saga_event (saga_id, seq, type, step, at, detail)
SELECT unnest(@saga_ids::uuid[]), unnest(@seqs::int[]), unnest(@types::text[]), unnest(@steps::text[]), unnest(@ats::timestamptz[]), unnest(@details::jsonb[]);

-- name: UpdateSagas :exec
-- A time to go on of year 1 means none.
UPDATE saga
   SET phase = u.phase, step = u.step, cause = u.cause, seq = u.seq, paused = u.paused,
       next_at = nullif(u.next_at, '0001-01-01 00:00:00+00'), updated_at = now()
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@phases::smallint[]) AS phase, unnest(@steps::text[]) AS step,
               unnest(@causes::text[]) AS cause, unnest(@seqs::int[]) AS seq, unnest(@pauseds::boolean[]) AS paused,
               unnest(@next_ats::timestamptz[]) AS next_at) u
 WHERE saga.id = u.id;

-- name: GetSaga :one
SELECT id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, paused, next_at, created_at, updated_at FROM saga WHERE id = @id;

-- name: GetSagaOfOrder :one
SELECT saga_id FROM orders WHERE id = @id;

-- name: ListSagaEvents :many
SELECT seq, type, step, at, detail FROM saga_event WHERE saga_id = @saga_id ORDER BY seq;

-- name: LiveSagas :many
-- What is to be driven; oldest first, for ids are UUIDv7.
SELECT id FROM saga WHERE phase IN (1, 2) AND NOT paused ORDER BY id;

-- name: InsertOperatorAction :exec
INSERT INTO operator_action (saga_id, seq, actor, verb, step, reason, evidence, at)
VALUES (@saga_id, @seq, @actor, @verb, @step, @reason, @evidence, @at);

-- name: InsertTimeline :exec
INSERT INTO timeline (order_id, event_id, at, service, type, subject)
SELECT unnest(@order_ids::uuid[]), unnest(@event_ids::uuid[]), unnest(@ats::timestamptz[]), unnest(@services::text[]), unnest(@types::text[]), unnest(@subjects::text[])
ON CONFLICT (order_id, event_id) DO NOTHING;

-- name: ListTimeline :many
SELECT event_id, at, service, type, subject FROM timeline WHERE order_id = @order_id ORDER BY at, event_id;

-- name: LoadSagas :many
SELECT s.id, s.definition, s.version, s.order_id, s.phase, s.step, s.cause, s.seq, s.deadline, s.traceparent, s.paused,
       s.at_risk, s.next_at, s.created_at, s.updated_at,
       o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at AS placed_at
  FROM saga s JOIN orders o ON o.id = s.order_id
 WHERE s.id = ANY (@ids::uuid[]);

-- name: ListEventsOfSagas :many
SELECT saga_id, seq, type, step, at, detail FROM saga_event WHERE saga_id = ANY (@saga_ids::uuid[]) ORDER BY saga_id, seq;
