-- name: InsertPayment :one
-- The intent, durable before the provider is asked. Two first requests under one key meet here: the later one
-- gets no row, once the earlier one has committed.
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, last_sent_at)
VALUES (@id, @state, @currency, @amount_minor, @payment_method, @customer_id, @reference, @provider_key, clock_timestamp())
ON CONFLICT (provider_key) DO NOTHING
RETURNING last_sent_at, created_at, updated_at;

-- name: GetPayment :one
-- With the time at which it was read, by the clock that wrote last_sent_at.
SELECT sqlc.embed(payment), now()::timestamptz AS read_at FROM payment WHERE id = @id;

-- name: ListPayments :many
SELECT id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id,
       provider_refund_id, decline_reason, last_sent_at, created_at, updated_at
  FROM payment WHERE id < @before ORDER BY id DESC LIMIT @n;

-- name: MarkSent :one
-- Durable before the charge is sent again. No row: somebody else has changed the payment.
UPDATE payment SET last_sent_at = clock_timestamp(), updated_at = now()
 WHERE id = @id AND state = @state AND last_sent_at IS NOT DISTINCT FROM @seen_sent_at
RETURNING last_sent_at, updated_at;

-- name: SavePayment :one
-- Changes a payment that is as it was seen. No row: somebody else has changed it, or has sent the charge again.
UPDATE payment
   SET state = @state, provider_charge_id = @provider_charge_id, provider_refund_id = @provider_refund_id,
       decline_reason = @decline_reason, last_sent_at = @last_sent_at, updated_at = now()
 WHERE id = @id AND state = @seen_state AND last_sent_at IS NOT DISTINCT FROM @seen_sent_at
RETURNING updated_at;

-- name: InsertJournal :exec
INSERT INTO journal (id, payment_id, kind) VALUES (@id, @payment_id, @kind);

-- name: InsertPostings :exec
INSERT INTO posting (journal_id, line, account, currency, amount_minor)
SELECT @journal_id, unnest(@lines::smallint[]), unnest(@accounts::text[]), unnest(@currencies::text[]),
       unnest(@amounts::bigint[]);
