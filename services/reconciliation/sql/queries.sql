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

-- Runs.

-- name: LockRuns :exec
-- Runs begin, and people match by hand, one at a time: the one looks at what the other changes.
SELECT pg_advisory_xact_lock(7403002);

-- name: LastRuns :one
-- The number of the last run, what the last one that has finished was as of, and the one that is under way.
SELECT coalesce(max(number), 0)::int AS number, (max(as_of) FILTER (WHERE state = 2))::date AS as_of,
       (coalesce(max(number) FILTER (WHERE state = 1), 0))::int AS under_way
  FROM run;

-- name: InsertRun :exec
-- The run takes all that is accepted and was not taken before.
WITH taken AS (
    UPDATE delivery SET run_number = @number::int WHERE state = 1 AND run_number IS NULL RETURNING rows)
INSERT INTO run (number, id, state, as_of, rules, rows, begun_by)
SELECT @number, @id, 1, @as_of, @rules, (SELECT coalesce(sum(rows), 0) FROM taken) + (SELECT count(*) FROM open_movement WHERE until_run IS NULL), @begun_by;

-- name: EndedMatches :many
-- Provisional matches of which what the run takes tells how their movement ended; as source.go has it.
SELECT p.match_id FROM provisional_match p
 WHERE p.until_run IS NULL AND EXISTS (SELECT FROM match_leg l WHERE l.movement_id = p.movement_id AND l.match_id = p.match_id AND l.active)
   AND EXISTS (
       SELECT FROM movement d JOIN delivery t ON t.id = (d.id >> 32)::int
        WHERE d.payment_id = p.payment_id AND d.payment_id <> '' AND d.kind = p.kind AND d.ours AND t.run_number = @number
          AND (d.kind = 1 OR d.idem_key <> '' AND d.idem_key = p.idem_key)
          AND (p.standing = 1 AND d.standing <> 1 OR p.standing = 2 AND d.standing = 0));

-- name: EndProvisional :exec
UPDATE provisional_match SET until_run = @number::int WHERE match_id = ANY (@matches::bigint[]);

-- name: ReopenLegs :exec
-- What was matched with a movement that is in doubt or refused is looked at again.
INSERT INTO open_movement (movement_id, since_run, partition_id)
SELECT l.movement_id, (@number::int) - 1, m.partition_id
  FROM match_leg l JOIN movement m ON m.id = l.movement_id
 WHERE l.match_id = ANY (@matches::bigint[]) AND l.active AND (NOT m.ours OR m.standing = 0);

-- name: TransitOfUndone :exec
-- Takes the legs of matches that are undone off again what was on its way.
INSERT INTO run_transit (run_number, partition_id, since, until, undone, legs, amount_minor)
SELECT @number, partition_id, day, last, true, -count(*), -sum(amount)
  FROM (SELECT m.partition_id, m.day, max(m.day) OVER (PARTITION BY l.match_id) AS last,
               CASE WHEN NOT m.ours THEN -m.amount_minor WHEN m.standing = 0 THEN m.amount_minor END AS amount
          FROM match_leg l JOIN movement m ON m.id = l.movement_id
          JOIN match t ON t.id = l.match_id AND t.pass > 0
         WHERE l.match_id = ANY (@matches::bigint[]) AND l.active) legs
 WHERE day < last AND amount IS NOT NULL
 GROUP BY partition_id, day, last
    ON CONFLICT (partition_id, until, since, run_number, undone) DO UPDATE
   SET legs = run_transit.legs + excluded.legs, amount_minor = run_transit.amount_minor + excluded.amount_minor;

-- name: UndoFindings :exec
-- What was found about matches that are undone does not count any more.
UPDATE run_finding f SET undone_run = @number::int
  FROM (SELECT t.partition_id, (t.id >> 32)::int AS run_number, array_agg(l.movement_id) AS movements
          FROM match t JOIN match_leg l ON l.match_id = t.id AND l.active
         WHERE t.id = ANY (@matches::bigint[]) GROUP BY t.id, t.partition_id) u
 WHERE f.matched AND f.undone_run IS NULL AND f.partition_id = u.partition_id AND f.run_number = u.run_number
   AND f.ours || f.theirs && u.movements;

-- name: UndoMatches :exec
UPDATE match_pair SET undone_run = @number::int WHERE match_id = ANY (@matches::bigint[]) AND undone_run = 0;

-- name: RunUnderWay :one
SELECT number, id FROM run WHERE state = 1;

-- name: Standing :one
-- The version of the rules that is active, and whether a run is under way.
SELECT (SELECT version FROM rule_activation ORDER BY id DESC LIMIT 1)::int AS rules, EXISTS (SELECT FROM run WHERE state = 1) AS under_way;

-- name: TakeRun :one
UPDATE run SET epoch = epoch + 1 WHERE state = 1 RETURNING number, id, epoch, as_of, rules, rows, telling, cancelling;

-- name: HoldRun :execrows
SELECT FROM run WHERE number = @number AND epoch = @epoch AND state = 1 AND cancelling = '' FOR SHARE;

-- name: SetTrouble :exec
UPDATE run SET trouble = @trouble WHERE number = @number AND epoch = @epoch AND state = 1 AND trouble <> @trouble;

-- name: ListPieces :many
SELECT partition_id, piece FROM run_piece WHERE run_number = @run_number;

-- name: InsertPiece :exec
INSERT INTO run_piece (run_number, partition_id, piece, matches, movements) VALUES (@run_number, @partition_id, @piece, @matches, @movements);

-- name: ListRunPartitions :many
SELECT r.partition_id, p.stage, p.account, p.currency, r.matches, r.by_pass, r.ours, r.theirs, r.ours_matched, r.theirs_matched,
       r.settled, r.breaks, r.digest, r.told
  FROM run_partition r JOIN partition p ON p.id = r.partition_id
 WHERE r.run_number = @run_number ORDER BY p.account COLLATE "C", p.stage, p.currency COLLATE "C";

-- name: InsertRunPartition :exec
INSERT INTO run_partition (run_number, partition_id, first_place, matches, by_pass, ours, theirs, ours_matched, theirs_matched,
                           settled, breaks, digest)
VALUES (@run_number, @partition_id, @first_place, @matches, @by_pass, @ours, @theirs, @ours_matched, @theirs_matched,
        @settled, @breaks, @digest);

-- name: CloseOpen :exec
UPDATE open_movement SET until_run = @run_number::int WHERE movement_id = ANY (@movements::bigint[]) AND until_run IS NULL;

-- name: InsertProvisional :exec
INSERT INTO provisional_match (match_id, movement_id, payment_id, kind, standing, idem_key)
SELECT u.match_id, m.id, m.payment_id, m.kind, m.standing, m.idem_key
  FROM (SELECT unnest(@matches::bigint[]) AS match_id, unnest(@movements::bigint[]) AS movement_id) u JOIN movement m ON m.id = u.movement_id;

-- name: BeginTelling :execrows
UPDATE run SET telling = true WHERE number = @number AND epoch = @epoch AND state = 1 AND cancelling = '';

-- name: ListFindings :many
-- What becomes breaks: how payouts were adjusted is explained by what was found about their lines, and what was converted is as it
-- should be.
SELECT code, matched, ours, theirs, amount_minor, nearest FROM run_finding
 WHERE run_number = @run_number AND partition_id = @partition_id AND code NOT IN ('ADJUSTED', 'CONVERTED') ORDER BY place;

