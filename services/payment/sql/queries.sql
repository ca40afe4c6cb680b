-- name: InsertPayments :many
-- The intents, durable before the provider is asked. Two first requests under one key meet here: the later one
-- gets no row, once the earlier one has committed.
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, last_sent_at)
SELECT id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, clock_timestamp()
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state, unnest(@currencies::text[]) AS currency,
               unnest(@amounts::bigint[]) AS amount_minor, unnest(@payment_methods::text[]) AS payment_method,
               unnest(@customer_ids::text[]) AS customer_id, unnest(@refs::text[]) AS reference,
               unnest(@provider_keys::text[]) AS provider_key) AS p
 ORDER BY provider_key
ON CONFLICT (provider_key) DO NOTHING
RETURNING id, last_sent_at, created_at, updated_at;

-- name: GetPayments :many
-- With the time at which they were read, by the clock that wrote last_sent_at. OFFSET 0 keeps this one index lookup
-- each: as a join it would be planned while the table is small, and would read all of it when it has grown.
SELECT p.id, p.state, p.currency, p.amount_minor, p.payment_method, p.customer_id, p.reference, p.provider_key,
       p.provider_charge_id, p.provider_refund_id, p.decline_reason, p.last_sent_at, p.created_at, p.updated_at,
       now()::timestamptz AS read_at
  FROM (SELECT unnest(@ids::uuid[]) AS id) AS n
 CROSS JOIN LATERAL (
       SELECT id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id,
              provider_refund_id, decline_reason, last_sent_at, created_at, updated_at
         FROM payment WHERE id = n.id OFFSET 0) AS p;

-- name: ListPayments :many
SELECT id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id,
       provider_refund_id, decline_reason, last_sent_at, created_at, updated_at
  FROM payment WHERE id < @before ORDER BY id DESC LIMIT @n;

-- name: MarkSent :one
-- Durable before the charge is sent again. No row: somebody else has changed the payment.
UPDATE payment SET last_sent_at = clock_timestamp(), updated_at = now()
 WHERE id = @id AND state = @state AND last_sent_at IS NOT DISTINCT FROM @seen_sent_at
RETURNING last_sent_at, updated_at;

-- name: SavePayments :many
-- Changes payments that are as they were seen. No row: somebody else has changed it, or has sent the charge again.
-- The year 1 stands for never. They are there, so that none is inserted, and each is found through the primary key
-- whatever the plan.
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key,
                     provider_charge_id, provider_refund_id, decline_reason, last_sent_at)
SELECT n.id, n.state, p.currency, p.amount_minor, p.payment_method, p.customer_id, p.reference, p.provider_key,
       n.provider_charge_id, n.provider_refund_id, n.decline_reason, NULLIF(n.last_sent_at, '0001-01-01 00:00:00+00')
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@seen_states::smallint[]) AS seen_state,
               unnest(@seen_sent_ats::timestamptz[]) AS seen_sent_at, unnest(@states::smallint[]) AS state,
               unnest(@provider_charge_ids::text[]) AS provider_charge_id,
               unnest(@provider_refund_ids::text[]) AS provider_refund_id,
               unnest(@decline_reasons::text[]) AS decline_reason,
               unnest(@last_sent_ats::timestamptz[]) AS last_sent_at) AS n
 CROSS JOIN LATERAL (
       SELECT currency, amount_minor, payment_method, customer_id, reference, provider_key
         FROM payment
        WHERE id = n.id AND state = n.seen_state
          AND last_sent_at IS NOT DISTINCT FROM NULLIF(n.seen_sent_at, '0001-01-01 00:00:00+00')
       OFFSET 0 FOR UPDATE) AS p
ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, provider_charge_id = excluded.provider_charge_id,
       provider_refund_id = excluded.provider_refund_id, decline_reason = excluded.decline_reason,
       last_sent_at = excluded.last_sent_at, updated_at = now()
RETURNING id, updated_at;

-- name: InsertJournals :exec
-- The year 1 stands for no time of its own.
INSERT INTO journal (id, payment_id, kind, key, reference, provider_id, effective_at)
SELECT n.id, NULLIF(n.payment_id, '00000000-0000-0000-0000-000000000000'), n.kind, n.key, n.reference, n.provider_id,
       NULLIF(n.effective_at, '0001-01-01 00:00:00+00')
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@payment_ids::uuid[]) AS payment_id, unnest(@kinds::smallint[]) AS kind,
               unnest(@keys::text[]) AS key, unnest(@refs::text[]) AS reference, unnest(@provider_ids::text[]) AS provider_id,
               unnest(@effective_ats::timestamptz[]) AS effective_at) AS n;

-- name: InsertPostings :exec
INSERT INTO posting (journal_id, line, account, currency, amount_minor)
SELECT unnest(@journal_ids::uuid[]), unnest(@lines::smallint[]), unnest(@accounts::text[]), unnest(@currencies::text[]),
       unnest(@amounts::bigint[]);

-- name: GetJournalTime :one
SELECT created_at FROM journal WHERE id = @id;
