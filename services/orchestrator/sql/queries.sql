-- name: InsertOrders :exec
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at)
SELECT unnest(@ids::uuid[]), unnest(@saga_ids::uuid[]), unnest(@customer_ids::text[]), unnest(@payment_methods::text[]),
       unnest(@currencies::text[]), unnest(@totals_minor::bigint[]), unnest(@lines::jsonb[]), unnest(@ship_tos::jsonb[]),
       unnest(@created_ats::timestamptz[]);

-- name: GetOrder :one
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at, s.seq
  FROM orders o JOIN saga s ON s.id = o.saga_id
 WHERE o.id = @id;

-- name: GetOrderByAlias :one
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at, s.seq
  FROM order_alias a JOIN orders o ON o.id = a.order_id JOIN saga s ON s.id = o.saga_id
 WHERE a.id = @id;

-- name: InsertOrderAliases :exec
INSERT INTO order_alias (id, order_id) SELECT unnest(@ids::uuid[]), unnest(@order_ids::uuid[]) ON CONFLICT (id) DO NOTHING;

-- name: ReadOrders :many
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at, s.seq
  FROM orders o JOIN saga s ON s.id = o.saga_id
 WHERE o.id = ANY (@ids::uuid[]);

-- name: ListOrders :many
-- Newest first: ids are UUIDv7.
SELECT o.id, o.saga_id, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to, o.created_at,
       s.phase, s.cause, s.updated_at, s.seq
  FROM orders o JOIN saga s ON s.id = o.saga_id
 WHERE o.id < @before
 ORDER BY o.id DESC LIMIT @n;

-- name: InsertSagas :exec
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, created_at)
SELECT unnest(@ids::uuid[]), unnest(@definitions::text[]), unnest(@versions::int[]), unnest(@order_ids::uuid[]),
       unnest(@phases::smallint[]), unnest(@steps::text[]), '', unnest(@seqs::int[]), unnest(@deadlines::timestamptz[]),
       unnest(@traceparents::text[]), unnest(@created_ats::timestamptz[]);

-- name: GetSagaOf :one
SELECT saga_id FROM saga_subject WHERE id = @id;

-- name: InsertRecurringPayments :exec
INSERT INTO recurring_payment (id, saga_id, reference, customer_id, payment_method, currency, amount_minor, created_at)
SELECT unnest(@ids::uuid[]), unnest(@saga_ids::uuid[]), unnest(@refs::text[]), unnest(@customer_ids::text[]),
       unnest(@payment_methods::text[]), unnest(@currencies::text[]), unnest(@amounts_minor::bigint[]), unnest(@created_ats::timestamptz[]);

-- name: InsertTimeline :exec
INSERT INTO timeline (order_id, event_id, at, service, type, subject)
SELECT unnest(@order_ids::uuid[]), unnest(@event_ids::uuid[]), unnest(@ats::timestamptz[]), unnest(@services::text[]), unnest(@types::text[]), unnest(@subjects::text[])
ON CONFLICT (order_id, event_id) DO NOTHING;

-- name: ListTimeline :many
SELECT event_id, at, service, type, subject FROM timeline WHERE order_id = @order_id ORDER BY at, event_id;

-- name: TakeShards :many
-- Takes what is still free, and was not locked by a writer of the owner before, who may be finishing a commit.
WITH free AS (
    SELECT s.id FROM shard s
     WHERE s.id = ANY (@shards::smallint[])
       AND (s.owner IS NULL OR s.owner = @replica::uuid
            OR NOT EXISTS (SELECT FROM replica r WHERE r.id = s.owner AND r.lease_until > now()))
     ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED
), locked AS (
    SELECT id FROM free WHERE pg_try_advisory_xact_lock(@lock_class::int, id::int)
), taken AS (
    UPDATE shard SET epoch = epoch + 1, owner = @replica::uuid FROM locked WHERE shard.id = locked.id RETURNING shard.id, shard.epoch
), recorded AS (
    INSERT INTO shard_term (shard, epoch, owner) SELECT id, epoch, @replica::uuid FROM taken
)
SELECT id, epoch FROM taken;

-- name: FreeShards :exec
UPDATE shard SET owner = NULL WHERE id = ANY (@shards::smallint[]) AND owner = @replica::uuid;

-- name: ForgetReplica :exec
WITH freed AS (UPDATE shard SET owner = NULL WHERE owner = @replica::uuid)
DELETE FROM replica WHERE id = @replica::uuid OR lease_until < now() - interval '1 day';

-- name: ListLiveSagas :many
-- What is to be driven of some shards.
SELECT id FROM saga WHERE phase IN (1, 2) AND NOT paused AND shard = ANY (@shards::smallint[]);

-- name: InsertDefinition :exec
INSERT INTO saga_definition (name, version, body, pivot, before_pivot) VALUES (@name, @version, @body, @pivot, @before_pivot)
    ON CONFLICT (name, version) DO UPDATE SET body = excluded.body WHERE saga_definition.body = 'null';

-- name: ListDefinitions :many
SELECT name, version, body FROM saga_definition;

-- name: LoadSagas :many
SELECT s.id, s.definition, s.version, s.order_id, s.phase, s.step, s.cause, s.seq, s.deadline, s.traceparent, s.paused,
       s.at_risk, s.next_at, s.created_at, s.updated_at,
       o.reference, o.customer_id, o.payment_method, o.currency, o.total_minor, o.lines, o.ship_to
  FROM saga s JOIN saga_subject o ON o.id = s.order_id
 WHERE s.id = ANY (@ids::uuid[]);

