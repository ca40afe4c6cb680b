-- name: PutPartitions :many
-- Gives the partitions of those accounts and currencies at a stage, and makes those that are missing.
INSERT INTO partition (stage, account, currency)
SELECT DISTINCT @stage::smallint, w.account, w.currency FROM (SELECT unnest(@accounts::text[]) AS account, unnest(@currencies::text[]) AS currency) w
    ON CONFLICT (stage, account, currency) DO UPDATE SET stage = excluded.stage
RETURNING id, account, currency;

-- name: ListPartitions :many
SELECT id, stage, account, currency FROM partition ORDER BY account, stage, currency;

-- name: BeginDelivery :one
INSERT INTO delivery (kind, state) VALUES (@kind, @state) RETURNING id;

-- The internal side: movements and facts from events, and what is done about them.

-- name: LockOpenDelivery :many
SELECT id FROM delivery WHERE kind = 3 AND state = 0 FOR NO KEY UPDATE;

-- name: MakeOpenDelivery :exec
INSERT INTO delivery (kind, state) VALUES (3, 0) ON CONFLICT (kind) WHERE kind = 3 AND state = 0 DO NOTHING;

-- name: AcceptOpenDelivery :exec
UPDATE delivery SET state = 1 WHERE kind = 3 AND state = 0 AND rows > 0 AND created_at <= now() - make_interval(secs => @seconds::float8);

-- name: InsertMovements :many
-- Writes the movements that are not there, behind those that the delivery has, and counts them; the delivery is held. One
-- index lookup each, whatever the plan.
WITH told AS (
    SELECT unnest(@keys::uuid[]) AS key, unnest(@currencies::text[]) AS currency, unnest(@kinds::smallint[]) AS kind,
           unnest(@standings::smallint[]) AS standing, unnest(@amounts::bigint[]) AS amount_minor, unnest(@fees::bigint[]) AS fee_minor,
           unnest(@times::timestamptz[]) AS at, unnest(@provider_ids::text[]) AS provider_id, unnest(@parent_ids::text[]) AS parent_id,
           unnest(@idem_keys::text[]) AS idem_key, unnest(@refs::text[]) AS reference, unnest(@payment_ids::text[]) AS payment_id,
           unnest(@notes::text[]) AS note
), fresh AS (
    SELECT t.key, t.kind, t.standing, t.amount_minor, t.fee_minor, t.at, t.provider_id, t.parent_id, t.idem_key, t.reference, t.payment_id,
           t.note, p.id AS partition_id, row_number() OVER (ORDER BY t.key) AS place
      FROM told t JOIN partition p ON p.stage = @stage::smallint AND p.account = @account::text AND p.currency = t.currency
      LEFT JOIN LATERAL (SELECT true AS there FROM movement m WHERE m.key = t.key OFFSET 0) AS known ON true
     WHERE known.there IS NULL
), written AS (
    INSERT INTO movement (id, key, partition_id, ours, kind, standing, amount_minor, fee_minor, day, provider_id, parent_id, idem_key, reference,
                          payment_id, note)
    SELECT (d.id::bigint << 32) | (d.rows + f.place), f.key, f.partition_id, true, f.kind, f.standing, f.amount_minor, f.fee_minor,
           (f.at AT TIME ZONE 'UTC')::date, f.provider_id, f.parent_id, f.idem_key, f.reference, f.payment_id, f.note
      FROM fresh f CROSS JOIN delivery d
     WHERE d.id = @delivery::int
    RETURNING key
), counted AS (
    UPDATE delivery SET rows = rows + (SELECT count(*) FROM written) WHERE id = @delivery::int AND EXISTS (SELECT FROM written)
)
SELECT key FROM written;

-- name: PutFacts :exec
-- Joins what was told of orders to what is known: whatever comes first, and however often, it comes to the same. The amounts
-- that are added are of movements that are new. What tells nothing new writes nothing. The zero id stands for none.
INSERT INTO order_fact AS f (id, recurring, told, reservation_id, shipment_id, payment_id, currency, total_minor, authorized_minor,
                             captured_minor, refunded_minor, charged_back_minor, look_at)
