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

-- Breaks.

-- name: OpenBreaks :many
-- Gives those that were not there.
INSERT INTO break (id, code, watcher, scope, subject, account, currency, amount_minor, matched, base_severity, opened_on, run_number,
                   order_id, payment_id, detail)
SELECT w.id, w.code, @watcher, @scope, w.subject, w.account, w.currency, w.amount_minor, w.matched, w.base_severity, @opened_on::date,
       @run_number, w.order_id, w.payment_id, w.detail
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@codes::text[]) AS code, unnest(@subjects::text[]) AS subject,
               unnest(@accounts::text[]) AS account, unnest(@currencies::text[]) AS currency,
               unnest(@amounts_minor::bigint[]) AS amount_minor, unnest(@matched::boolean[]) AS matched,
               unnest(@base_severities::smallint[]) AS base_severity, unnest(@order_ids::text[]) AS order_id,
               unnest(@payment_ids::text[]) AS payment_id, unnest(@details::jsonb[]) AS detail) w
 ORDER BY w.id
    ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: LockSeen :many
-- Holds the breaks that are seen again, and tells whether they look different.
SELECT b.id, b.code, b.state, b.resolution, b.last_event,
       ((b.watcher, b.scope, b.account, b.currency, b.amount_minor, b.matched, b.detail)
         IS DISTINCT FROM (@watcher::text, @scope::text, w.account, w.currency, w.amount_minor, w.matched, w.detail)
        OR w.order_id NOT IN ('', b.order_id) OR w.payment_id NOT IN ('', b.payment_id))::boolean AS changed
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@accounts::text[]) AS account, unnest(@currencies::text[]) AS currency,
               unnest(@amounts_minor::bigint[]) AS amount_minor, unnest(@matched::boolean[]) AS matched,
               unnest(@order_ids::text[]) AS order_id, unnest(@payment_ids::text[]) AS payment_id,
               unnest(@details::jsonb[]) AS detail) w
  JOIN break b ON b.id = w.id
 ORDER BY b.id FOR UPDATE OF b;

-- name: UpdateSeen :exec
-- Of breaks that are held.
UPDATE break b
   SET watcher = @watcher, scope = @scope, account = w.account, currency = w.currency, amount_minor = w.amount_minor, matched = w.matched,
       base_severity = w.base_severity, detail = w.detail, order_id = CASE WHEN w.order_id = '' THEN b.order_id ELSE w.order_id END,
       payment_id = CASE WHEN w.payment_id = '' THEN b.payment_id ELSE w.payment_id END,
       state = w.state, resolution = CASE WHEN w.state = 5 THEN b.resolution ELSE 0 END, last_event = b.last_event + 1, changed_at = now()
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::smallint[]) AS state, unnest(@accounts::text[]) AS account,
               unnest(@currencies::text[]) AS currency, unnest(@amounts_minor::bigint[]) AS amount_minor,
               unnest(@matched::boolean[]) AS matched, unnest(@base_severities::smallint[]) AS base_severity,
               unnest(@order_ids::text[]) AS order_id, unnest(@payment_ids::text[]) AS payment_id,
               unnest(@details::jsonb[]) AS detail) w
 WHERE b.id = w.id;

-- name: InsertBreakMovements :exec
INSERT INTO break_movement (break_id, movement_id, ours)
SELECT unnest(@break_ids::uuid[]), unnest(@movement_ids::bigint[]), unnest(@ours::boolean[])
    ON CONFLICT (break_id, movement_id) DO NOTHING;

-- name: WatchedBreaks :many
-- What of a scope can vanish.
SELECT id FROM break WHERE watcher = @watcher AND scope = @scope AND state <> 5 AND NOT matched;

-- name: LockUnseen :many
-- Holds breaks that are not seen any more, and tells whether all their movements are matched.
SELECT b.id, b.code, b.state, b.resolution, b.last_event,
       (EXISTS (SELECT FROM break_movement m WHERE m.break_id = b.id) AND NOT EXISTS (
           SELECT FROM break_movement m WHERE m.break_id = b.id
              AND NOT EXISTS (SELECT FROM match_leg l WHERE l.movement_id = m.movement_id AND l.active)))::boolean AS movements_matched
  FROM break b
 WHERE b.id = ANY (@ids::uuid[]) AND b.state <> 5 AND NOT b.matched
 ORDER BY b.id FOR UPDATE OF b;

-- name: CloseUnseen :exec
-- Of breaks that are held. What was asked for and not approved is not done any more.
WITH dropped AS (UPDATE break_journal j SET state = 4, note = 'the break has ended' WHERE j.break_id = ANY (@ids::uuid[]) AND j.state = 1)
UPDATE break b SET state = 5, resolution = w.resolution, last_event = b.last_event + 1, changed_at = now(), snoozed_until = NULL
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@resolutions::smallint[]) AS resolution) w
 WHERE b.id = w.id;

