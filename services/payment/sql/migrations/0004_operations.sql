-- +goose Up
-- What a provider was asked for about a payment, and what is known of it. The previous version writes the columns that
-- are dropped here: stop it before this migration.
CREATE TABLE operation (
    payment_id     uuid        NOT NULL REFERENCES payment,
    seq            smallint    NOT NULL CHECK (seq > 0),
    op             smallint    NOT NULL CHECK (op BETWEEN 1 AND 5),    -- 1 charge, 2 authorize, 3 capture, 4 void, 5 refund
    -- 1 created, 2 sent, 3 unknown, 4 done, 5 declined, 6 abandoned
    state          smallint    NOT NULL CHECK (state BETWEEN 1 AND 6),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),      -- in the payment's currency
    provider_key   text        NOT NULL CHECK (length(provider_key) BETWEEN 1 AND 200),
    provider_id    text        NOT NULL DEFAULT '',
    decline_reason text        NOT NULL DEFAULT '',
    sends          int         NOT NULL DEFAULT 0 CHECK (sends >= 0),
    -- Since when it may be on its way to the provider, the last time it was sent. NULL: nothing is.
    last_sent_at   timestamptz,
    looks          int         NOT NULL DEFAULT 0,                     -- how often the resolver has asked
    look_at        timestamptz,                                        -- and when it asks next
    by_operator    boolean     NOT NULL DEFAULT false,                 -- then operator_action says who and why
    calls          jsonb       NOT NULL DEFAULT '[]',                  -- what was said, the oldest first
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, seq),
    CHECK ((state IN (2, 3)) = (last_sent_at IS NOT NULL AND look_at IS NOT NULL)),
    CHECK ((state = 4) = (provider_id <> '') OR state = 5),
    CHECK ((state = 5) = (decline_reason <> ''))
);
-- One intent, one key, for ever. What was given up has certainly not happened, and may be asked for again.
CREATE UNIQUE INDEX operation_key ON operation (provider_key) WHERE state <> 6;
-- At most one operation of a payment is open; and these are the ones that the resolver looks through.
CREATE UNIQUE INDEX operation_open ON operation (payment_id) WHERE state IN (2, 3);

-- Charges as they were, and their refunds.
INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id, decline_reason, sends, last_sent_at,
                       look_at, created_at, updated_at)
SELECT id, 1, 1, CASE state WHEN 1 THEN CASE WHEN last_sent_at IS NULL THEN 1 ELSE 2 END WHEN 2 THEN 3 WHEN 4 THEN 5 WHEN 6 THEN 6 ELSE 4 END,
       amount_minor, provider_key, provider_charge_id, decline_reason, CASE WHEN last_sent_at IS NULL THEN 0 ELSE 1 END,
       CASE WHEN state IN (1, 2) THEN last_sent_at END, CASE WHEN state IN (1, 2) AND last_sent_at IS NOT NULL THEN now() END,
       created_at, updated_at
  FROM payment;
INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id, sends, created_at, updated_at)
SELECT id, 2, 5, 4, amount_minor, provider_key || '/refund', provider_refund_id, 1, updated_at, updated_at FROM payment WHERE state = 5;

ALTER TABLE payment
    DROP COLUMN last_sent_at, DROP COLUMN provider_refund_id,
    DROP CONSTRAINT payment_provider_key_key, -- the operation's is
    DROP CONSTRAINT payment_state_check, DROP CONSTRAINT payment_check1, DROP CONSTRAINT payment_check2, DROP CONSTRAINT payment_check3,
    ADD COLUMN captured_minor     bigint   NOT NULL DEFAULT 0,
    ADD COLUMN refunded_minor     bigint   NOT NULL DEFAULT 0,
    ADD COLUMN charged_back_minor bigint   NOT NULL DEFAULT 0,
    ADD COLUMN operations         smallint NOT NULL DEFAULT 1;
UPDATE payment SET captured_minor = amount_minor WHERE state IN (3, 5);
UPDATE payment SET refunded_minor = amount_minor WHERE state = 5;
UPDATE payment SET state = 7 WHERE state = 1 AND EXISTS (SELECT FROM operation WHERE payment_id = id AND operation.state = 1);
-- 1 capturing, 2 unknown, 3 captured, 4 declined, 5 refunded, 6 voided, 7 created, 8 authorizing, 9 authorized,
-- 10 partially refunded, 11 chargeback
ALTER TABLE payment
    ADD CONSTRAINT payment_state CHECK (state BETWEEN 1 AND 11),
    ADD CONSTRAINT payment_declined CHECK ((state = 4) = (decline_reason <> '')),
    ADD CONSTRAINT payment_known_to_provider CHECK (state NOT IN (3, 5, 9, 10, 11) OR provider_charge_id <> ''),
    ADD CONSTRAINT payment_unknown_to_provider CHECK (state NOT IN (7, 8) OR provider_charge_id = ''),
    ADD CONSTRAINT payment_captured CHECK ((state IN (3, 5, 10, 11)) = (captured_minor > 0) AND captured_minor BETWEEN 0 AND amount_minor),
    ADD CONSTRAINT payment_refunded CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    ADD CONSTRAINT payment_refund_states CHECK (state = 11 OR CASE state
        WHEN 5 THEN refunded_minor = captured_minor WHEN 10 THEN refunded_minor > 0 AND refunded_minor < captured_minor
        ELSE refunded_minor = 0 END),
    ADD CONSTRAINT payment_charged_back CHECK (charged_back_minor BETWEEN 0 AND captured_minor AND (state = 11) = (charged_back_minor > 0));
