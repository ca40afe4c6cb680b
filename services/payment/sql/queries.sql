-- name: InsertJournals :exec
-- Journals and their postings are one statement: at its end each must have the other. The year 1 stands for no time of its own.
WITH journals AS (
    INSERT INTO journal (id, payment_id, kind, key, reference, provider_id, effective_at)
    SELECT n.id, NULLIF(n.payment_id, '00000000-0000-0000-0000-000000000000'), n.kind, n.key, n.reference, n.provider_id,
           NULLIF(n.effective_at, '0001-01-01 00:00:00+00')
      FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@payment_ids::uuid[]) AS payment_id, unnest(@kinds::smallint[]) AS kind,
                   unnest(@keys::text[]) AS key, unnest(@refs::text[]) AS reference, unnest(@provider_ids::text[]) AS provider_id,
                   unnest(@effective_ats::timestamptz[]) AS effective_at) AS n
)
INSERT INTO posting (journal_id, line, account, currency, amount_minor)
SELECT unnest(@journal_ids::uuid[]), unnest(@lines::smallint[]), unnest(@accounts::text[]), unnest(@currencies::text[]),
       unnest(@amounts::bigint[]);

-- name: GetJournalTime :one
SELECT created_at FROM journal WHERE id = @id;
