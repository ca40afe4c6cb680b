-- name: BeginUpload :exec
INSERT INTO batch (id, state, name, series, header, provider_account, cut_off_at, repeats, created_by, origin, lease_until)
VALUES (@id, 0, @name, @series, @header, @provider_account, @cut_off_at, @repeats, @created_by, @origin, now() + make_interval(secs => @lease_seconds::float8));

-- name: RenewUpload :execrows
-- The row is also what tells that nobody has swept the upload.
UPDATE batch SET lease_until = now() + make_interval(secs => @lease_seconds::float8) WHERE id = @id AND state = 0;

-- name: InsertItems :many
-- Gives the lines that became items: a reference that is there already does not.
INSERT INTO batch_item (batch_id, line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme)
SELECT @batch_id, unnest(@lines::bigint[]), unnest(@refs::text[]), unnest(@customer_ids::text[]), unnest(@payment_methods::text[]),
       unnest(@currencies::text[]), unnest(@amounts_minor::bigint[]), unnest(@descriptions::text[]), unnest(@card_schemes::text[])
ON CONFLICT (reference, batch_id) DO NOTHING
RETURNING line;

-- name: LinesOfReferences :many
SELECT reference, line FROM batch_item WHERE batch_id = @batch_id AND reference = ANY (@refs::text[]);

-- name: InsertRejections :exec
INSERT INTO batch_rejection (batch_id, line, field, reason, message, raw)
SELECT @batch_id, unnest(@lines::bigint[]), unnest(@fields::text[]), unnest(@reasons::text[]), unnest(@messages::text[]), unnest(@raws::text[]);

-- name: InsertSums :exec
INSERT INTO batch_sum (batch_id, currency, items, sum_minor)
SELECT @batch_id, unnest(@currencies::text[]), unnest(@items::bigint[]), unnest(@sums_minor::bigint[]);

-- name: CountDuplicates :one
-- Items whose reference an earlier batch has, where it was not cancelled.
SELECT count(*) FROM batch_item i
 WHERE i.batch_id = @batch_id AND EXISTS (
    SELECT FROM batch_item e JOIN batch b ON b.id = e.batch_id AND b.state > 0
     WHERE e.reference = i.reference AND e.batch_id <> i.batch_id AND e.state <> 6);

-- name: ListDuplicates :many
SELECT i.line, i.reference, e.batch_id, e.state, e.currency, e.amount_minor
  FROM batch_item i
 CROSS JOIN LATERAL (
    SELECT e.batch_id, e.state, e.currency, e.amount_minor
      FROM batch_item e JOIN batch b ON b.id = e.batch_id AND b.state > 0
     WHERE e.reference = i.reference AND e.batch_id < i.batch_id AND e.state <> 6
     ORDER BY e.batch_id DESC LIMIT 1) e
 WHERE i.batch_id = @batch_id AND i.line > @after_line ORDER BY i.line LIMIT @n;

-- name: LastOfSeries :one
SELECT id, items FROM batch WHERE series = @series AND state > 0 AND id < @before ORDER BY id DESC LIMIT 1;

-- name: CompareCustomers :one
SELECT (SELECT count(DISTINCT i.customer_id) FROM batch_item i WHERE i.batch_id = @batch_id AND NOT EXISTS (
            SELECT FROM batch_item e WHERE e.batch_id = @earlier AND e.customer_id = i.customer_id))::bigint AS customers_new,
       (SELECT count(DISTINCT e.customer_id) FROM batch_item e WHERE e.batch_id = @earlier AND NOT EXISTS (
            SELECT FROM batch_item i WHERE i.batch_id = @batch_id AND i.customer_id = e.customer_id))::bigint AS customers_gone;

-- name: Plan :execrows
UPDATE batch SET state = 1, plan_hash = @plan_hash, items = @items, planned = @items, rejected = @rejected, duplicates = @duplicates,
       variance = @variance, created_at = now(), lease_until = NULL
 WHERE id = @id AND state = 0;

-- name: BatchOfContent :one
SELECT id FROM batch WHERE plan_hash = @plan_hash AND state BETWEEN 1 AND 4 AND items > 0 ORDER BY id DESC LIMIT 1;

-- name: ListLeftUploads :many
-- Uploads that nobody goes on with.
SELECT id FROM batch WHERE state = 0 AND lease_until < now() LIMIT 10;