-- name: InsertBreakEvents :exec
INSERT INTO break_event (break_id, number, actor, verb, reason, detail)
SELECT unnest(@break_ids::uuid[]), unnest(@numbers::int[]), @actor, unnest(@verbs::text[]), @reason, unnest(@details::jsonb[]);

-- name: LockBreak :one
SELECT id, code, watcher, scope, subject, account, currency, amount_minor, matched, state, resolution, base_severity, opened_at, opened_on,
       changed_at, assignee, snoozed_until, run_number, order_id, payment_id, detail, note, match_id, last_event
  FROM break WHERE id = @id FOR UPDATE;

-- name: GetBreak :one
SELECT id, code, watcher, scope, subject, account, currency, amount_minor, matched, state, resolution, base_severity, opened_at, opened_on,
       changed_at, assignee, snoozed_until, run_number, order_id, payment_id, detail, note, match_id, last_event
  FROM break WHERE id = @id;

-- name: SetBreak :exec
-- Of a break that is held.
UPDATE break SET state = @state, resolution = @resolution, assignee = @assignee, snoozed_until = @snoozed_until, note = @note,
       match_id = @match_id, last_event = @last_event, changed_at = now()
 WHERE id = @id;

-- name: ListBreakMovements :many
SELECT m.id, m.ours, p.stage, p.currency, m.amount_minor, m.fee_minor, m.day, m.line, m.provider_id, m.parent_id, m.idem_key, m.reference,
       m.payout_id, m.payment_id, m.note
  FROM break_movement b JOIN movement m ON m.id = b.movement_id JOIN partition p ON p.id = m.partition_id
 WHERE b.break_id = @break_id ORDER BY m.ours DESC, m.id LIMIT 1000;

-- name: ListBreakEvents :many
SELECT number, at, actor, verb, reason, detail FROM break_event
 WHERE break_id = @break_id AND number > @behind ORDER BY number;

-- name: StageOfBreak :one
-- Where the sides of its movements are compared; 0 where it has none.
SELECT coalesce(min(p.stage), 0)::smallint FROM break_movement b JOIN movement m ON m.id = b.movement_id JOIN partition p ON p.id = m.partition_id
 WHERE b.break_id = @break_id;

-- name: InsertHandMatch :one
-- Makes a match of all movements of a break; no row where it has none.
INSERT INTO match (id, partition_id, pass, ours_by, theirs_by, score, evidence)
SELECT nextval('match_by_hand'), min(m.partition_id), 0, 0, 0, 0, @evidence
  FROM break_movement b JOIN movement m ON m.id = b.movement_id
 WHERE b.break_id = @break_id HAVING count(*) > 0
RETURNING id;

-- name: InsertHandLegs :one
-- Tells how many movements of the break are in another match, and so have become no leg.
WITH all_of_it AS (
    SELECT movement_id FROM break_movement WHERE break_id = @break_id
), legs AS (
    INSERT INTO match_leg (match_id, movement_id) SELECT @match_id, a.movement_id FROM all_of_it a ORDER BY a.movement_id
        ON CONFLICT (movement_id) WHERE active DO NOTHING
    RETURNING movement_id
)
SELECT ((SELECT count(*) FROM all_of_it) - (SELECT count(*) FROM legs))::bigint;

-- name: CloseMovements :exec
-- From the next run on they are not open. What was to be open from then on only, never was.
WITH next AS (
    SELECT coalesce(max(number), 0) + 1 AS number FROM run
), never AS (
    DELETE FROM open_movement o USING match_leg l, next
     WHERE l.match_id = @match_id AND o.movement_id = l.movement_id AND o.until_run IS NULL AND o.since_run >= next.number
)
UPDATE open_movement o SET until_run = next.number FROM match_leg l, next
 WHERE l.match_id = @match_id AND o.movement_id = l.movement_id AND o.until_run IS NULL AND o.since_run < next.number;

-- name: OpenMovementsAgain :exec
-- Undoes a match by hand: from the next run on its movements are open again.
WITH legs AS (
    UPDATE match_leg SET active = false WHERE match_id = @match_id AND active RETURNING movement_id
)
INSERT INTO open_movement (movement_id, since_run, partition_id)
SELECT m.id, (SELECT coalesce(max(number), 0) + 1 FROM run), m.partition_id FROM legs l JOIN movement m ON m.id = l.movement_id
    ON CONFLICT (movement_id, since_run) DO UPDATE SET until_run = NULL;