CREATE INDEX payment_reference ON payment (reference);

-- What people did to payments and to the provider's account.
CREATE TABLE operator_action (
    id         uuid        PRIMARY KEY,
    actor      text        NOT NULL CHECK (actor <> ''),
    verb       text        NOT NULL,
    reason     text        NOT NULL CHECK (reason <> ''),
    payment_id uuid,
    seq        smallint,   -- of the operation that it began
    at         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (payment_id, seq) REFERENCES operation (payment_id, seq)
);
CREATE INDEX operator_action_of_payment ON operator_action (payment_id) WHERE payment_id IS NOT NULL;

-- Whether an operator holds back the calls to a provider.
CREATE TABLE provider_hold (
    provider   text        PRIMARY KEY,
    open       boolean     NOT NULL,
    actor      text        NOT NULL,
    reason     text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What providers have told of their own accord.
CREATE TABLE webhook (
    provider    text        NOT NULL,
    event_id    text        NOT NULL CHECK (length(event_id) BETWEEN 1 AND 300), -- the provider's: each is taken in once
    event       jsonb       NOT NULL,
    state       smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4),    -- 1 received, 2 applied, 3 nothing new, 4 contradicts
    detail      text        NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL DEFAULT now(), -- when it is applied: later, when something is to come before it
    applied_at  timestamptz,
    PRIMARY KEY (provider, event_id),
    CHECK ((state = 1) = (applied_at IS NULL))
);
CREATE INDEX webhook_received ON webhook (due_at) WHERE state = 1;

CREATE OR REPLACE VIEW inv_8_payments_are_their_postings AS
WITH moved AS (
    SELECT j.payment_id, p.currency,
           coalesce(-sum(p.amount_minor) FILTER (WHERE j.kind = 1 AND p.account = 'revenue'), 0) AS taken,
           coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 2 AND p.account = 'refunds'), 0) AS given_back,
           coalesce(sum(p.amount_minor) FILTER (WHERE j.kind IN (3, 4) AND p.account = 'customer_receivable'), 0) AS charged_back
      FROM journal j JOIN posting p ON p.journal_id = j.id
     WHERE j.kind <= 4 AND p.account IN ('revenue', 'refunds', 'customer_receivable')
     GROUP BY j.payment_id, p.currency
)
SELECT 'pay_' || coalesce(p.id, m.payment_id) AS id,
       format('the row says %s taken, %s given back and %s charged back in %s, the postings %s, %s and %s in %s',
              coalesce(p.captured_minor, 0), coalesce(p.refunded_minor, 0), coalesce(p.charged_back_minor, 0), p.currency,
              coalesce(m.taken, 0), coalesce(m.given_back, 0), coalesce(m.charged_back, 0), coalesce(m.currency, p.currency)) AS detail
  FROM payment p FULL JOIN moved m ON m.payment_id = p.id AND m.currency = p.currency
 WHERE coalesce(m.taken, 0) <> coalesce(p.captured_minor, 0) OR coalesce(m.given_back, 0) <> coalesce(p.refunded_minor, 0)
    OR coalesce(m.charged_back, 0) <> coalesce(p.charged_back_minor, 0);
COMMENT ON VIEW inv_8_payments_are_their_postings IS
    'A: What the row of a payment says was taken, given back and charged back is the sum of its postings.';

CREATE VIEW inv_1_payments_are_their_operations AS
SELECT 'pay_' || p.id AS id,
       format('the row says %s taken and %s given back, its operations %s and %s', p.captured_minor, p.refunded_minor, o.taken, o.given_back) AS detail
  FROM payment p CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount_minor) FILTER (WHERE op IN (1, 3)), 0) AS taken,
              coalesce(sum(amount_minor) FILTER (WHERE op = 5), 0) AS given_back,
              count(*) FILTER (WHERE op IN (1, 3)) AS captures
         FROM operation WHERE payment_id = p.id AND state = 4) AS o
 WHERE o.taken <> p.captured_minor OR o.given_back <> p.refunded_minor OR o.captures > 1;
COMMENT ON VIEW inv_1_payments_are_their_operations IS
    'A: A payment has at most one charge or capture that was done, and what its row says was taken and given back is what its operations did.';

CREATE VIEW inv_36_operations_of_operators AS
SELECT 'pay_' || o.payment_id || '/' || o.seq AS id, 'was begun by a person, and no audit row says who and why' AS detail
  FROM operation o
 WHERE o.by_operator AND NOT EXISTS (SELECT FROM operator_action a WHERE a.payment_id = o.payment_id AND a.seq = o.seq);
COMMENT ON VIEW inv_36_operations_of_operators IS 'A: Every operation on a payment that a person began has its audit row.';
