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
         WHERE t.id = ANY (@matches::bigint[]) GROUP BY t.id) u
 WHERE f.matched AND f.undone_run IS NULL AND f.partition_id = u.partition_id AND f.run_number = u.run_number
   AND f.ours || f.theirs && u.movements;

-- name: DeactivateLegs :exec
UPDATE match_leg SET active = false, undone_run = @number::int WHERE match_id = ANY (@matches::bigint[]) AND active;

-- name: RunUnderWay :one
SELECT number, id FROM run WHERE state = 1;

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
SELECT code, matched, ours, theirs, amount_minor, nearest FROM run_finding
 WHERE run_number = @run_number AND partition_id = @partition_id ORDER BY place;

-- name: ListSighted :many
SELECT id, key, ours, payment_id, reference FROM movement WHERE id = ANY (@ids::bigint[]);

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

-- name: UndoRunLegs :exec
DELETE FROM match_leg WHERE match_id BETWEEN (@number::int)::bigint << 32 AND ((@number::int)::bigint << 32) + 2147483647;

-- name: UndoRunMatches :exec
DELETE FROM match WHERE id BETWEEN (@number::int)::bigint << 32 AND ((@number::int)::bigint << 32) + 2147483647;

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
     legs AS (UPDATE match_leg SET active = true, undone_run = NULL WHERE match_id IN (SELECT match_id FROM back) AND undone_run = @number::int RETURNING movement_id)
DELETE FROM open_movement WHERE since_run + 1 = @number::int AND until_run IS NULL AND movement_id IN (SELECT movement_id FROM legs);

-- name: UndoRunUndone :exec
UPDATE run_finding SET undone_run = NULL WHERE undone_run = @number::int;

-- name: UndoRunTaken :exec
UPDATE delivery SET run_number = NULL WHERE run_number = @number::int;

-- name: CancelledRun :execrows
UPDATE run SET state = 3, ended_at = now(), trouble = '' WHERE number = @number AND epoch = @epoch AND state = 1 AND cancelling <> '';

-- name: DeliveriesOfRun :one
-- The first and the last delivery that a run took, and whether there are no others between them; 0 for none.
SELECT t.first, t.last, NOT EXISTS (
       SELECT FROM delivery d WHERE d.id BETWEEN t.first AND t.last AND d.run_number IS DISTINCT FROM @run_number::int) AS whole
  FROM (SELECT coalesce(min(id), 0)::int AS first, coalesce(max(id), 0)::int AS last FROM delivery WHERE run_number = @run_number::int) t;

-- name: MovementText :one
SELECT concat_ws(' ', nullif(reference, ''), nullif(idem_key, ''), nullif(payout_id, ''), nullif(note, '')) FROM movement WHERE id = @id;

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
 WHERE id > @after::bigint AND id <= @until::bigint ORDER BY id LIMIT @n;

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
     WHERE l.match_id < @before::bigint
     UNION ALL
    SELECT n.asked_ours, n.id, l.match_id FROM near n JOIN match_leg l ON l.movement_id = n.id AND NOT l.active
     WHERE l.match_id < @before::bigint AND l.undone_run > @run::int
)
SELECT s.id FROM settled s WHERE NOT s.asked_ours
 UNION
SELECT l.movement_id FROM settled s JOIN match_leg l ON l.match_id = s.match_id JOIN movement t ON t.id = l.movement_id AND NOT t.ours
 WHERE s.asked_ours;

-- name: StoredMatches :many
-- Matches of a run in a range, each with its movements, also undone ones.
SELECT m.id, m.partition_id, m.pass, m.ours_by, m.theirs_by, m.score, m.evidence, array_agg(l.movement_id ORDER BY l.movement_id)::bigint[] AS movements
  FROM match m LEFT JOIN match_leg l ON l.match_id = m.id AND l.match_id BETWEEN @first::bigint AND @last::bigint
 WHERE m.id BETWEEN @first::bigint AND @last::bigint GROUP BY m.id ORDER BY m.id;

-- name: CountStoredMatches :one
SELECT count(*) FROM match WHERE id BETWEEN (@number::int)::bigint << 32 AND ((@number::int)::bigint << 32) + 2147483647;

-- name: KeysOf :many
SELECT id, key FROM movement WHERE id = ANY (@ids::bigint[]);

-- name: StoredLegs :many
-- What is matched of movements of a partition up to a day, by movement.
SELECT l.movement_id, l.match_id FROM match_leg l JOIN movement m ON m.id = l.movement_id
 WHERE l.active AND m.partition_id = @partition_id AND m.day <= @until ORDER BY l.movement_id;

-- name: StoredPasses :many
-- Matches that hold, of movements of partitions up to a day.
SELECT t.partition_id, t.pass, count(DISTINCT t.id) AS matches
  FROM match_leg l JOIN movement m ON m.id = l.movement_id JOIN match t ON t.id = l.match_id
 WHERE l.active AND m.partition_id = ANY (@places::int[]) AND m.day <= @until GROUP BY t.partition_id, t.pass;

-- name: StoredFindings :many
-- What was found and still holds, of movements up to a day: about what is matched by any run, about the rest by the last one.
SELECT f.partition_id, f.code, count(*) AS count, sum(abs(f.amount_minor))::bigint AS amount_minor FROM run_finding f
 WHERE f.partition_id = ANY (@places::int[]) AND f.day <= @until
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
     WHERE f.run_number = @run::int AND NOT f.matched ORDER BY v.movement_id, f.place)
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
 WHERE t.pass = 0 AND t.partition_id = ANY (@places::int[]) AND m.day <= @until AND t.id > @after::bigint
 GROUP BY p.stage, t.id
HAVING sum(CASE WHEN NOT m.ours THEN -m.amount_minor WHEN m.standing = 0 THEN m.amount_minor ELSE 0 END) <> 0
 ORDER BY t.id, p.stage LIMIT @n;

-- name: CountUntaken :one
SELECT coalesce(sum(rows), 0)::bigint AS movements FROM delivery WHERE state = 1 AND (run_number IS NULL OR run_number > @run);

-- name: ReportOpenLines :many
WITH found AS (
    SELECT DISTINCT ON (v.movement_id) v.movement_id, f.code
      FROM run_finding f CROSS JOIN LATERAL unnest(f.ours || f.theirs) AS v (movement_id)
     WHERE f.run_number = @run::int AND NOT f.matched ORDER BY v.movement_id, f.place)
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