-- name: DropItems :execrows
DELETE FROM batch_item d WHERE d.batch_id = @batch_id AND d.line IN (SELECT i.line FROM batch_item i WHERE i.batch_id = @batch_id ORDER BY i.line LIMIT @n);

-- name: DropUpload :exec
WITH rejections AS (DELETE FROM batch_rejection WHERE batch_id = @id)
DELETE FROM batch WHERE id = @id AND state = 0;

-- name: GetBatch :one
SELECT b.id, b.state, b.name, b.series, b.header, b.provider_account, b.cut_off_at, b.repeats, b.plan_hash, b.items, b.rejected,
       b.duplicates, b.variance, b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled, b.created_by, b.created_at,
       b.started_by, b.started_at, b.cancelled_at, b.ended_at, b.note, b.retrying
  FROM batch b WHERE b.id = @id AND b.state > 0;

-- name: LockBatch :one
SELECT b.id, b.state, b.name, b.series, b.header, b.provider_account, b.cut_off_at, b.repeats, b.plan_hash, b.items, b.rejected,
       b.duplicates, b.variance, b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled, b.created_by, b.created_at,
       b.started_by, b.started_at, b.cancelled_at, b.ended_at, b.note, b.retrying
  FROM batch b WHERE b.id = @id AND b.state > 0 FOR NO KEY UPDATE;

-- name: ListBatches :many
-- Newest first: ids are UUIDv7.
SELECT b.id, b.state, b.name, b.series, b.header, b.provider_account, b.cut_off_at, b.repeats, b.plan_hash, b.items, b.rejected,
       b.duplicates, b.variance, b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled, b.created_by, b.created_at,
       b.started_by, b.started_at, b.cancelled_at, b.ended_at, b.note, b.retrying
  FROM batch b WHERE b.id < @before AND b.state > 0 ORDER BY b.id DESC LIMIT @n;

-- name: ListSums :many
SELECT batch_id, currency, items, sum_minor, collected_items, collected_minor FROM batch_sum
 WHERE batch_id = ANY (@batch_ids::uuid[]) ORDER BY batch_id, currency;

-- name: CountRejections :many
SELECT batch_id, reason, count(*) AS rows FROM batch_rejection WHERE batch_id = ANY (@batch_ids::uuid[])
 GROUP BY batch_id, reason ORDER BY batch_id, rows DESC, reason;

-- name: LastProofs :many
SELECT DISTINCT ON (batch_id) batch_id, number, proven_at, items, plan_hash, outcome_hash, collected, difference FROM batch_proof
 WHERE batch_id = ANY (@batch_ids::uuid[]) ORDER BY batch_id, number DESC;

-- name: ListItems :many
-- Of state 0: all.
SELECT line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme, state, attempt, attempted_at, known_at,
       reason, detail, saga_id, payment_id, retry_at
  FROM batch_item WHERE batch_id = @batch_id AND line > @after_line AND (@state::smallint = 0 OR state = @state::smallint)
 ORDER BY line LIMIT @n;

-- name: ListAttempts :many
SELECT line, number, attempted_at, known_at, reason, saga_id, payment_id FROM item_attempt
 WHERE batch_id = @batch_id AND line = ANY (@lines::bigint[]) ORDER BY line, number;

-- name: ListRejections :many
SELECT line, field, reason, message, raw FROM batch_rejection WHERE batch_id = @batch_id AND line > @after_line ORDER BY line LIMIT @n;

-- name: SetState :exec
-- What a person did to a batch; what is not said stays.
UPDATE batch
   SET state = @state, started_by = coalesce(nullif(@started_by::text, ''), started_by),
       started_at = CASE WHEN @started_by::text <> '' THEN now() ELSE started_at END, note = @note,
       to_prove = to_prove OR @state::smallint = 2 AND planned + running = 0, ended_at = NULL
 WHERE id = @id;

-- name: CancelItems :execrows
UPDATE batch_item SET state = 6, reason = @reason WHERE batch_id = @batch_id AND state = 1;

-- name: CancelBatch :exec
-- What is under way ends; then the totals are proven, and the batch has ended.
UPDATE batch SET state = 2, cancelled_at = now(), planned = 0, cancelled = cancelled + @cancelled, note = @note,
       to_prove = to_prove OR running = 0
 WHERE id = @id;