SELECT n.id, n.recurring, n.told, NULLIF(n.reservation, '00000000-0000-0000-0000-000000000000'),
       NULLIF(n.shipment, '00000000-0000-0000-0000-000000000000'), NULLIF(n.payment, '00000000-0000-0000-0000-000000000000'),
       n.currency, n.total, n.authorized, n.captured, n.refunded, n.charged_back, now() + make_interval(secs => @grace_seconds::float8)
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@recurring::boolean[]) AS recurring, unnest(@told::int[]) AS told,
               unnest(@reservations::uuid[]) AS reservation, unnest(@shipments::uuid[]) AS shipment, unnest(@payments::uuid[]) AS payment,
               unnest(@currencies::text[]) AS currency, unnest(@totals::bigint[]) AS total, unnest(@authorized::bigint[]) AS authorized,
               unnest(@captured::bigint[]) AS captured, unnest(@refunded::bigint[]) AS refunded, unnest(@charged_back::bigint[]) AS charged_back) AS n
    ON CONFLICT (id) DO UPDATE SET
       told = f.told | excluded.told | CASE WHEN f.reservation_id <> excluded.reservation_id OR f.shipment_id <> excluded.shipment_id
                    OR f.payment_id <> excluded.payment_id OR f.currency <> '' AND excluded.currency <> '' AND f.currency <> excluded.currency
               THEN @several::int ELSE 0 END,
       reservation_id = LEAST(f.reservation_id, excluded.reservation_id), shipment_id = LEAST(f.shipment_id, excluded.shipment_id),
       payment_id = LEAST(f.payment_id, excluded.payment_id),
       currency = CASE WHEN f.currency = '' OR excluded.currency <> '' AND excluded.currency COLLATE "C" < f.currency COLLATE "C"
                       THEN excluded.currency ELSE f.currency END,
       total_minor = GREATEST(f.total_minor, excluded.total_minor), authorized_minor = GREATEST(f.authorized_minor, excluded.authorized_minor),
       captured_minor = f.captured_minor + excluded.captured_minor, refunded_minor = f.refunded_minor + excluded.refunded_minor,
       charged_back_minor = f.charged_back_minor + excluded.charged_back_minor,
       told_at = now(), looks = 0, look_at = LEAST(f.look_at, excluded.look_at)
 WHERE f.told | excluded.told <> f.told OR excluded.captured_minor <> 0 OR excluded.refunded_minor <> 0 OR excluded.charged_back_minor <> 0
    OR f.reservation_id IS DISTINCT FROM coalesce(excluded.reservation_id, f.reservation_id)
    OR f.shipment_id IS DISTINCT FROM coalesce(excluded.shipment_id, f.shipment_id)
    OR f.payment_id IS DISTINCT FROM coalesce(excluded.payment_id, f.payment_id)
    OR excluded.currency NOT IN ('', f.currency) OR excluded.total_minor > f.total_minor OR excluded.authorized_minor > f.authorized_minor;

-- name: DueFacts :many
-- The zero id stands for none.
SELECT id, recurring, told, coalesce(reservation_id, '00000000-0000-0000-0000-000000000000')::uuid AS reservation_id,
       coalesce(shipment_id, '00000000-0000-0000-0000-000000000000')::uuid AS shipment_id,
       coalesce(payment_id, '00000000-0000-0000-0000-000000000000')::uuid AS payment_id, currency, total_minor, authorized_minor,
       captured_minor, refunded_minor, charged_back_minor, begun_at, told_at, looks, sighted, now()::timestamptz AS now
  FROM order_fact WHERE look_at <= now() ORDER BY look_at LIMIT @n;

-- name: LockFacts :many
SELECT id, recurring, told, coalesce(reservation_id, '00000000-0000-0000-0000-000000000000')::uuid AS reservation_id,
       coalesce(shipment_id, '00000000-0000-0000-0000-000000000000')::uuid AS shipment_id,
       coalesce(payment_id, '00000000-0000-0000-0000-000000000000')::uuid AS payment_id, currency, total_minor, authorized_minor,
       captured_minor, refunded_minor, charged_back_minor, begun_at, told_at, looks, sighted, now()::timestamptz AS now
  FROM order_fact WHERE id = @id FOR NO KEY UPDATE;

-- name: PutDoubts :exec
INSERT INTO doubt AS d (key, payment_id, operation_key, resolved)
SELECT unnest(@keys::uuid[]), unnest(@payment_ids::text[]), unnest(@operation_keys::text[]), unnest(@resolved::boolean[])
    ON CONFLICT (key) DO UPDATE SET resolved = d.resolved OR excluded.resolved, operation_key = excluded.operation_key
 WHERE NOT d.resolved;

-- name: ResolvedDoubts :many
SELECT key FROM doubt WHERE key = ANY (@keys::uuid[]) AND resolved;

-- name: AddMinutes :exec
INSERT INTO ledger_minute AS m (minute, currency, kind, ours_minor)
SELECT n.minute, n.currency, n.kind, n.minor
  FROM (SELECT unnest(@minutes::timestamptz[]) AS minute, unnest(@currencies::text[]) AS currency, unnest(@kinds::smallint[]) AS kind,
               unnest(@minors::bigint[]) AS minor) AS n
    ON CONFLICT (minute, currency, kind) DO UPDATE SET ours_minor = m.ours_minor + excluded.ours_minor;