-- name: ListSighted :many
-- One index lookup each, whatever the plan.
SELECT m.id, m.key, m.ours, m.payment_id, m.reference
  FROM unnest(@ids::bigint[]) AS told (id)
 CROSS JOIN LATERAL (SELECT v.id, v.key, v.ours, v.payment_id, v.reference FROM movement v WHERE v.id = told.id OFFSET 0) AS m;

-- name: SetTold :exec
UPDATE run_partition SET told = true WHERE run_number = @run_number AND partition_id = @partition_id;

-- name: PlacesOfFindings :many
-- Partitions in which something was found that was not matched, by the last run before this one that has finished.
SELECT DISTINCT f.partition_id FROM run_finding f
 WHERE NOT f.matched AND f.run_number = (SELECT max(r.number) FROM run r WHERE r.number < @number AND r.state = 2);

-- name: FinishRun :execrows
UPDATE run SET state = 2, ended_at = now(), trouble = '', digest = @digest, public_key = @public_key, signature = @signature
 WHERE number = @number AND epoch = @epoch AND state = 1 AND telling;

-- name: DropPieces :exec
DELETE FROM run_piece WHERE run_number = @run_number;

-- name: DropFindings :exec
-- What earlier runs left open was found again by this one, as far as it still holds.
DELETE FROM run_finding WHERE run_number < @run_number AND NOT matched;

-- name: LockRun :one
SELECT number, state, telling, cancelling FROM run WHERE id = @id FOR UPDATE;

-- name: AskToCancel :exec
UPDATE run SET cancelling = @cancelling WHERE number = @number;

-- name: UndoRunMatches :exec
DELETE FROM match_pair WHERE match_id BETWEEN (@number::int)::bigint << 32 AND ((@number::int)::bigint << 32) + 2147483647;

-- name: UndoRunResults :exec
WITH p AS (DELETE FROM run_partition WHERE run_number = @number::int),
     f AS (DELETE FROM run_finding WHERE run_number = @number::int),
     d AS (DELETE FROM run_day WHERE run_number = @number::int),
     t AS (DELETE FROM run_transit WHERE run_number = @number::int),
     m AS (DELETE FROM provisional_match WHERE match_id >> 32 = @number::int)
DELETE FROM run_piece WHERE run_number = @number::int;

-- name: UndoRunOpen :exec
DELETE FROM open_movement WHERE since_run = @number::int;

-- name: UndoRunClosed :exec
UPDATE open_movement SET until_run = NULL WHERE until_run = @number::int AND NOT by_hand;

-- name: UndoRunReopened :exec
-- Provisional matches that the run undid hold again.
WITH back AS (UPDATE provisional_match SET until_run = NULL WHERE until_run = @number::int RETURNING match_id),
     pairs AS (UPDATE match_pair SET undone_run = 0 WHERE match_id IN (SELECT match_id FROM back) AND undone_run = @number::int RETURNING ours_id, theirs_id)
DELETE FROM open_movement WHERE since_run + 1 = @number::int AND until_run IS NULL AND movement_id IN (SELECT ours_id FROM pairs UNION ALL SELECT theirs_id FROM pairs);

-- name: UndoRunUndone :exec
-- What was found about provisional matches that the run undid counts again.
UPDATE run_finding f SET undone_run = NULL
  FROM (SELECT t.partition_id, (t.id >> 32)::int AS run_number, array_agg(l.movement_id) AS movements
          FROM match t JOIN match_leg l ON l.match_id = t.id JOIN provisional_match p ON p.match_id = t.id AND p.until_run = @number::int
         GROUP BY t.id, t.partition_id) u
 WHERE f.matched AND f.undone_run = @number::int AND f.partition_id = u.partition_id AND f.run_number = u.run_number
   AND f.ours || f.theirs && u.movements;

-- name: UndoRunTaken :exec
UPDATE delivery SET run_number = NULL WHERE run_number = @number::int;

-- name: CancelledRun :execrows
UPDATE run SET state = 3, ended_at = now(), trouble = '' WHERE number = @number AND epoch = @epoch AND state = 1 AND cancelling <> '';

-- name: DeliveriesOfRun :one
-- The first and the last delivery that a run took, and whether there are no others between them; 0 for none.
SELECT t.first, t.last, NOT EXISTS (
       SELECT FROM delivery d WHERE d.id BETWEEN t.first AND t.last AND d.run_number IS DISTINCT FROM @run_number::int) AS whole
  FROM (SELECT coalesce(min(id), 0)::int AS first, coalesce(max(id), 0)::int AS last FROM delivery WHERE run_number = @run_number::int) t;

-- name: MovementTexts :many
SELECT id, concat_ws(' ', nullif(reference, ''), nullif(idem_key, ''), nullif(payout_id, ''), nullif(note, ''))::text AS text
  FROM movement WHERE id = ANY (@ids::bigint[]);

-- name: EarlierEffects :many
-- By how much payouts are off because of movements that earlier runs have matched.
SELECT f.payout_id, sum(f.effect_minor)::bigint AS effect_minor FROM run_finding f JOIN partition p ON p.id = f.partition_id
 WHERE f.matched AND f.effect_minor <> 0 AND f.payout_id = ANY (@payouts::text[]) AND f.run_number < @before
   AND (f.undone_run IS NULL OR f.undone_run > @before) AND p.stage = 1 AND p.account = @account AND p.currency = @currency
 GROUP BY f.payout_id;

-- name: PutFirstRules :exec
-- The rules that a system begins with, and that they are active.
WITH put AS (
    INSERT INTO rule_set (version, document, hash, note, created_by) VALUES (1, @document, @hash, @note, @created_by)
        ON CONFLICT (version) DO NOTHING RETURNING version)
INSERT INTO rule_activation (version, activated_by, reason) SELECT version, @created_by, @note FROM put;

-- name: LockRules :exec
LOCK TABLE rule_set IN SHARE ROW EXCLUSIVE MODE;

-- name: PutRules :one
INSERT INTO rule_set (version, document, hash, note, created_by)
SELECT max(version) + 1, @document, @hash, @note, @created_by FROM rule_set
RETURNING version;

-- name: ActivateRules :exec
INSERT INTO rule_activation (version, activated_by, reason) VALUES (@version, @activated_by, @reason);

-- name: ActiveRules :one
SELECT version FROM rule_activation ORDER BY id DESC LIMIT 1;

-- name: GetRules :one
SELECT version, document, hash, note, created_by, created_at FROM rule_set WHERE version = @version;

-- name: ListRules :many
SELECT version, document, hash, note, created_by, created_at FROM rule_set WHERE version < @before ORDER BY version DESC LIMIT @n;

-- name: ListActivations :many
SELECT version, at, activated_by, reason FROM rule_activation WHERE version = ANY (@versions::int[]) ORDER BY id;

-- name: PutSigningKey :exec
INSERT INTO signing_key (public_key, seed) VALUES (@public_key, @seed) ON CONFLICT DO NOTHING;

-- name: OwnSigningKey :one
SELECT seed FROM signing_key WHERE seed IS NOT NULL;

-- name: IsSigningKey :one
SELECT EXISTS (SELECT FROM signing_key WHERE public_key = @public_key);