-- name: ListEventsOfSagas :many
SELECT saga_id, seq, type, step, at, detail FROM saga_event WHERE saga_id = ANY (@saga_ids::uuid[]) ORDER BY saga_id, seq;

-- name: InsertOperatorActions :exec
-- An operation of nothing but zeros means none.
INSERT INTO operator_action (saga_id, seq, actor, verb, step, reason, evidence, at, operation_id)
SELECT unnest(@saga_ids::uuid[]), unnest(@seqs::int[]), @actor::text, @verb::text, @step::text, @reason::text, @evidence::text,
       unnest(@ats::timestamptz[]), nullif(@operation_id::uuid, '00000000-0000-0000-0000-000000000000');

-- name: InsertOperation :exec
INSERT INTO bulk_operation (id, state, filter, verb, step, reason, evidence, planned_by, expires_at)
VALUES (@id, 1, @filter, @verb, @step, @reason, @evidence, @planned_by, now() + make_interval(secs => @ttl_seconds::float8));

-- name: SumOperation :exec
INSERT INTO bulk_total (operation_id, currency, count, sum_minor)
SELECT i.operation_id, o.currency, count(*), sum(o.total_minor)::bigint
  FROM bulk_item i JOIN saga s ON s.id = i.saga_id JOIN saga_subject o ON o.id = s.order_id
 WHERE i.operation_id = @operation_id
 GROUP BY i.operation_id, o.currency;

-- name: FinishPlan :exec
UPDATE bulk_operation SET matched = @matched, possible = @possible WHERE id = @id;

-- name: GetOperation :one
-- A plan that was not applied in time is expired also before somebody has written that down.
SELECT id, (CASE WHEN state = 1 AND expires_at <= now() THEN 5 ELSE state END)::smallint AS state, filter, verb, step, reason,
       evidence, planned_by, planned_at, expires_at, matched, possible, applied_by, applied_at, rate, done, refused,
       cancelled_by, cancel_reason, ended_at
  FROM bulk_operation WHERE id = @id;

-- name: ListOperations :many
-- Newest first: ids are UUIDv7.
SELECT id, (CASE WHEN state = 1 AND expires_at <= now() THEN 5 ELSE state END)::smallint AS state, filter, verb, step, reason,
       evidence, planned_by, planned_at, expires_at, matched, possible, applied_by, applied_at, rate, done, refused,
       cancelled_by, cancel_reason, ended_at
  FROM bulk_operation WHERE id < @before ORDER BY id DESC LIMIT @n;

-- name: ListTotals :many
SELECT operation_id, currency, count, sum_minor FROM bulk_total
 WHERE operation_id = ANY (@operation_ids::uuid[]) ORDER BY operation_id, currency;

-- name: ListRefusals :many
SELECT saga_id, refusal FROM bulk_item WHERE operation_id = @operation_id AND refusal <> '' ORDER BY saga_id LIMIT @n;

-- name: ApplyOperation :execrows
UPDATE bulk_operation
   SET state = 2, applied_by = CASE WHEN state = 1 THEN @actor::text ELSE applied_by END, applied_at = coalesce(applied_at, now()),
       rate = @rate, next_at = now()
 WHERE id = @id AND (state = 2 OR state = 1 AND expires_at > now());

-- name: CancelOperation :execrows
UPDATE bulk_operation SET state = 4, cancelled_by = @actor, cancel_reason = @reason, ended_at = now(), next_at = NULL
 WHERE id = @id AND (state = 2 OR state = 1 AND expires_at > now());

-- name: ExpirePlans :exec
-- Keeps of plans that were not applied in time that they were made, and not the sagas they found.
WITH expired AS (UPDATE bulk_operation SET state = 5 WHERE state = 1 AND expires_at <= now() RETURNING id)
DELETE FROM bulk_item i USING expired WHERE i.operation_id = expired.id;

-- name: SecondsToNextBatch :one
SELECT extract(epoch FROM next_at - now())::float8 AS seconds FROM bulk_operation WHERE state = 2 ORDER BY next_at LIMIT 1;

-- name: ClaimOperation :one
-- Holds an operation that is to go on; one that another replica is at is left to it.
SELECT id, verb, step, reason, evidence, applied_by, rate, through FROM bulk_operation
 WHERE state = 2 AND next_at <= now()
 ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: ListItems :many
SELECT saga_id FROM bulk_item WHERE operation_id = @operation_id AND saga_id > @behind ORDER BY saga_id LIMIT @n;

-- name: RecordOutcomes :exec
UPDATE bulk_item SET outcome = u.outcome, refusal = u.refusal
  FROM (SELECT unnest(@saga_ids::uuid[]) AS saga_id, unnest(@outcomes::smallint[]) AS outcome, unnest(@refusals::text[]) AS refusal) u
 WHERE bulk_item.operation_id = @operation_id AND bulk_item.saga_id = u.saga_id;

-- name: AdvanceOperation :exec
UPDATE bulk_operation
   SET through = @through, done = done + @done, refused = refused + @refused,
       next_at = now() + make_interval(secs => @pause_seconds::float8)
 WHERE id = @id;

-- name: FinishOperation :exec
UPDATE bulk_operation SET state = 3, ended_at = now(), next_at = NULL WHERE id = @id;