-- name: ListRunning :many
-- The batches that have items to be started, and how many are under way at each account.
SELECT b.id, b.provider_account, b.planned, coalesce(b.cut_off_at <= now(), false)::boolean AS is_over,
       coalesce(l.rate, 0)::int AS rate, coalesce(l.concurrency, @concurrency)::int AS concurrency,
       (SELECT sum(o.running) FROM batch o WHERE o.provider_account = b.provider_account AND o.state IN (2, 3))::bigint AS under_way
  FROM batch b LEFT JOIN provider_limit l ON l.account = b.provider_account
 WHERE b.state = 2 AND b.planned > 0 ORDER BY b.started_at, b.id;

-- name: StartItems :many
-- The next items of a batch, by line, are under way. Its row is locked.
UPDATE batch_item i SET state = 2, attempt = i.attempt + 1, attempted_at = now()
  FROM (SELECT n.line FROM batch_item n WHERE n.batch_id = @batch_id AND n.line > @after_line AND n.state = 1 ORDER BY n.line LIMIT @n) next
 WHERE i.batch_id = @batch_id AND i.line = next.line
RETURNING i.batch_id, i.line, i.attempt, i.customer_id, i.payment_method, i.currency, i.amount_minor;

-- name: LockForFeeding :one
SELECT fed_through FROM batch WHERE id = @id AND state = 2 FOR NO KEY UPDATE;

-- name: Fed :exec
UPDATE batch SET planned = planned - @n, running = running + @n, fed_through = @through WHERE id = @id;

-- name: ListUnderWay :many
-- Items that were started by somebody who may not have got to say so.
SELECT i.batch_id, i.line, i.attempt, i.customer_id, i.payment_method, i.currency, i.amount_minor
  FROM batch_item i JOIN batch b ON b.id = i.batch_id AND b.state IN (2, 3) AND b.running > 0
 WHERE i.state = 2 AND (i.batch_id, i.line) > (@after_batch::uuid, @after_line::bigint) ORDER BY i.batch_id, i.line LIMIT @n;