-- name: CountWaiting :one
-- What no run has taken, and when the last run ended.
SELECT (SELECT count(*) FROM delivery WHERE state = 1 AND run_number IS NULL) AS deliveries,
       EXISTS (SELECT FROM open_movement WHERE until_run IS NULL) AS is_open, (now() AT TIME ZONE 'UTC')::date AS today,
       (SELECT max(as_of) FROM run WHERE state = 2)::date AS as_of,
       coalesce((SELECT extract(epoch FROM now() - max(ended_at)) FROM run), 1e9)::float8 AS seconds;

-- name: GetRun :one
SELECT number, id, state, as_of, rules, rows, telling, trouble, begun_by, cancelling, started_at, ended_at, digest, public_key, signature
  FROM run WHERE id = @id;

-- name: ListRuns :many
SELECT number, id, state, as_of, rules, rows, telling, trouble, begun_by, cancelling, started_at, ended_at, digest, public_key, signature
  FROM run WHERE number < @before ORDER BY number DESC LIMIT @n;

-- name: NumberOfRun :one
SELECT number FROM run WHERE id = @id;

-- name: LastFinishedRun :one
SELECT id FROM run WHERE state = 2 ORDER BY number DESC LIMIT 1;

-- name: SumPieces :one
SELECT coalesce(sum(matches), 0)::bigint AS matches, coalesce(sum(movements), 0)::bigint AS movements FROM run_piece WHERE run_number = @run_number;

-- name: ResultsOfRuns :many
SELECT r.run_number, r.partition_id, p.stage, p.account, p.currency, r.matches, r.by_pass, r.ours, r.theirs, r.ours_matched, r.theirs_matched,
       r.settled, r.breaks, r.digest
  FROM run_partition r JOIN partition p ON p.id = r.partition_id
 WHERE r.run_number = ANY (@numbers::int[]) ORDER BY r.run_number, p.account COLLATE "C", p.stage, p.currency COLLATE "C";

-- name: CountOpen :many
SELECT p.stage, count(*) FROM open_movement o JOIN partition p ON p.id = o.partition_id WHERE o.until_run IS NULL GROUP BY p.stage;

-- name: MatchesOfRun :many
SELECT id, partition_id, pass, ours_by, theirs_by, score, evidence FROM match
 WHERE id > @after::bigint AND id <= @until::bigint ORDER BY id;

-- name: MatchesOfMovement :many
-- Those that hold, and those that were undone.
SELECT t.id, t.partition_id, t.pass, t.ours_by, t.theirs_by, t.score, t.evidence FROM match t
 WHERE t.id > @after::bigint AND t.id IN (
       SELECT l.match_id FROM movement m JOIN match_leg l ON l.movement_id = m.id AND l.active WHERE m.key = @key
        UNION ALL
       SELECT l.match_id FROM movement m JOIN match_leg l ON l.movement_id = m.id AND NOT l.active WHERE m.key = @key)
 ORDER BY t.id LIMIT @n;

-- name: MatchesOfPayment :many
SELECT t.id, t.partition_id, t.pass, t.ours_by, t.theirs_by, t.score, t.evidence FROM match t
 WHERE t.id > @after::bigint AND t.id IN (
       SELECT l.match_id FROM movement m JOIN match_leg l ON l.movement_id = m.id AND l.active WHERE m.payment_id = @payment_id AND m.payment_id <> ''
        UNION ALL
       SELECT l.match_id FROM movement m JOIN match_leg l ON l.movement_id = m.id AND NOT l.active WHERE m.payment_id = @payment_id AND m.payment_id <> '')
 ORDER BY t.id LIMIT @n;

-- name: LegsOfMatches :many
SELECT l.match_id, l.active, m.key, m.ours, m.kind, m.amount_minor, m.fee_minor, m.day, m.provider_id, m.reference, m.payout_id, m.payment_id
  FROM match_leg l JOIN movement m ON m.id = l.movement_id
 WHERE l.match_id = ANY (@ids::bigint[]) ORDER BY l.match_id, m.ours DESC, m.day, m.key;
-- Statements.

-- name: SettledTwins :many
-- Movements that earlier runs matched and that may tell that one of these is there twice: ours with the same reference or payout
-- as theirs, and what was matched with ours that have the same reference as one of ours.
WITH asked AS (
    SELECT m.id, m.partition_id, m.ours, m.kind, m.amount_minor, m.reference, m.payout_id, m.idem_key FROM movement m WHERE m.id = ANY (@ids::bigint[])
), near AS (
    SELECT a.ours AS asked_ours, o.id FROM asked a JOIN movement o ON o.reference = a.reference AND o.ours AND o.reference <> ''
       AND o.partition_id = a.partition_id AND o.kind = a.kind AND o.amount_minor = a.amount_minor AND o.id <> a.id
     UNION ALL
    SELECT false, o.id FROM asked a JOIN movement o ON o.payout_id IN (a.payout_id, a.idem_key, a.reference) AND o.ours AND o.payout_id <> ''
       AND o.partition_id = a.partition_id AND o.kind = a.kind AND o.amount_minor = a.amount_minor AND NOT a.ours
), settled AS (
    SELECT n.asked_ours, n.id, l.match_id FROM near n JOIN match_leg l ON l.movement_id = n.id AND l.active
     UNION ALL
    SELECT n.asked_ours, n.id, l.match_id FROM near n JOIN match_leg l ON l.movement_id = n.id AND NOT l.active
     WHERE l.undone_run > @run::int
), before AS (
    SELECT s.asked_ours, s.id, s.match_id FROM settled s
     WHERE s.match_id BETWEEN 0 AND @last::bigint
        OR s.match_id < 0 AND EXISTS (SELECT FROM open_movement o WHERE o.movement_id = s.id AND o.by_hand AND o.until_run <= @run::int)
)
SELECT s.id FROM before s WHERE NOT s.asked_ours
 UNION
SELECT l.movement_id FROM before s JOIN match_leg l ON l.match_id = s.match_id JOIN movement t ON t.id = l.movement_id AND NOT t.ours
 WHERE s.asked_ours;

-- name: StoredMatches :many
-- Matches of a run in a range, each with its movements, also undone ones.
SELECT m.id, m.partition_id, m.pass, m.ours_by, m.theirs_by, m.score, m.evidence, l.movements
  FROM match m JOIN (
       SELECT match_id, array_agg(movement_id ORDER BY movement_id)::bigint[] AS movements FROM match_leg
        WHERE match_id BETWEEN @first::bigint AND @last::bigint GROUP BY match_id) l ON l.match_id = m.id
 WHERE m.id BETWEEN @first::bigint AND @last::bigint ORDER BY m.id;

-- name: CountStoredMatches :one
SELECT count(*) FROM match WHERE id BETWEEN (@number::int)::bigint << 32 AND ((@number::int)::bigint << 32) + 2147483647;

-- name: KeysOf :many
SELECT id, key FROM movement WHERE id = ANY (@ids::bigint[]);

-- name: StoredLegs :many
-- What is matched of movements of a partition up to a day, by movement.
SELECT l.movement_id::bigint AS movement_id, l.match_id FROM match_leg l JOIN movement m ON m.id = l.movement_id
 WHERE l.active AND m.partition_id = @partition_id AND m.day <= @until ORDER BY l.movement_id;

-- name: StoredPasses :many
-- Matches that hold, of movements of partitions up to a day.
SELECT t.partition_id, t.pass, count(DISTINCT t.id) AS matches
  FROM match_leg l JOIN movement m ON m.id = l.movement_id JOIN match t ON t.id = l.match_id
 WHERE l.active AND m.partition_id = ANY (@places::int[]) AND m.day <= @until GROUP BY t.partition_id, t.pass;

