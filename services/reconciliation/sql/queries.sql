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