-- name: LockBatches :exec
SELECT FROM batch WHERE id = ANY (@ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: SettleItems :many
-- Writes what came of attempts, as far as it is news: an item that is under way or in doubt is settled, and only one
-- that is under way can come to be in doubt.
UPDATE batch_item i
   SET state = s.state, known_at = CASE WHEN s.state IN (3, 4) THEN now() END, reason = s.reason, detail = s.detail,
       saga_id = nullif(s.saga_id, '00000000-0000-0000-0000-000000000000'), payment_id = s.payment_id
  FROM (SELECT unnest(@batch_ids::uuid[]) AS batch_id, unnest(@lines::bigint[]) AS line, unnest(@attempts::int[]) AS attempt,
               unnest(@states::smallint[]) AS state, unnest(@reasons::text[]) AS reason, unnest(@details::text[]) AS detail,
               unnest(@saga_ids::uuid[]) AS saga_id, unnest(@payment_ids::text[]) AS payment_id) s
  JOIN LATERAL (SELECT o.state AS before FROM batch_item o WHERE o.batch_id = s.batch_id AND o.line = s.line AND o.attempt = s.attempt
                   AND (o.state = 2 OR o.state = 5 AND s.state <> 5) OFFSET 0) w ON true
 WHERE i.batch_id = s.batch_id AND i.line = s.line
RETURNING i.batch_id, i.line, i.attempt, w.before, i.state, i.currency, i.amount_minor, i.reference, i.customer_id, i.payment_method;

-- name: CountSettled :exec
UPDATE batch b
   SET running = b.running - s.ran, unknown = b.unknown - s.doubted + s.unknown, succeeded = b.succeeded + s.succeeded,
       failed = b.failed + s.failed, to_prove = b.to_prove OR b.planned + b.running - s.ran = 0
  FROM (SELECT unnest(@batch_ids::uuid[]) AS id, unnest(@ran::bigint[]) AS ran, unnest(@doubted::bigint[]) AS doubted,
               unnest(@unknown::bigint[]) AS unknown, unnest(@succeeded::bigint[]) AS succeeded, unnest(@failed::bigint[]) AS failed) s
 WHERE b.id = s.id;

-- name: CountCollected :exec
UPDATE batch_sum b SET collected_items = b.collected_items + s.items, collected_minor = b.collected_minor + s.minor
  FROM (SELECT unnest(@batch_ids::uuid[]) AS batch_id, unnest(@currencies::text[]) AS currency,
               unnest(@items::bigint[]) AS items, unnest(@minors::bigint[]) AS minor) s
 WHERE b.batch_id = s.batch_id AND b.currency = s.currency;

-- name: ClaimToProve :one
SELECT id FROM batch WHERE to_prove ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: InsertProof :exec
INSERT INTO batch_proof (batch_id, number, items, plan_hash, outcome_hash, collected, difference)
SELECT @batch_id, coalesce(max(p.number), 0) + 1, @items, @plan_hash, @outcome_hash, @collected, @difference
  FROM batch_proof p WHERE p.batch_id = @batch_id;

-- name: EndBatch :exec
UPDATE batch SET to_prove = false, state = CASE WHEN cancelled_at IS NULL THEN 4 ELSE 5 END, ended_at = now() WHERE id = @id;

-- name: ListFailed :many
-- The failed items of a batch, but for those of the reasons given, and whether each waits to be tried again.
SELECT f.line, (f.retry_at IS NOT NULL)::boolean AS waits FROM batch_item f
 WHERE f.batch_id = @batch_id AND f.state = 4 AND f.reason <> ALL (@but_reasons::text[]) ORDER BY f.line;

-- name: ReopenItems :exec
UPDATE batch_item SET state = 1, known_at = NULL, reason = '', detail = '', saga_id = NULL, payment_id = '', retry_at = NULL
 WHERE batch_id = @batch_id AND line = ANY (@lines::bigint[]);

-- name: Reopen :exec
-- A batch that is paused stays so.
UPDATE batch SET state = CASE WHEN state = 3 THEN 3 ELSE 2 END, planned = planned + @n, failed = failed - @n, retrying = retrying - @waited::bigint,
       fed_through = least(fed_through, @fed_through), ended_at = NULL, to_prove = false
 WHERE id = @id;

-- name: PutLimit :one
INSERT INTO provider_limit (account, rate, concurrency, set_by, reason) VALUES (@account, @rate, @concurrency, @set_by, @reason)
    ON CONFLICT (account) DO UPDATE SET rate = excluded.rate, concurrency = excluded.concurrency, set_by = excluded.set_by,
       reason = excluded.reason, updated_at = now()
RETURNING updated_at;

-- name: ListLimits :many
SELECT account, rate, concurrency, set_by, reason, updated_at FROM provider_limit WHERE account > @after_account ORDER BY account LIMIT @n;

-- name: InsertAction :exec
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES (@id, @actor, @verb, @target, @reason);

-- name: LockContent :exec
-- Until the end of the transaction nobody else plans the same content.
SELECT pg_advisory_xact_lock(hashtextextended(encode(@plan_hash::bytea, 'hex'), 0));

-- name: ListForProof :many
SELECT line, reference, customer_id, payment_method, currency, amount_minor, description, state, attempt, payment_id
  FROM batch_item WHERE batch_id = @batch_id AND line > @after_line ORDER BY line LIMIT @n;

-- name: InsertDeclines :exec
INSERT INTO card_decline (batch_id, line, attempt, payment_method, code)
SELECT unnest(@batch_ids::uuid[]), unnest(@lines::bigint[]), unnest(@attempts::int[]), unnest(@payment_methods::text[]), unnest(@codes::text[])
ON CONFLICT (batch_id, line, attempt) DO NOTHING;

-- name: ListDeclines :many
-- The latest declines of payment methods, newest first, as many as a decision needs.
SELECT m.payment_method::text AS payment_method, d.declined_at
  FROM unnest(@payment_methods::text[]) AS m (payment_method)
 CROSS JOIN LATERAL (
    SELECT c.declined_at FROM card_decline c WHERE c.payment_method = m.payment_method AND c.declined_at > @since
     ORDER BY c.declined_at DESC LIMIT @n) d;

-- name: ListDunned :many
-- Items with the declines that each has had, oldest first.
SELECT i.batch_id, i.line, i.reference, i.customer_id, i.payment_method, i.card_scheme, i.attempt,
       array_agg(d.declined_at ORDER BY d.attempt)::timestamptz[] AS declined_ats, array_agg(d.code ORDER BY d.attempt)::text[] AS codes
  FROM (SELECT unnest(@batch_ids::uuid[]) AS batch_id, unnest(@lines::bigint[]) AS line) n
  JOIN batch_item i ON i.batch_id = n.batch_id AND i.line = n.line AND i.state = 4
  JOIN card_decline d ON d.batch_id = i.batch_id AND d.line = i.line
 GROUP BY i.batch_id, i.line;

-- name: SetRetries :exec
-- A time of year 1 means never.
UPDATE batch_item i SET retry_at = nullif(r.at, '0001-01-01 00:00:00+00')
  FROM (SELECT unnest(@batch_ids::uuid[]) AS batch_id, unnest(@lines::bigint[]) AS line, unnest(@ats::timestamptz[]) AS at) r
 WHERE i.batch_id = r.batch_id AND i.line = r.line;

-- name: AddRetrying :exec
UPDATE batch b SET retrying = b.retrying + r.n
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@ns::bigint[]) AS n) r WHERE b.id = r.id;