-- name: StoredFindings :many
-- What was found and still holds, of movements up to a day: about what is matched by any run, about the rest by the last one.
SELECT f.partition_id, f.code, count(*) AS count, sum(abs(f.amount_minor))::bigint AS amount_minor FROM run_finding f
 WHERE f.partition_id = ANY (@places::int[]) AND f.day <= @until AND f.code NOT IN ('ADJUSTED', 'CONVERTED')
   AND (f.matched AND f.undone_run IS NULL OR NOT f.matched AND f.run_number = (SELECT max(number) FROM run WHERE state = 2))
   AND f.run_number <= (SELECT max(number) FROM run WHERE state = 2)
 GROUP BY f.partition_id, f.code;

-- Reports. They are of what the last finished run has left, and of what people did since. Contributions are what our books have
-- more: ours count as more, theirs as less, and ours in doubt or refused as nothing.

-- name: ReportRun :one
SELECT number, id, as_of, digest FROM run WHERE state = 2 ORDER BY number DESC LIMIT 1;

-- name: ReportDays :many
-- What the days up to one come to: those before the time, and those in it.
SELECT p.stage, d.ours, d.kind, (d.day >= @since)::boolean AS within, sum(d.movements)::bigint AS movements,
       sum(d.amount_minor)::bigint AS amount_minor, sum(d.fee_minor)::bigint AS fee_minor
  FROM run_day d JOIN partition p ON p.id = d.partition_id
 WHERE d.partition_id = ANY (@places::int[]) AND d.run_number <= @run AND d.day <= @until
 GROUP BY p.stage, d.ours, d.kind, d.day >= @since;

-- name: ReportTransit :many
SELECT p.stage, sum(t.legs)::bigint AS legs, sum(t.amount_minor)::bigint AS amount_minor
  FROM run_transit t JOIN partition p ON p.id = t.partition_id
 WHERE t.partition_id = ANY (@places::int[]) AND (t.run_number <= @run::int OR t.undone AND t.run_number - 1 = @run::int)
   AND t.since <= @until AND t.until > @until
 GROUP BY p.stage;

-- name: ReportOpen :many
-- What is open, by what the run has found about it; what was matched and is not any more is REOPENED.
WITH found AS (
    SELECT DISTINCT ON (v.movement_id) v.movement_id, f.code
      FROM run_finding f CROSS JOIN LATERAL unnest(f.ours || f.theirs) AS v (movement_id)
     WHERE f.run_number = @finished::int AND NOT f.matched ORDER BY v.movement_id, f.place)
SELECT p.stage, coalesce(f.code, CASE WHEN EXISTS (SELECT FROM match_leg l WHERE l.movement_id = m.id AND NOT l.active) THEN 'REOPENED' ELSE '' END)::text AS code,
       count(*) AS count, sum(CASE WHEN m.ours THEN m.amount_minor ELSE -m.amount_minor END)::bigint AS amount_minor
  FROM open_movement o JOIN movement m ON m.id = o.movement_id JOIN partition p ON p.id = m.partition_id
  LEFT JOIN found f ON f.movement_id = m.id
 WHERE o.partition_id = ANY (@places::int[]) AND o.since_run <= @run::int AND (o.until_run IS NULL OR o.until_run > @run::int AND NOT o.by_hand)
   AND m.day <= @until AND (NOT m.ours OR m.standing = 0)
 GROUP BY 1, 2;

-- name: ReportNotes :many
-- What was found about what is matched: those before the time, and those in it.
SELECT p.stage, f.code, (f.day >= @since)::boolean AS within, count(*) AS count, sum(f.drift_minor)::bigint AS drift_minor
  FROM run_finding f JOIN partition p ON p.id = f.partition_id
 WHERE f.partition_id = ANY (@places::int[]) AND f.matched AND f.undone_run IS NULL AND f.run_number <= @run AND f.day <= @until AND f.drift_minor <> 0
 GROUP BY p.stage, f.code, f.day >= @since;

-- name: ReportByHand :many
-- What is left of matches that people made.
SELECT p.stage, t.id, sum(CASE WHEN NOT m.ours THEN -m.amount_minor WHEN m.standing = 0 THEN m.amount_minor ELSE 0 END)::bigint AS amount_minor,
       max(m.day)::date AS day, count(*) AS movements
  FROM match t JOIN match_leg l ON l.match_id = t.id AND l.active JOIN movement m ON m.id = l.movement_id JOIN partition p ON p.id = m.partition_id
 WHERE t.pass = 0 AND m.partition_id = ANY (@places::int[]) AND m.day <= @until AND t.id > @after::bigint
 GROUP BY p.stage, t.id
HAVING sum(CASE WHEN NOT m.ours THEN -m.amount_minor WHEN m.standing = 0 THEN m.amount_minor ELSE 0 END) <> 0
 ORDER BY t.id, p.stage LIMIT @n;

-- name: CountUntaken :one
SELECT coalesce(sum(rows), 0)::bigint AS movements FROM delivery WHERE state = 1 AND (run_number IS NULL OR run_number > @run);

-- name: ReportOpenLines :many
WITH found AS (
    SELECT DISTINCT ON (v.movement_id) v.movement_id, f.code
      FROM run_finding f CROSS JOIN LATERAL unnest(f.ours || f.theirs) AS v (movement_id)
     WHERE f.run_number = @finished::int AND NOT f.matched ORDER BY v.movement_id, f.place)
SELECT m.id, m.key, p.stage, coalesce(f.code, CASE WHEN EXISTS (SELECT FROM match_leg l WHERE l.movement_id = m.id AND NOT l.active) THEN 'REOPENED' ELSE '' END)::text AS code,
       (CASE WHEN m.ours THEN m.amount_minor ELSE -m.amount_minor END)::bigint AS amount_minor, m.day, m.reference, m.provider_id, m.payment_id
  FROM open_movement o JOIN movement m ON m.id = o.movement_id JOIN partition p ON p.id = m.partition_id
  LEFT JOIN found f ON f.movement_id = m.id
 WHERE o.partition_id = ANY (@places::int[]) AND o.since_run <= @run::int AND (o.until_run IS NULL OR o.until_run > @run::int AND NOT o.by_hand)
   AND m.day <= @until AND (NOT m.ours OR m.standing = 0) AND m.id > @after::bigint
 ORDER BY m.id LIMIT @n;

-- name: ReportNoteLines :many
SELECT f.run_number, f.partition_id, f.place, p.stage, f.code, f.drift_minor, f.day, (f.ours || f.theirs)::bigint[] AS movements
  FROM run_finding f JOIN partition p ON p.id = f.partition_id
 WHERE f.partition_id = ANY (@places::int[]) AND f.matched AND f.undone_run IS NULL AND f.run_number <= @run AND f.day <= @until AND f.drift_minor <> 0
   AND (f.partition_id, f.run_number, f.place) > (@after_partition::int, @after_run::int, @after_place::int)
 ORDER BY f.partition_id, f.run_number, f.place LIMIT @n;

-- name: ReportTransitLines :many
SELECT p.stage, t.partition_id, t.since, t.until, sum(t.legs)::bigint AS legs, sum(t.amount_minor)::bigint AS amount_minor
  FROM run_transit t JOIN partition p ON p.id = t.partition_id
 WHERE t.partition_id = ANY (@places::int[]) AND (t.run_number <= @run::int OR t.undone AND t.run_number - 1 = @run::int)
   AND t.since <= @until AND t.until > @until
 GROUP BY p.stage, t.partition_id, t.since, t.until
