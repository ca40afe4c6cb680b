-- +goose Up
-- What must hold of the internal side; see the orchestrator's.

CREATE VIEW inv_56_minutes_are_movements AS
SELECT coalesce(m.currency, n.currency) || ' ' || CASE coalesce(m.kind, n.kind) WHEN 1 THEN 'charges' ELSE 'refunds' END AS id,
       format('movements of ours come to %s, the minutes to %s', coalesce(m.minor, 0), coalesce(n.minor, 0)) AS detail
  FROM (SELECT p.currency, m.kind, sum(m.amount_minor) AS minor
          FROM movement m JOIN partition p ON p.id = m.partition_id
         WHERE m.ours AND m.standing = 0 AND m.kind IN (1, 2) AND m.payment_id <> '' AND p.stage = 1
         GROUP BY p.currency, m.kind) m
  FULL JOIN (SELECT currency, kind, sum(ours_minor) AS minor FROM ledger_minute WHERE kind IN (1, 2) GROUP BY currency, kind) n
    ON n.currency = m.currency AND n.kind = m.kind
 WHERE coalesce(m.minor, 0) <> coalesce(n.minor, 0);
COMMENT ON VIEW inv_56_minutes_are_movements IS
    'A: What is compared with the ledger, minute by minute, is the sum of the charges and refunds that events or owners have told, each once.';

CREATE VIEW inv_57_orders_are_their_movements AS
SELECT coalesce(CASE WHEN f.recurring THEN 'rcp_' ELSE 'ord_' END || f.id, m.reference) AS id,
       format('is known to have %s captured, %s refunded and %s charged back; its movements come to %s, %s and %s', coalesce(f.captured_minor, 0),
              coalesce(f.refunded_minor, 0), coalesce(f.charged_back_minor, 0), coalesce(m.captured, 0), coalesce(m.refunded, 0),
              coalesce(m.charged_back, 0)) AS detail
  FROM order_fact f
  FULL JOIN (SELECT reference, sum(amount_minor) FILTER (WHERE kind = 1) AS captured, -sum(amount_minor) FILTER (WHERE kind = 2) AS refunded,
                    -sum(amount_minor) FILTER (WHERE kind IN (3, 4)) AS charged_back
               FROM movement
              WHERE ours AND standing = 0 AND kind <= 4 AND payment_id <> '' AND reference ~ '^(ord|rcp)_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
              GROUP BY reference) m
    ON m.reference = CASE WHEN f.recurring THEN 'rcp_' ELSE 'ord_' END || f.id
 WHERE coalesce(f.captured_minor, 0) <> coalesce(m.captured, 0) OR coalesce(f.refunded_minor, 0) <> coalesce(m.refunded, 0)
    OR coalesce(f.charged_back_minor, 0) <> coalesce(m.charged_back, 0);
COMMENT ON VIEW inv_57_orders_are_their_movements IS
    'A: What an order or recurring payment is known to have captured, refunded and charged back is the sum of its movements.';

CREATE VIEW inv_58_orders_are_looked_at AS
SELECT CASE WHEN recurring THEN 'rcp_' ELSE 'ord_' END || id AS id, format('was to be looked at at %s', look_at) AS detail
  FROM order_fact WHERE look_at < now() - interval '15 minutes';
COMMENT ON VIEW inv_58_orders_are_looked_at IS
    'L: What the services did to an order is compared within 15 minutes of its time.';

CREATE VIEW inv_59_the_ledger_agrees AS
SELECT to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z" ') || currency || ' ' || kind AS id,
       format('the ledger has %s, our movements %s', theirs_minor, ours_minor) AS detail
  FROM ledger_minute WHERE kind <= 4 AND theirs_minor <> ours_minor;
COMMENT ON VIEW inv_59_the_ledger_agrees IS
    'Q: What the ledger says that moved at the provider in a minute is what our movements come to.';
