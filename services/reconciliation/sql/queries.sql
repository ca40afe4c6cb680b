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
       m.reference, m.payout_id, m.note
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

-- name: LastMovement :one
-- The greatest id there is between these; the first of them for none.
SELECT coalesce(max(id), @first)::bigint AS last FROM movement WHERE id BETWEEN @first AND @last;

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