HAVING sum(t.legs) <> 0
 ORDER BY t.partition_id, t.since, t.until;

-- Statements.

-- name: BeginFile :exec
INSERT INTO statement_file (id, state, account, stage, format, name, reading, sha256, delivery_id, payouts_id, created_by)
VALUES (@id, 0, @account, @stage, @format, @name, @reading, @sha256, @delivery_id, @payouts_id, @created_by);

-- name: ResumeFile :one
-- What is left of an earlier attempt at the same content, read the same way. From now on only this attempt may write.
UPDATE statement_file SET attempt = attempt + 1, name = @name, created_by = @created_by, written_at = now()
 WHERE id = (SELECT f.id FROM statement_file f
              WHERE f.state = 0 AND NOT f.clearing AND f.account = @account AND f.stage = @stage AND f.format = @format
                AND f.reading = @reading AND f.sha256 = @sha256 AND @sha256 <> ''::bytea LIMIT 1)
RETURNING id, delivery_id, payouts_id, attempt, pieces, control;

-- name: AbandonFiles :exec
-- Files that nobody brings any more: of the account and side, but one, nothing may come in besides.
UPDATE statement_file SET clearing = true, attempt = attempt + 1
 WHERE state = 0 AND account = @account AND stage = @stage AND id <> @kept AND NOT clearing;

-- name: AbandonFile :exec
UPDATE statement_file SET clearing = true, attempt = attempt + 1 WHERE id = @id AND state = 0 AND attempt = @attempt;

-- name: AbandonLeftFiles :exec
-- Files of which nothing was written for so long.
UPDATE statement_file SET clearing = true, attempt = attempt + 1
 WHERE state = 0 AND NOT clearing AND written_at < now() - make_interval(secs => @after_seconds::float8);

-- name: ListToClear :many
SELECT id FROM statement_file WHERE clearing ORDER BY id LIMIT 100;

-- name: ListToClearOf :many
SELECT id FROM statement_file WHERE clearing AND account = @account AND stage = @stage ORDER BY id;

-- name: TouchFile :execrows
-- Holds the row for the attempt that may write.
UPDATE statement_file SET written_at = now() WHERE id = @id AND attempt = @attempt AND state = 0 AND NOT clearing;

-- name: WritePiece :execrows
UPDATE statement_file SET pieces = @pieces, control = @control, lines = @lines, movements = movements + @movements,
       overlapping = overlapping + @overlapping, differing = differing + @differing,
       difference = CASE WHEN difference = '' THEN @difference ELSE difference END,
       leans_on = (SELECT coalesce(array_agg(DISTINCT d ORDER BY d), '{}') FROM unnest(leans_on || @leans_on::int[]) AS d),
       written_at = now()
 WHERE id = @id AND attempt = @attempt AND state = 0 AND NOT clearing;

-- name: FindMovements :many
-- Those of these keys that are there, with what they say.
SELECT key, id, partition_id, amount_minor, fee_minor, day FROM movement WHERE key = ANY (@keys::uuid[]);

-- name: FindRepeated :many
SELECT key, seen FROM repeated_key WHERE delivery_id = @delivery_id AND key = ANY (@keys::uuid[]);

-- name: PutRepeated :exec
INSERT INTO repeated_key (delivery_id, key, seen)
SELECT @delivery_id, u.key, u.seen FROM (SELECT unnest(@keys::uuid[]) AS key, unnest(@seen::int[]) AS seen) u
    ON CONFLICT (delivery_id, key) DO UPDATE SET seen = excluded.seen;

-- name: DropRepeated :exec
DELETE FROM repeated_key WHERE delivery_id = @delivery_id;

-- name: LockDecisions :exec
-- What is accepted, held and dropped is decided on by one at a time, for each decision looks at all others.
SELECT pg_advisory_xact_lock(7266337120331);

-- name: FileOfContent :one
-- The file that has this content, if it counts, or was refused as it would be again.
SELECT id FROM statement_file WHERE sha256 = @sha256 AND (state IN (1, 2) OR state = 3 AND reading = @reading) ORDER BY id LIMIT 1;

-- name: CountRepeat :one
UPDATE statement_file SET repeats = repeats + 1 WHERE id = @id RETURNING account;

-- name: CompleteFile :exec
UPDATE statement_file
   SET state = @state, decided_at = now(), sha256 = @sha256, size_bytes = @size_bytes, lines = @lines, pending = @pending,
       payout_lines = @payout_lines, statements = @statements, proofs = @proofs, failing = @failing,
       failing_proofs = @failing_proofs, note = @note, clearing = @clearing
 WHERE id = @id;

-- name: SetDeliveries :exec
-- What a file brings shares its state. How many movements a report's payouts are is counted.
UPDATE delivery d
   SET state = f.state, rows = CASE WHEN d.id = f.delivery_id THEN f.movements
                                    ELSE (SELECT count(*) FROM movement m WHERE m.id BETWEEN (d.id::bigint << 32) AND (d.id::bigint << 32) + 4294967295) END
  FROM statement_file f WHERE f.id = @file_id AND (d.id = f.delivery_id OR d.id = f.payouts_id);

-- name: MeasureOverlap :exec
-- What of a file's statements are movements of other deliveries: what its lines come to, less what is there.
UPDATE statement s
   SET overlapping = s.last_place - s.first_place + 1 - m.n,
       overlap_minor = CASE WHEN jsonb_array_length(s.sums) = 1
                            THEN (s.sums -> 0 ->> 'credits')::bigint + (s.sums -> 0 ->> 'debits')::bigint - (s.sums -> 0 ->> 'fees')::bigint - m.minor
                            ELSE 0 END
  FROM statement t CROSS JOIN LATERAL (
       SELECT count(*) AS n, coalesce(sum(v.amount_minor - v.fee_minor), 0)::bigint AS minor FROM movement v
        WHERE v.id BETWEEN (@delivery_id::bigint << 32) + t.first_place AND (@delivery_id::bigint << 32) + t.last_place) m
 WHERE s.file_id = @file_id AND t.id = s.id AND EXISTS (SELECT FROM statement_file f WHERE f.id = @file_id AND f.overlapping > 0);

-- name: GetFile :one
SELECT id, state, account, stage, format, name, sha256, size_bytes, delivery_id, payouts_id, created_by, created_at, decided_at, lines,
       movements, overlapping, control, pending, payout_lines, statements, proofs, failing, failing_proofs, note, repeats
  FROM statement_file WHERE id = @id AND NOT (state = 0 AND clearing);

-- name: ListFiles :many
-- Newest first: ids are UUIDv7. Of no account: all; of state -1: all.
SELECT id, state, account, stage, format, name, sha256, size_bytes, delivery_id, payouts_id, created_by, created_at, decided_at, lines,
       movements, overlapping, control, pending, payout_lines, statements, proofs, failing, failing_proofs, note, repeats
  FROM statement_file
 WHERE id < @before AND NOT (state = 0 AND clearing) AND (@account::text = '' OR account = @account)
   AND (@state::smallint < 0 OR state = @state)
 ORDER BY id DESC LIMIT @n;

