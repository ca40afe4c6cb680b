-- +goose Up
-- One charge and what became of it.
CREATE TABLE payment (
    id                 uuid        PRIMARY KEY,
    -- 1 capturing, 2 unknown, 3 captured, 4 declined, 5 refunded, 6 voided
    state              smallint    NOT NULL CHECK (state BETWEEN 1 AND 6),
    currency           text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor       bigint      NOT NULL CHECK (amount_minor > 0),
    payment_method     text        NOT NULL,
    customer_id        text        NOT NULL,
    reference          text        NOT NULL,
    -- The key under which the provider knows the charge: one intent, one key, for ever.
    provider_key       text        NOT NULL UNIQUE CHECK (length(provider_key) BETWEEN 1 AND 200),
    provider_charge_id text        NOT NULL DEFAULT '',
    provider_refund_id text        NOT NULL DEFAULT '',
    decline_reason     text        NOT NULL DEFAULT '',
    -- Since when the charge may be on its way to the provider, the last time it was sent. NULL: it never was.
    last_sent_at       timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK (state <> 2 OR last_sent_at IS NOT NULL),
    CHECK (state NOT IN (3, 5) OR provider_charge_id <> ''),
    CHECK (state NOT IN (1, 2, 6) OR provider_charge_id = ''),
    CHECK ((state = 4) = (decline_reason <> '')),
    CHECK ((state = 5) = (provider_refund_id <> ''))
);

-- What the provider knows as one charge or refund is one payment here.
CREATE UNIQUE INDEX payment_provider_charge ON payment (provider_charge_id) WHERE provider_charge_id <> '';
CREATE UNIQUE INDEX payment_provider_refund ON payment (provider_refund_id) WHERE provider_refund_id <> '';

-- The ledger: what happened to money, in double entry. Nothing in it is ever changed; corrections are new journals.
CREATE TABLE journal (
    id         uuid        PRIMARY KEY,
    payment_id uuid        NOT NULL REFERENCES payment,
    kind       smallint    NOT NULL CHECK (kind BETWEEN 1 AND 2), -- 1 capture, 2 refund
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (payment_id, kind) -- a payment is captured once, and refunded in full once
);

CREATE TABLE posting (
    journal_id   uuid     NOT NULL REFERENCES journal,
    line         smallint NOT NULL,
    account      text     NOT NULL CHECK (account IN ('customer_receivable', 'provider_clearing', 'revenue', 'refunds',
                                                      'fees', 'bank', 'suspense')),
    currency     text     NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint   NOT NULL CHECK (amount_minor <> 0), -- more than zero debits, less credits
    PRIMARY KEY (journal_id, line)
);

-- +goose StatementBegin
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: the ledger is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER posting_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON posting
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

-- Looked at when the transaction commits, once all postings are there.
-- +goose StatementBegin
CREATE FUNCTION journal_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM posting WHERE journal_id = NEW.journal_id GROUP BY currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'journal % does not balance', NEW.journal_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER journal_balances AFTER INSERT ON posting DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal_balances();

-- +goose StatementBegin
CREATE FUNCTION journal_has_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM posting WHERE journal_id = NEW.id) THEN
        RAISE EXCEPTION 'journal % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER journal_has_postings AFTER INSERT ON journal DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal_has_postings();