-- name: StopRetries :many
UPDATE batch_item SET retry_at = NULL WHERE batch_id = @batch_id AND retry_at IS NOT NULL
RETURNING line, reference, customer_id, attempt;

-- name: LockWaiting :many
-- Those of some items of a held batch that wait to be tried again.
SELECT line FROM batch_item WHERE batch_id = @batch_id AND line = ANY (@lines::bigint[]) AND retry_at IS NOT NULL ORDER BY line;

-- name: ListDueRetries :many
-- The items of one batch that are to be tried again now.
SELECT i.batch_id, i.line FROM batch_item i
 WHERE i.retry_at <= now() AND i.batch_id = (SELECT f.batch_id FROM batch_item f WHERE f.retry_at <= now() ORDER BY f.retry_at LIMIT 1)
 ORDER BY i.line LIMIT @n;

-- name: KeepAttempts :exec
INSERT INTO item_attempt (batch_id, line, number, attempted_at, known_at, reason, saga_id, payment_id)
SELECT i.batch_id, i.line, i.attempt, i.attempted_at, i.known_at, i.reason, i.saga_id, i.payment_id
  FROM batch_item i WHERE i.batch_id = @batch_id AND i.line = ANY (@lines::bigint[]);

-- Schedules: schedule.go, occurrence.go, holiday.go.

-- name: Now :one
-- The database's clock, unless another one counts.
SELECT coalesce(sqlc.narg('clock')::timestamptz, now())::timestamptz AS now;

-- name: ListDueSchedules :many
-- What something is due of; of those that wait for an earlier run, the ones in which that has ended. Of the runs of a
-- schedule the last fifty are looked at: any other that is still going was let be for as many dates.
SELECT d.id FROM (
    (SELECT s.id FROM schedule s WHERE s.next_due_at <= coalesce(sqlc.narg('clock')::timestamptz, now()) ORDER BY s.next_due_at LIMIT @n)
    UNION
    (SELECT o.schedule_id FROM occurrence o JOIN schedule q ON q.id = o.schedule_id AND q.state <> 2
      WHERE o.state = 4 AND NOT EXISTS (
        SELECT FROM (SELECT r.batch_id, r.line FROM occurrence r WHERE r.schedule_id = o.schedule_id AND r.state = 1
                      ORDER BY r.civil_date DESC LIMIT 50) r
          JOIN batch_item i ON i.batch_id = r.batch_id AND i.line = r.line AND i.state IN (1, 2, 5))
      LIMIT @n)
) d;

-- name: ClaimSchedules :many
-- Those of them that nobody else is at.
SELECT s.id, s.state, s.customer_id, s.payment_method, s.currency, s.amount_minor, s.description, s.card_scheme, s.provider_account, s.rule, s.dunning,
       s.missed, s.grace_seconds, s.overlap, s.decided_through, s.next_date, s.next_due_at,
       s.note, s.created_by, s.created_at, s.updated_at, s.paused_at, s.ended_at
  FROM schedule s WHERE s.id = ANY (@ids::uuid[]) ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED;

