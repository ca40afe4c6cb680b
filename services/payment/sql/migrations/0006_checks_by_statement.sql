-- +goose Up
-- What a row of the ledger must be is checked once a statement, for all of its rows, instead of once a row by foreign keys and
-- deferred triggers. A journal and its postings are written by one statement, so that each can be looked for at its end.
DROP TRIGGER journal_balances ON posting;
DROP FUNCTION journal_balances();
DROP TRIGGER journal_has_postings ON journal;
DROP FUNCTION journal_has_postings();
DROP TRIGGER journal_is_dated_now ON journal;
DROP FUNCTION journal_is_dated_now();
ALTER TABLE posting DROP CONSTRAINT posting_journal_id_fkey;
ALTER TABLE journal DROP CONSTRAINT journal_payment_id_fkey;
ALTER TABLE operation DROP CONSTRAINT operation_payment_id_fkey;

-- +goose StatementBegin
CREATE FUNCTION journal_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE created_at <> now()) THEN
        RAISE EXCEPTION 'a journal is written at another time than now' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (SELECT FROM added a WHERE NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = a.id OFFSET 0)) THEN
        RAISE EXCEPTION 'a journal is written without its postings' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM added a
                WHERE a.payment_id IS NOT NULL AND NOT EXISTS (SELECT FROM payment p WHERE p.id = a.payment_id OFFSET 0)) THEN
        RAISE EXCEPTION 'a journal is of no payment that there is' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_is_whole AFTER INSERT ON journal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_whole();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION journal_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY journal_id, currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'postings do not balance' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM (SELECT DISTINCT journal_id FROM added) a
                WHERE NOT EXISTS (SELECT FROM journal j WHERE j.id = a.journal_id AND j.created_at = now() OFFSET 0)) THEN
        RAISE EXCEPTION 'postings are of no journal of this transaction' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Rows that are written two and three times, and found by what does not change meanwhile.
ALTER TABLE payment SET (fillfactor = 45);
ALTER TABLE operation SET (fillfactor = 45);

CREATE VIEW inv_74_what_is_of_a_payment_has_one AS
SELECT format('pay_%s/%s', o.payment_id, o.seq) AS id, 'is an operation on a payment that there is not' AS detail
  FROM operation o WHERE NOT EXISTS (SELECT FROM payment p WHERE p.id = o.payment_id)
UNION ALL
SELECT 'jrn_' || j.id, format('is about pay_%s, which there is not', j.payment_id)
  FROM journal j WHERE j.payment_id IS NOT NULL AND NOT EXISTS (SELECT FROM payment p WHERE p.id = j.payment_id)
UNION ALL
SELECT format('jrn_%s/%s', p.journal_id, p.line), 'is a posting of a journal that there is not'
  FROM posting p WHERE NOT EXISTS (SELECT FROM journal j WHERE j.id = p.journal_id);
COMMENT ON VIEW inv_74_what_is_of_a_payment_has_one IS
    'A: An operation is on a payment that is there, so is a journal that names one, and a posting is of a journal that is there.';