-- name: GetStatement :one
SELECT id, file_id, number, standing, note, sender_id, bank_account, currency, sequence, page, opening_minor, opening_day,
       closing_minor, closing_day, lines, pending, overlapping, sums, first_place, last_place
  FROM statement WHERE id = @id;

-- name: ListStatements :many
-- Newest file first, and in its order. Of no bank account: all; of standing 0: all.
SELECT id, file_id, number, standing, note, sender_id, bank_account, currency, sequence, page, opening_minor, opening_day,
       closing_minor, closing_day, lines, pending, overlapping, sums, first_place, last_place
  FROM statement
 WHERE (file_id < @before OR file_id = @before AND number > @after) AND (NOT @one_file::boolean OR file_id = @before)
   AND (@bank_account::text = '' OR bank_account = @bank_account) AND (@standing::smallint = 0 OR standing = @standing)
 ORDER BY file_id DESC, number LIMIT @n;

-- name: ListLines :many
SELECT m.id, m.key, m.kind, m.amount_minor, m.fee_minor, p.currency, m.day, m.other_day, m.line, m.provider_id, m.parent_id, m.idem_key,
       m.reference, m.payout_id, m.note, coalesce(m.original_minor, 0)::bigint AS original_minor, coalesce(m.original_currency, '')::text AS original_currency
  FROM movement m JOIN partition p ON p.id = m.partition_id
 WHERE m.id > @after AND m.id <= @last ORDER BY m.id LIMIT @n;

-- name: LockFile :one
SELECT id, state, account, stage, delivery_id, payouts_id, clearing FROM statement_file WHERE id = @id FOR NO KEY UPDATE;

-- name: ListHeld :many
SELECT id, account, stage, format, sha256, delivery_id, payouts_id, movements, leans_on, difference FROM statement_file
 WHERE state = 2 AND NOT clearing ORDER BY id;

-- name: ListToJudge :many
-- The statements of a file as far as others matter for them.
SELECT id, number, standing, note, series, currency, sequence, page, opening_minor, opening_day, closing_minor, closing_day, first_day,
       last_day, lines, pending, unkeyed, overlapping, last_place - first_place + 1 AS places
  FROM statement WHERE file_id = @file_id ORDER BY number;

-- name: ListSeries :many
-- The statements that count of these series.
SELECT s.id, s.file_id, f.format, s.series, s.currency, s.sequence, s.page, s.opening_minor, s.opening_day, s.closing_minor, s.closing_day,
       s.first_day, s.last_day, s.lines, s.unkeyed
  FROM statement s JOIN statement_file f ON f.id = s.file_id AND f.state = 1
 WHERE (s.series, s.currency) IN (SELECT unnest(@series::text[]), unnest(@currencies::text[])) AND s.standing IN (1, 6)
 ORDER BY s.closing_day, s.sequence, s.page, s.id;

-- name: SetStandings :exec
UPDATE statement s SET standing = u.standing, note = u.note
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@standings::smallint[]) AS standing, unnest(@notes::text[]) AS note) u
 WHERE s.id = u.id AND (s.standing, s.note) IS DISTINCT FROM (u.standing, u.note);

-- name: FilesOfDeliveries :many
SELECT id, state FROM statement_file WHERE delivery_id = ANY (@ids::int[]) OR payouts_id = ANY (@ids::int[]) ORDER BY id;

-- name: LeaningFile :one
-- Another file that counts on movements of these deliveries.
SELECT id FROM statement_file
 WHERE leans_on && @ids::int[] AND state IN (1, 2) AND delivery_id <> ALL (@ids::int[]) ORDER BY id LIMIT 1;

-- name: SetFile :exec
UPDATE statement_file SET state = @state, note = @note, decided_at = now() WHERE id = @id;

-- name: SetNote :exec
UPDATE statement_file SET note = @note WHERE id = @id AND note <> @note;

-- name: CurrenciesOf :many
-- The currencies of a file's lines.
SELECT DISTINCT (e ->> 'currency')::text AS currency FROM statement s CROSS JOIN LATERAL jsonb_array_elements(s.sums) AS e
 WHERE s.file_id = @file_id ORDER BY currency;

-- name: InsertPayouts :exec
-- What a report pays out: for each payout and currency the net of its lines.
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day, payout_id, note)
SELECT greatest(@payouts_id::bigint << 32, (SELECT max(e.id) FROM movement e WHERE e.id BETWEEN (@payouts_id::bigint << 32) AND (@payouts_id::bigint << 32) + 4294967295))
           + row_number() OVER (ORDER BY n.payout_id, n.currency),
       identity_of('payout', @account::text, n.payout_id, n.currency, @content::text), q.id, true, 6, n.minor::bigint, n.day, n.payout_id,
       'payout of ' || n.lines || ' lines'
  FROM (SELECT m.payout_id, p.currency, sum(m.amount_minor - m.fee_minor) AS minor, min(coalesce(m.other_day, m.day)) AS day, count(*) AS lines
          FROM movement m JOIN partition p ON p.id = m.partition_id
         WHERE m.id BETWEEN (@delivery_id::bigint << 32) AND (@delivery_id::bigint << 32) + 4294967295 AND m.payout_id <> ''
         GROUP BY m.payout_id, p.currency HAVING sum(m.amount_minor - m.fee_minor) <> 0) n
  JOIN partition q ON q.stage = 2 AND q.account = @account::text AND q.currency = n.currency;

-- name: CountMovements :one
SELECT count(*) FROM movement WHERE id BETWEEN @first AND @last;

-- name: RemoveMovements :exec
DELETE FROM movement WHERE id BETWEEN @first AND @last;

-- name: ToClear :one
SELECT id, state, delivery_id, payouts_id FROM statement_file WHERE id = @id AND clearing;

-- name: DroppedRanges :many
SELECT first_place, last_place FROM statement WHERE file_id = @file_id AND standing = 5 AND last_place >= first_place ORDER BY number;

-- name: Cleared :exec
UPDATE statement_file SET clearing = false, movements = @movements WHERE id = @id AND clearing;

-- name: RemoveFile :exec
WITH file AS (DELETE FROM statement_file WHERE statement_file.id = @id AND statement_file.state = 0 AND statement_file.clearing
              RETURNING delivery_id, payouts_id)
DELETE FROM delivery d USING file WHERE d.id = file.delivery_id OR d.id = file.payouts_id;

-- name: InsertAction :exec
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES (@id, @actor, @verb, @target, @reason);

-- name: BeginClearing :exec
UPDATE statement_file SET clearing = true WHERE id = @id;

-- The internal side: movements and facts from events, and what is done about them.

-- name: LockOpenDelivery :many
SELECT id FROM delivery WHERE kind = 3 AND state = 0 FOR NO KEY UPDATE;

-- name: MakeOpenDelivery :exec
INSERT INTO delivery (kind, state) VALUES (3, 0) ON CONFLICT (kind) WHERE kind = 3 AND state = 0 DO NOTHING;

-- name: AcceptOpenDelivery :exec
UPDATE delivery SET state = 1 WHERE kind = 3 AND state = 0 AND rows > 0 AND created_at <= clock_timestamp() - make_interval(secs => @seconds::float8);

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