-- name: LockSchedule :one
SELECT s.id, s.state, s.customer_id, s.payment_method, s.currency, s.amount_minor, s.description, s.card_scheme, s.provider_account, s.rule, s.dunning,
       s.missed, s.grace_seconds, s.overlap, s.decided_through, s.next_date, s.next_due_at,
       s.note, s.created_by, s.created_at, s.updated_at, s.paused_at, s.ended_at
  FROM schedule s WHERE s.id = @id FOR NO KEY UPDATE;

-- name: GetSchedule :one
SELECT s.id, s.state, s.customer_id, s.payment_method, s.currency, s.amount_minor, s.description, s.card_scheme, s.provider_account, s.rule, s.dunning,
       s.missed, s.grace_seconds, s.overlap, s.decided_through, s.next_date, s.next_due_at,
       s.note, s.created_by, s.created_at, s.updated_at, s.paused_at, s.ended_at
  FROM schedule s WHERE s.id = @id;

-- name: ListSchedules :many
-- Newest first: ids are UUIDv7. Of an empty customer and of state 0: all.
SELECT s.id, s.state, s.customer_id, s.payment_method, s.currency, s.amount_minor, s.description, s.card_scheme, s.provider_account, s.rule, s.dunning,
       s.missed, s.grace_seconds, s.overlap, s.decided_through, s.next_date, s.next_due_at,
       s.note, s.created_by, s.created_at, s.updated_at, s.paused_at, s.ended_at
  FROM schedule s
 WHERE s.id < @before AND (@customer_id::text = '' OR s.customer_id = @customer_id::text) AND (@state::smallint = 0 OR s.state = @state::smallint)
 ORDER BY s.id DESC LIMIT @n;

-- name: LockSchedulesOfHolidays :many
-- Those that go by a list, some at a time, by id.
SELECT s.id, s.state, s.customer_id, s.payment_method, s.currency, s.amount_minor, s.description, s.card_scheme, s.provider_account, s.rule, s.dunning,
       s.missed, s.grace_seconds, s.overlap, s.decided_through, s.next_date, s.next_due_at,
       s.note, s.created_by, s.created_at, s.updated_at, s.paused_at, s.ended_at
  FROM schedule s WHERE s.holiday_list = @name::text AND s.state < 3 AND s.id > @after ORDER BY s.id LIMIT @n FOR NO KEY UPDATE;

-- name: InsertSchedule :exec
INSERT INTO schedule (id, customer_id, payment_method, currency, amount_minor, description, card_scheme, provider_account, rule, dunning, holiday_list,
                      missed, grace_seconds, overlap, decided_through, next_date, next_due_at, created_by, created_at, updated_at)
VALUES (@id, @customer_id, @payment_method, @currency, @amount_minor, @description, @card_scheme, @provider_account, @rule, @dunning,
        nullif(@holiday_list::text, ''), @missed, @grace_seconds, @overlap, @decided_through, @next_date, @next_due_at, @created_by, @now, @now);

-- name: PutTerms :exec
UPDATE schedule SET customer_id = @customer_id, payment_method = @payment_method, currency = @currency, amount_minor = @amount_minor,
       description = @description, card_scheme = @card_scheme, provider_account = @provider_account, rule = @rule, dunning = @dunning,
       holiday_list = nullif(@holiday_list::text, ''), missed = @missed, grace_seconds = @grace_seconds, overlap = @overlap, updated_at = @now
 WHERE id = @id;

-- name: PutScheduleStates :exec
-- What has become of schedules: how far it is decided, and what is next; those without a next one have ended.
UPDATE schedule s
   SET state = p.state, decided_through = p.decided_through, next_date = p.next_date, next_due_at = CASE WHEN p.next_date IS NOT NULL THEN p.next_due_at END,
       note = p.note,
       paused_at = CASE WHEN p.state = 2 THEN coalesce(s.paused_at, @now::timestamptz) END,
       ended_at = CASE WHEN p.state = 3 THEN coalesce(s.ended_at, @now::timestamptz) END
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state, unnest(@decided_through::date[]) AS decided_through,
               unnest(@next_dates::date[]) AS next_date, unnest(@next_due_ats::timestamptz[]) AS next_due_at, unnest(@notes::text[]) AS note) p
 WHERE s.id = p.id;

-- name: Touch :exec
UPDATE schedule SET updated_at = @now WHERE id = @id;