-- name: LedgerProgress :one
SELECT through, balance_at, now()::timestamptz AS now FROM ledger_progress;

-- name: SetLedgerThrough :exec
UPDATE ledger_progress SET through = @through::timestamptz;

-- name: SetBalanceAt :exec
UPDATE ledger_progress SET balance_at = now();

-- name: ClearTurnover :exec
-- What the ledger says of minutes is written anew: where it says nothing, nothing moved.
UPDATE ledger_minute SET theirs_minor = 0
 WHERE minute >= @since AND minute < @through AND theirs_minor IS DISTINCT FROM 0;

-- name: PutTurnover :exec
INSERT INTO ledger_minute AS m (minute, currency, kind, theirs_minor)
SELECT unnest(@minutes::timestamptz[]), unnest(@currencies::text[]), unnest(@kinds::smallint[]), unnest(@minors::bigint[])
    ON CONFLICT (minute, currency, kind) DO UPDATE SET theirs_minor = excluded.theirs_minor;

-- name: MarkDiffering :exec
-- Kinds up to 4 are about payments, which events tell of.
UPDATE ledger_minute SET differs = kind <= 4 AND ours_minor <> theirs_minor
 WHERE minute >= @since AND minute < @through AND differs IS DISTINCT FROM (kind <= 4 AND ours_minor <> theirs_minor);

-- name: DifferingMinutes :many
-- Those whose journals were not read lately; they are now.
UPDATE ledger_minute SET read_at = now()
 WHERE differs AND minute IN (
       SELECT DISTINCT minute FROM ledger_minute
        WHERE differs AND (read_at IS NULL OR read_at < now() - make_interval(secs => @again_seconds::float8)) ORDER BY minute LIMIT @n)
RETURNING minute;

-- name: UnmarkAgreeing :exec
UPDATE ledger_minute SET differs = false WHERE differs AND ours_minor = theirs_minor;

-- name: DifferingSums :many
SELECT currency, sum(ours_minor)::bigint AS ours_minor, sum(theirs_minor)::bigint AS theirs_minor, count(DISTINCT minute) AS minutes,
       min(minute)::timestamptz AS since
  FROM ledger_minute WHERE differs GROUP BY currency ORDER BY currency;

-- name: PositionsThrough :many
SELECT currency, coalesce(sum(theirs_minor), 0)::bigint AS minor FROM ledger_minute WHERE minute < @through GROUP BY currency;

-- name: KnownMovements :many
SELECT m.key FROM (SELECT unnest(@keys::uuid[]) AS key) AS n
 CROSS JOIN LATERAL (SELECT key FROM movement WHERE key = n.key OFFSET 0) AS m;

-- name: LookSoon :exec
UPDATE order_fact SET look_at = now() + make_interval(secs => @seconds::float8) WHERE id = @id;

-- name: ProvenDoubts :many
-- What is in doubt and matched with a statement: by an id or by hand. Of one payment, where one is named: however it was matched,
-- and however often it was tried.
SELECT d.key, d.payment_id, d.operation_key, d.attempts, p.currency, m.amount_minor, sum(t.amount_minor)::bigint AS stated_minor,
       coalesce(max(nullif(t.provider_id, '')), max(t.parent_id), '')::text AS provider_id, min(t.line)::int AS line,
       (min(t.key::text))::uuid AS stated_key
  FROM doubt d
  JOIN movement m ON m.key = d.key
  JOIN partition p ON p.id = m.partition_id
  JOIN match_leg l ON l.movement_id = m.id AND l.active
  JOIN match x ON x.id = l.match_id
  JOIN match_leg o ON o.match_id = l.match_id AND o.active
  JOIN movement t ON t.id = o.movement_id AND NOT t.ours
 WHERE NOT d.resolved
   AND CASE WHEN @payment_id::text <> '' THEN d.payment_id = @payment_id::text
            ELSE d.attempts < @attempts::smallint AND d.next_at <= now() AND x.pass IN (0, 1) END
 GROUP BY d.key, d.payment_id, d.operation_key, d.attempts, d.next_at, p.currency, m.amount_minor
 ORDER BY d.next_at LIMIT @n;

-- name: TryDoubt :exec
UPDATE doubt SET attempts = attempts + 1, next_at = now() + make_interval(secs => @seconds::float8) WHERE key = @key;

-- name: SetDoubtFailure :exec
UPDATE doubt SET failure = @failure WHERE key = @key;