-- name: GetFacts :many
SELECT id, recurring, told, coalesce(reservation_id, '00000000-0000-0000-0000-000000000000')::uuid AS reservation_id,
       coalesce(shipment_id, '00000000-0000-0000-0000-000000000000')::uuid AS shipment_id,
       coalesce(payment_id, '00000000-0000-0000-0000-000000000000')::uuid AS payment_id, currency, total_minor, authorized_minor,
       captured_minor, refunded_minor, charged_back_minor, begun_at, told_at, looks, sighted, now()::timestamptz AS now
  FROM order_fact WHERE id = @id;

-- name: PutDoubts :exec
INSERT INTO doubt AS d (key, payment_id, operation_key, resolved)
SELECT unnest(@keys::uuid[]), unnest(@payment_ids::text[]), unnest(@operation_keys::text[]), unnest(@resolved::boolean[])
    ON CONFLICT (key) DO UPDATE SET resolved = d.resolved OR excluded.resolved, operation_key = excluded.operation_key
 WHERE NOT d.resolved;

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
  FROM ledger_minute WHERE differs GROUP BY currency HAVING sum(ours_minor) <> sum(theirs_minor) ORDER BY currency;

-- name: PositionsThrough :many
SELECT currency, coalesce(sum(theirs_minor), 0)::bigint AS minor FROM ledger_minute WHERE minute < @through GROUP BY currency;

-- name: KnownMovements :many
SELECT m.key FROM (SELECT unnest(@keys::uuid[]) AS key) AS n
 CROSS JOIN LATERAL (SELECT key FROM movement WHERE key = n.key OFFSET 0) AS m;

-- name: LookSoon :exec
UPDATE order_fact SET look_at = now() + make_interval(secs => @seconds::float8) WHERE id = @id;

-- name: ProvenDoubts :many
-- What is in doubt and that a statement has by an id, which is an open break. Of one payment, where one is named: however often
-- it was tried.
SELECT d.key, d.payment_id, d.operation_key, d.attempts, p.currency, m.amount_minor, sum(t.amount_minor)::bigint AS stated_minor,
       coalesce(max(nullif(t.provider_id, '')), max(t.parent_id), '')::text AS provider_id, min(t.line)::int AS line,
       (min(t.key::text))::uuid AS stated_key
  FROM break b
  JOIN break_movement l ON l.break_id = b.id AND l.ours
  JOIN movement m ON m.id = l.movement_id
  JOIN doubt d ON d.key = m.key AND NOT d.resolved
  JOIN partition p ON p.id = m.partition_id
  JOIN break_movement o ON o.break_id = b.id AND NOT o.ours
  JOIN movement t ON t.id = o.movement_id
 WHERE b.code = 'UNKNOWN_RESOLVED' AND b.state <> 5
   AND CASE WHEN @payment_id::text <> '' THEN d.payment_id = @payment_id::text
            ELSE d.attempts < @attempts::smallint AND d.next_at <= now() END
 GROUP BY d.key, d.payment_id, d.operation_key, d.attempts, d.next_at, p.currency, m.amount_minor
 ORDER BY d.next_at LIMIT @n;

-- name: TryDoubt :exec
UPDATE doubt SET attempts = attempts + 1, next_at = now() + make_interval(secs => @seconds::float8) WHERE key = @key;

-- name: SetDoubtFailure :exec
UPDATE doubt SET failure = @failure WHERE key = @key;

-- name: MatchedPayouts :many
-- Payouts of reports that are matched with a bank statement, by a run that has finished or by hand, and are not to be posted yet:
-- those of one match with what the match comes to on both sides, and how many payouts it has. Nothing is posted of what arrived in
-- another currency.
SELECT d.id AS delivery_id, p.account, m.payout_id, p.currency, l.match_id, sum(m.amount_minor)::bigint AS net_minor,
       s.ours_minor, s.theirs_minor, s.payouts, s.arrived_on
  FROM delivery d
  JOIN movement m ON m.id BETWEEN (d.id::bigint << 32) AND (d.id::bigint << 32) + 4294967295
  JOIN partition p ON p.id = m.partition_id
  JOIN match_leg l ON l.movement_id = m.id AND l.active
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(o.amount_minor) FILTER (WHERE o.ours), 0)::bigint AS ours_minor,
              coalesce(sum(o.amount_minor) FILTER (WHERE NOT o.ours), 0)::bigint AS theirs_minor,
              count(DISTINCT o.payout_id) FILTER (WHERE o.ours) AS payouts, count(*) FILTER (WHERE NOT o.ours) AS lines,
              coalesce(max(o.day) FILTER (WHERE NOT o.ours), 'epoch')::date AS arrived_on
         FROM match_leg k JOIN movement o ON o.id = k.movement_id WHERE k.match_id = l.match_id AND k.active) AS s
 WHERE (l.match_id < 0 OR EXISTS (SELECT FROM run r WHERE r.number = (l.match_id >> 32)::int AND r.state = 2)) AND d.kind = 2 AND d.state = 1 AND m.ours AND m.kind = 6 AND m.payout_id <> '' AND p.stage = 2 AND s.lines > 0
   AND NOT EXISTS (SELECT FROM payout_posting y WHERE y.account = p.account AND y.payout_id = m.payout_id AND y.currency = p.currency)
 GROUP BY d.id, p.account, m.payout_id, p.currency, l.match_id, s.ours_minor, s.theirs_minor, s.payouts, s.arrived_on
 ORDER BY d.id, m.payout_id LIMIT @n;

-- name: LinesOfPayouts :many
-- What the lines of a file's payouts come to that is no money of payments: fees, as far as the ledger does not have them with the
-- movements that they are matched with, and what the provider corrected. What the rules do not take for the provider's own (pass 7)
-- is a break, and booked when somebody decides on it. The fee of a dispute is the ledger's own matter until the dispute is matched.
SELECT x.payout_id, q.currency, coalesce(sum(x.amount_minor) FILTER (WHERE x.kind = 8 AND n.own), 0)::bigint AS adjust_minor,
       coalesce(sum(CASE WHEN x.kind = 5 THEN CASE WHEN n.own THEN x.fee_minor - x.amount_minor END WHEN x.kind IN (3, 4) THEN coalesce(x.fee_minor - o.fee_minor, 0)
                         ELSE x.fee_minor END), 0)::bigint AS fee_minor
  FROM statement_file f
  JOIN movement x ON x.id BETWEEN (f.delivery_id::bigint << 32) AND (f.delivery_id::bigint << 32) + 4294967295
  JOIN partition q ON q.id = x.partition_id
  LEFT JOIN LATERAL (
       SELECT sum(b.fee_minor)::bigint AS fee_minor
         FROM match_leg l JOIN match_leg k ON k.match_id = l.match_id AND k.active JOIN movement b ON b.id = k.movement_id AND b.ours
        WHERE x.kind IN (3, 4) AND l.movement_id = x.id AND l.active) AS o ON true
 CROSS JOIN LATERAL (
       SELECT x.kind IN (5, 8) AND EXISTS (
              SELECT FROM match_leg l JOIN match m ON m.id = l.match_id WHERE l.movement_id = x.id AND l.active AND m.pass = 7) AS own) AS n
 WHERE f.payouts_id = @payouts_delivery::int AND x.payout_id = ANY (@payout_ids::text[]) AND NOT x.ours AND q.stage = 1
 GROUP BY x.payout_id, q.currency;

-- name: InsertPostings :exec
INSERT INTO payout_posting (account, payout_id, currency, match_id, amount_minor, fee_minor, adjust_minor, arrived_on)
SELECT unnest(@accounts::text[]), unnest(@payout_ids::text[]), unnest(@currencies::text[]), unnest(@matches::bigint[]), unnest(@amounts::bigint[]),
       unnest(@fees::bigint[]), unnest(@adjusted::bigint[]), unnest(@days::date[])
    ON CONFLICT DO NOTHING;