-- name: ListDecided :many
-- The occurrences behind what the rules of schedules are decided through: those that were triggered ahead of their time,
-- or that an earlier rule had.
SELECT o.schedule_id, o.civil_date FROM occurrence o JOIN schedule s ON s.id = o.schedule_id
 WHERE o.schedule_id = ANY (@schedule_ids::uuid[]) AND o.civil_date > s.decided_through;

-- name: ListOccurrencesFrom :many
SELECT civil_date FROM occurrence WHERE schedule_id = @schedule_id AND civil_date > @after;

-- name: ListQueued :many
-- What waits for an earlier run, by date.
SELECT schedule_id, civil_date, due_at, triggered_by FROM occurrence
 WHERE schedule_id = ANY (@schedule_ids::uuid[]) AND state = 4 ORDER BY schedule_id, civil_date;

-- name: CountGoing :many
-- How many of the last fifty runs of schedules have no outcome.
SELECT s.id::uuid AS id, count(*) AS going
  FROM unnest(@schedule_ids::uuid[]) AS s(id)
 CROSS JOIN LATERAL (SELECT r.batch_id, r.line FROM occurrence r WHERE r.schedule_id = s.id AND r.state = 1 ORDER BY r.civil_date DESC LIMIT 50) r
  JOIN batch_item i ON i.batch_id = r.batch_id AND i.line = r.line AND i.state IN (1, 2, 5)
 GROUP BY s.id;

-- name: PutOccurrences :many
-- What was decided on occurrences; one that waited may be decided on again, any other never. Gives those that it is news of.
INSERT INTO occurrence AS o (schedule_id, civil_date, state, why, due_at, decided_at, triggered_by, batch_id, line)
SELECT unnest(@schedule_ids::uuid[]), unnest(@civil_dates::date[]), unnest(@states::smallint[]), unnest(@whys::text[]), unnest(@due_ats::timestamptz[]),
       @decided_at, unnest(@triggered_bys::text[]), nullif(unnest(@batch_ids::uuid[]), '00000000-0000-0000-0000-000000000000'), nullif(unnest(@lines::bigint[]), 0)
    ON CONFLICT (schedule_id, civil_date) DO UPDATE
   SET state = excluded.state, why = excluded.why, decided_at = excluded.decided_at, batch_id = excluded.batch_id, line = excluded.line
 WHERE o.state = 4 AND excluded.state <> 4
RETURNING o.schedule_id, o.civil_date;

-- name: GetOccurrence :one
SELECT o.civil_date, o.state, o.why, o.due_at, o.decided_at, o.triggered_by, o.batch_id, coalesce(o.line, 0)::bigint AS line, coalesce(i.state, 0)::smallint AS item_state
  FROM occurrence o LEFT JOIN batch_item i ON i.batch_id = o.batch_id AND i.line = o.line
 WHERE o.schedule_id = @schedule_id AND o.civil_date = @civil_date;

-- name: ListOccurrences :many
-- The latest first.
SELECT o.civil_date, o.state, o.why, o.due_at, o.decided_at, o.triggered_by, o.batch_id, coalesce(o.line, 0)::bigint AS line, coalesce(i.state, 0)::smallint AS item_state
  FROM occurrence o LEFT JOIN batch_item i ON i.batch_id = o.batch_id AND i.line = o.line
 WHERE o.schedule_id = @schedule_id AND o.civil_date < @before ORDER BY o.civil_date DESC LIMIT @n;

-- name: LockHolidays :exec
-- Whoever changes a list waits for those that are about to go by it, and they for it.
SELECT name FROM holiday_list WHERE name = @name FOR UPDATE;

-- name: HoldHolidays :exec
SELECT name FROM holiday_list WHERE name = @name FOR KEY SHARE;

-- name: PutHolidays :one
INSERT INTO holiday_list (name, dates, set_by) VALUES (@name, @dates, @set_by)
    ON CONFLICT (name) DO UPDATE SET dates = excluded.dates, set_by = excluded.set_by, updated_at = now()
RETURNING updated_at;

-- name: GetHolidays :many
SELECT name, dates, set_by, updated_at FROM holiday_list WHERE name = ANY (@names::text[]) ORDER BY name;

-- name: ListHolidays :many
SELECT name, dates, set_by, updated_at FROM holiday_list WHERE name > @after_name ORDER BY name LIMIT @n;