-- name: InsertBreakJournal :exec
INSERT INTO break_journal (break_id, number, key, kind, state, from_account, to_account, currency, amount_minor, reason, asked_by)
VALUES (@break_id, @number, @key, @kind, @state, @from_account, @to_account, @currency, @amount_minor, @reason, @asked_by);

-- name: ListBreakJournals :many
SELECT break_id, number, key, kind, state, from_account, to_account, currency, amount_minor, reason, asked_by, approved_by, attempts, result, note
  FROM break_journal WHERE break_id = @break_id ORDER BY number;

-- name: DecideBreakJournal :exec
-- Of a break that is held: whether what waits for approval is done.
UPDATE break_journal SET state = @state, approved_by = @approved_by, next_at = now() WHERE break_id = @break_id AND number = @number;

-- name: ClaimBreakJournals :many
-- What is due, put off so that no other replica takes it up at once; one that dies leaves it to the next after that time.
UPDATE break_journal j SET next_at = now() + make_interval(secs => least(60 * (j.attempts + 1), 3600)), attempts = j.attempts + 1
  FROM (SELECT d.break_id, d.number FROM break_journal d WHERE d.state = 2 AND d.next_at <= now() ORDER BY d.next_at LIMIT @n
           FOR UPDATE SKIP LOCKED) due
 WHERE j.break_id = due.break_id AND j.number = due.number
RETURNING j.break_id, j.number, j.key, j.kind, j.from_account, j.to_account, j.currency, j.amount_minor, j.reason, j.asked_by, j.approved_by;

-- name: NoteBreakJournal :exec
UPDATE break_journal SET note = @note WHERE break_id = @break_id AND number = @number AND state = 2;

-- name: EndBreakJournal :execrows
UPDATE break_journal SET state = @state::smallint, result = @result, note = @note, done_at = CASE WHEN @state::smallint = 3 THEN now() END
 WHERE break_id = @break_id AND number = @number AND state = 2;

-- name: InsertAction :exec
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES (@id, @actor, @verb, @target, @reason);

-- name: InsertBreakOperation :exec
INSERT INTO break_operation (id, state, filter, decision, planned_by, expires_at)
VALUES (@id, 1, @filter, @decision, @planned_by, now() + make_interval(secs => @ttl_seconds::float8));

-- name: SumBreakOperation :one
-- Writes down what the breaks come to; gives how many there are.
WITH totals AS (
    INSERT INTO break_operation_total (operation_id, currency, count, sum_minor)
    SELECT i.operation_id, b.currency, count(*), sum(b.amount_minor)::bigint
      FROM break_operation_item i JOIN break b ON b.id = i.break_id WHERE i.operation_id = @id GROUP BY i.operation_id, b.currency
    RETURNING count
)
UPDATE break_operation o SET matched = (SELECT coalesce(sum(t.count), 0) FROM totals t)::bigint WHERE o.id = @id RETURNING o.matched;

-- name: ApplyBreakOperation :execrows
UPDATE break_operation SET state = 2, applied_by = @actor, applied_at = now() WHERE id = @id AND state = 1 AND expires_at > now();

-- name: ExpireBreakPlans :exec
UPDATE break_operation SET state = 4 WHERE state = 1 AND expires_at <= now();

-- name: ClaimBreakOperation :one
SELECT id, decision, applied_by FROM break_operation WHERE state = 2 ORDER BY applied_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: NextBreakItems :many
SELECT break_id FROM break_operation_item WHERE operation_id = @operation_id AND outcome = 0 ORDER BY break_id LIMIT @n;

-- name: EndBreakItems :exec
UPDATE break_operation_item i SET outcome = CASE WHEN w.refusal = '' THEN 1 ELSE 2 END, refusal = w.refusal
  FROM (SELECT unnest(@break_ids::uuid[]) AS break_id, unnest(@refusals::text[]) AS refusal) w
 WHERE i.operation_id = @operation_id AND i.break_id = w.break_id;

-- name: AdvanceBreakOperation :exec
UPDATE break_operation SET done = done + @done, refused = refused + @refused,
       state = CASE WHEN @ended::boolean THEN 3 ELSE state END, ended_at = CASE WHEN @ended::boolean THEN now() END
 WHERE id = @id;

-- name: GetBreakOperation :one
SELECT id, state, filter, decision, planned_by, planned_at, expires_at, applied_by, ended_at, matched, done, refused
  FROM break_operation WHERE id = @id;

-- name: ListBreakTotals :many
SELECT currency, count, sum_minor FROM break_operation_total WHERE operation_id = @operation_id ORDER BY currency;

-- name: ListBreakRefusals :many
SELECT break_id, refusal FROM break_operation_item WHERE operation_id = @operation_id AND outcome = 2 ORDER BY break_id LIMIT 100;