-- name: TakePostings :many
-- Takes what is to be posted, and puts it off for the case that it fails.
UPDATE payout_posting SET attempts = attempts + 1,
       next_at = now() + least(make_interval(secs => @again_seconds::float8) * 2 ^ least(attempts, 10), interval '1 hour')
 WHERE (account, payout_id, currency) IN (
       SELECT account, payout_id, currency FROM payout_posting WHERE posted_at IS NULL AND next_at <= now() ORDER BY next_at LIMIT @n FOR UPDATE SKIP LOCKED)
RETURNING account, payout_id, currency, amount_minor, fee_minor, adjust_minor, arrived_on;

-- name: SetPosted :exec
UPDATE payout_posting SET posted_at = now(), journal_id = @journal_id, failure = ''
 WHERE account = @account AND payout_id = @payout_id AND currency = @currency AND posted_at IS NULL;

-- name: SetPostingFailure :exec
UPDATE payout_posting SET failure = @failure WHERE account = @account AND payout_id = @payout_id AND currency = @currency;

-- name: LastRunToCheck :many
-- The last run that has finished, when its open movements were not checked.
SELECT r.number FROM run r, ledger_progress g
 WHERE r.number = (SELECT max(number) FROM run WHERE state = 2) AND r.number > g.run_number;

-- name: Unexplained :many
-- Movements of ours that have happened at the provider, that the last run left open, and of which it found nothing.
SELECT p.account, p.currency, count(*) AS movements, sum(m.amount_minor)::bigint AS minor, min(m.day)::date AS since
  FROM open_movement o JOIN movement m ON m.id = o.movement_id JOIN partition p ON p.id = o.partition_id
 WHERE o.until_run IS NULL AND p.stage = 1 AND m.ours AND m.standing = 0 AND o.since_run <= @run_number
   AND NOT EXISTS (SELECT FROM (SELECT unnest(f.ours) AS id FROM run_finding f WHERE f.run_number = @run_number) e WHERE e.id = o.movement_id)
 GROUP BY p.account, p.currency ORDER BY p.account, p.currency;

-- name: SetRunChecked :exec
UPDATE ledger_progress SET run_number = @run_number;

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
SELECT b.id, b.code, b.order_id, b.state, b.resolution, b.last_event,
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
SELECT b.id, b.code, b.order_id, b.state, b.resolution, b.last_event,
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
-- Makes a match of all movements of a break, and tells how many these are, and how many of them are in another match and so have not
-- come into this one. Its id is less than zero: it is no run's.
WITH made AS MATERIALIZED (
    SELECT -nextval('match_place_by_hand') AS match_id
), legs AS (
    SELECT m.id, m.ours, min(m.partition_id) OVER () AS partition_id, row_number() OVER (ORDER BY m.id) AS number
      FROM break_movement b JOIN movement m ON m.id = b.movement_id WHERE b.break_id = @break_id
), pairs AS (
    INSERT INTO match_pair (match_id, ours_id, theirs_id, partition_id, number, pass, evidence)
    SELECT made.match_id, CASE WHEN legs.ours THEN legs.id END, CASE WHEN NOT legs.ours THEN legs.id END, legs.partition_id, legs.number, 0, @evidence
      FROM made, legs ORDER BY legs.id
        ON CONFLICT DO NOTHING
    RETURNING match_id
)
SELECT made.match_id::bigint AS match_id, (SELECT count(*) FROM legs) AS movements,
       ((SELECT count(*) FROM legs) - (SELECT count(*) FROM pairs))::bigint AS elsewhere
  FROM made;

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

-- name: CancelBreakOperation :execrows
UPDATE break_operation SET state = 5, cancelled_by = @actor, cancel_reason = @reason, ended_at = now()
 WHERE id = @id AND (state = 2 OR state = 1 AND expires_at > now());

-- name: GetBreakOperation :one
-- A plan that was not applied in time is expired also before somebody has written that down.
SELECT id, (CASE WHEN state = 1 AND expires_at <= now() THEN 4 ELSE state END)::smallint AS state, filter, decision, planned_by,
       planned_at, expires_at, applied_by, applied_at, ended_at, matched, done, refused, cancelled_by, cancel_reason
  FROM break_operation WHERE id = @id;

-- name: ListBreakOperations :many
-- Newest first: ids are UUIDv7.
SELECT id, (CASE WHEN state = 1 AND expires_at <= now() THEN 4 ELSE state END)::smallint AS state, filter, decision, planned_by,
       planned_at, expires_at, applied_by, applied_at, ended_at, matched, done, refused, cancelled_by, cancel_reason
  FROM break_operation WHERE id < @before ORDER BY id DESC LIMIT @n;

-- name: ListBreakTotals :many
SELECT operation_id, currency, count, sum_minor FROM break_operation_total
 WHERE operation_id = ANY (@operation_ids::uuid[]) ORDER BY operation_id, currency;

-- name: ListBreakRefusals :many
SELECT break_id, refusal FROM break_operation_item WHERE operation_id = @operation_id AND outcome = 2 ORDER BY break_id LIMIT 100;

-- name: LastEndedRun :one
-- A run that was cancelled has left nothing, but people may have decided something after it.
SELECT coalesce(max(number), 0)::int FROM run WHERE state <> 1;

-- name: CloseByHand :one
-- Has the next run not see the movements of a match, and tells how many of them were not open.
WITH legs AS (
    SELECT movement_id FROM match_leg WHERE match_id = @match_id AND active
), closed AS (
    UPDATE open_movement o SET until_run = 1 + @last::int, by_hand = true FROM legs
     WHERE o.movement_id = legs.movement_id AND o.until_run IS NULL
    RETURNING o.movement_id)
SELECT ((SELECT count(*) FROM legs) - (SELECT count(*) FROM closed))::bigint AS others;

-- name: OpenByHand :exec
-- The movements of a match that a person made, or a run, are open again. What was closed since the last run never was.
WITH legs AS (
    SELECT m.id, m.partition_id FROM match_leg l JOIN movement m ON m.id = l.movement_id WHERE l.match_id = @match_id AND l.active
), closed AS (
    UPDATE open_movement o SET until_run = NULL, by_hand = false FROM legs
     WHERE o.movement_id = legs.id AND o.until_run = 1 + @last::int AND o.by_hand
    RETURNING o.movement_id)
INSERT INTO open_movement (movement_id, since_run, partition_id)
SELECT legs.id, @last::int, legs.partition_id FROM legs WHERE legs.id NOT IN (SELECT movement_id FROM closed);

-- name: LastMovement :one
-- The greatest id there is between these; the first of them for none.
SELECT coalesce(max(id), @first)::bigint AS last FROM movement WHERE id BETWEEN @first AND @last;

-- name: HoldProvisional :exec
-- Of a match that a person made: what of it is in doubt or refused.
INSERT INTO provisional_match (match_id, movement_id, payment_id, kind, standing, idem_key)
SELECT l.match_id, m.id, m.payment_id, m.kind, m.standing, m.idem_key
  FROM match_leg l JOIN movement m ON m.id = l.movement_id WHERE l.match_id = @match_id AND l.active AND m.ours AND m.standing <> 0;
