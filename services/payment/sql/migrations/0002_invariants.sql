-- +goose Up
-- What must hold of this database: a view inv_<number>_<name> gives what violates it, and nothing else. Its comment
-- is the kind (A always, Q when quiet, L within a bound) and the statement.

CREATE VIEW inv_6_journals_balance AS
SELECT j.id::text AS id, 'has no postings' AS detail
  FROM journal j WHERE NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id)
UNION ALL
SELECT p.journal_id::text, format('is %s %s out of balance', sum(p.amount_minor), p.currency)
  FROM posting p GROUP BY p.journal_id, p.currency HAVING sum(p.amount_minor) <> 0;
COMMENT ON VIEW inv_6_journals_balance IS 'A: Every journal has postings, and they sum to zero in each currency.';

CREATE VIEW inv_7_trial_balance AS
SELECT p.currency AS id, format('all postings sum to %s, not to zero', sum(p.amount_minor)) AS detail
  FROM posting p GROUP BY p.currency HAVING sum(p.amount_minor) <> 0;
COMMENT ON VIEW inv_7_trial_balance IS 'A: All postings of the ledger sum to zero in each currency.';

CREATE VIEW inv_8_payments_are_their_postings AS
WITH moved AS (
    SELECT j.payment_id, p.currency,
           coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 1 AND p.amount_minor > 0), 0) AS taken,
           coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 2 AND p.amount_minor > 0), 0) AS given_back
      FROM journal j JOIN posting p ON p.journal_id = j.id
     GROUP BY j.payment_id, p.currency
)
SELECT 'pay_' || coalesce(p.id, m.payment_id) AS id,
       format('the row says state %s of %s %s, the postings %s taken and %s given back in %s',
              coalesce(p.state::text, 'none'), coalesce(p.amount_minor, 0), p.currency,
              coalesce(m.taken, 0), coalesce(m.given_back, 0), coalesce(m.currency, p.currency)) AS detail
  FROM payment p FULL JOIN moved m ON m.payment_id = p.id AND m.currency = p.currency
 WHERE coalesce(m.taken, 0) <> CASE WHEN p.state IN (3, 5) THEN p.amount_minor ELSE 0 END
    OR coalesce(m.given_back, 0) <> CASE WHEN p.state = 5 THEN p.amount_minor ELSE 0 END;
COMMENT ON VIEW inv_8_payments_are_their_postings IS
    'A: What the row of a payment says was taken and given back is the sum of its postings.';

CREATE VIEW inv_9_ledger_is_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid IN (to_regclass('journal'), to_regclass('posting')) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'ledger_is_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_ledger_is_append_only IS 'A: A trigger refuses every change of the rows of the ledger.';

CREATE VIEW inv_10_refunds_within_captures AS
SELECT 'pay_' || m.payment_id AS id, format('%s %s captured, %s given back', m.taken, m.currency, m.given_back) AS detail
  FROM (SELECT j.payment_id, p.currency,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 1 AND p.amount_minor > 0), 0) AS taken,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 2 AND p.amount_minor > 0), 0) AS given_back
          FROM journal j JOIN posting p ON p.journal_id = j.id
         GROUP BY j.payment_id, p.currency) m
 WHERE m.given_back > m.taken;
COMMENT ON VIEW inv_10_refunds_within_captures IS 'A: No more of a payment is given back than was captured.';
