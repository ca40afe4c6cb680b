-- +goose Up
-- The ledger takes every kind of journal, and keeps what each is about.
ALTER TABLE journal ALTER COLUMN payment_id DROP NOT NULL;
ALTER TABLE journal
    -- Which of the operations of its kind on the payment – or, of what is about no payment, of its kind – the journal is
    -- about: the key or id under which the provider or the bank knows it. Empty: there is only one.
    ADD COLUMN key          text NOT NULL DEFAULT '' CHECK (length(key) <= 300),
    ADD COLUMN reference    text NOT NULL DEFAULT '', -- what it is for: the order, the payout, the break
    ADD COLUMN provider_id  text NOT NULL DEFAULT '', -- the provider's id of it
    -- When it happened, as the provider or the bank says. NULL: when it was written. Balances go by created_at.
    ADD COLUMN effective_at timestamptz;
-- 1 capture, 2 refund, 3 chargeback, 4 chargeback reversal, 5 payout, 6 fee, 7 write-off, 8 correction
ALTER TABLE journal DROP CONSTRAINT journal_kind_check, DROP CONSTRAINT journal_payment_id_kind_key;
ALTER TABLE journal
    ADD CONSTRAINT journal_kind CHECK (kind BETWEEN 1 AND 8),
    ADD CONSTRAINT journal_of_payment CHECK (payment_id IS NOT NULL OR kind > 4),
    ADD CONSTRAINT journal_payout_of_no_payment CHECK (payment_id IS NULL OR kind <> 5),
    ADD CONSTRAINT journal_captured_once CHECK (kind <> 1 OR key = ''),
    -- Refunds of before are one of each payment, and have no key.
    ADD CONSTRAINT journal_has_key CHECK (kind <= 2 OR key <> ''),
    -- What happened once is in the ledger once.
    ADD CONSTRAINT journal_once UNIQUE NULLS NOT DISTINCT (payment_id, kind, key);

ALTER TABLE posting DROP CONSTRAINT posting_account_check;
ALTER TABLE posting ADD CONSTRAINT posting_account CHECK (account IN (
    'bank', 'provider_clearing', 'customer_receivable', 'revenue', 'refunds', 'fees', 'write_offs', 'suspense'));

-- The order in which entries are listed, and the ledger as of a time.
CREATE INDEX journal_in_order ON journal (created_at, id);
-- Accounts that few postings are to; the others are found soon by going through the journals.
CREATE INDEX posting_of_rare_account ON posting (account, journal_id)
    WHERE account IN ('bank', 'customer_receivable', 'write_offs', 'suspense');

-- A journal is closed when its transaction has committed: created_at is the transaction's time. So nothing is added to
-- it later, and no journal is dated back.
-- +goose StatementBegin
CREATE FUNCTION journal_is_dated_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE created_at <> now()) THEN
        RAISE EXCEPTION 'a journal is written at another time than now' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_is_dated_now AFTER INSERT ON journal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_dated_now();
-- +goose StatementBegin
CREATE FUNCTION journal_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added a JOIN journal j ON j.id = a.journal_id WHERE j.created_at <> now()) THEN
        RAISE EXCEPTION 'postings are added to an earlier journal' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_is_closed AFTER INSERT ON posting REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_closed();

-- The role that owns the ledger may add to it and read it. It could give itself the rest back, as it could disable the
-- triggers: what is kept from happening is a mistake, not a decision. A foreign key locks the journal that it refers
-- to, and who locks a row needs to be allowed to change one column of it, which the trigger refuses.
REVOKE UPDATE, DELETE, TRUNCATE ON journal, posting FROM CURRENT_USER;
GRANT UPDATE (id) ON journal TO CURRENT_USER;

CREATE OR REPLACE VIEW inv_8_payments_are_their_postings AS
WITH moved AS (
    SELECT j.payment_id, p.currency,
           coalesce(-sum(p.amount_minor) FILTER (WHERE j.kind = 1 AND p.account = 'revenue'), 0) AS taken,
           coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 2 AND p.account = 'refunds'), 0) AS given_back
      FROM journal j JOIN posting p ON p.journal_id = j.id
     WHERE j.kind IN (1, 2) AND p.account IN ('revenue', 'refunds')
     GROUP BY j.payment_id, p.currency
)
SELECT 'pay_' || coalesce(p.id, m.payment_id) AS id,
       format('the row says state %s of %s %s, the postings %s taken and %s given back in %s',
              coalesce(p.state::text, 'none'), coalesce(p.amount_minor, 0), p.currency,
              coalesce(m.taken, 0), coalesce(m.given_back, 0), coalesce(m.currency, p.currency)) AS detail
  FROM payment p FULL JOIN moved m ON m.payment_id = p.id AND m.currency = p.currency
 WHERE coalesce(m.taken, 0) <> CASE WHEN p.state IN (3, 5) THEN p.amount_minor ELSE 0 END
    OR coalesce(m.given_back, 0) <> CASE WHEN p.state = 5 THEN p.amount_minor ELSE 0 END;

CREATE OR REPLACE VIEW inv_9_ledger_is_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid IN (to_regclass('journal'), to_regclass('posting')) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'ledger_is_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58) -- before (2) each delete (8), update (16) and truncate (32)
UNION ALL
SELECT c.relname::text, 'no trigger keeps postings from being added to earlier journals'
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass('posting') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'journal_is_closed' AND g.tgenabled IN ('O', 'A'))
UNION ALL
SELECT c.relname::text, format('%s is granted to %s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'all' ELSE a.grantee::regrole::text END)
  FROM pg_catalog.pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
 WHERE c.oid IN (to_regclass('journal'), to_regclass('posting')) AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE');
COMMENT ON VIEW inv_9_ledger_is_append_only IS
    'A: Triggers refuse every change of the rows of the ledger, and every addition to an earlier journal; nobody is granted more than to read it and to add.';

CREATE OR REPLACE VIEW inv_10_refunds_within_captures AS
SELECT 'pay_' || m.payment_id AS id,
       format('%s %s captured, %s given back, %s charged back, %s of it reversed',
              m.taken, m.currency, m.given_back, m.charged_back, m.reversed) AS detail
  FROM (SELECT j.payment_id, p.currency,
               coalesce(-sum(p.amount_minor) FILTER (WHERE j.kind = 1 AND p.account = 'revenue'), 0) AS taken,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 2 AND p.account = 'refunds'), 0) AS given_back,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 3 AND p.account = 'customer_receivable'), 0) AS charged_back,
               coalesce(-sum(p.amount_minor) FILTER (WHERE j.kind = 4 AND p.account = 'customer_receivable'), 0) AS reversed
          FROM journal j JOIN posting p ON p.journal_id = j.id
         WHERE j.kind <= 4
         GROUP BY j.payment_id, p.currency) m
 WHERE m.given_back > m.taken OR m.charged_back > m.taken OR m.reversed > m.charged_back;
COMMENT ON VIEW inv_10_refunds_within_captures IS
    'A: No more of a payment is given back, or charged back, than was captured, and no more is reversed than was charged back.';
