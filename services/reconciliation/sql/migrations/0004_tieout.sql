-- +goose Up
-- The internal side: what the services told of orders, what they told of money against what the ledger holds, and what follows
-- from statements for them.

-- What was told of an order, or of a recurring payment: one row each, joined from events that may come in any order and late.
-- Columns that events change are in no index, and a transaction may write all rows of a page anew: with half of it left free,
-- updates stay within their page.
CREATE TABLE order_fact (
    id                 uuid        PRIMARY KEY,               -- the order's, or the recurring payment's
    recurring          boolean     NOT NULL,
    told               int         NOT NULL,                  -- tieout.Told
    reservation_id     uuid,                                  -- of several, the least
    shipment_id        uuid,
    payment_id         uuid,
    currency           text        NOT NULL DEFAULT '',
    total_minor        bigint      NOT NULL DEFAULT 0,
    authorized_minor   bigint      NOT NULL DEFAULT 0,
    captured_minor     bigint      NOT NULL DEFAULT 0,        -- sums over movements, each once
    refunded_minor     bigint      NOT NULL DEFAULT 0,
    charged_back_minor bigint      NOT NULL DEFAULT 0,
    begun_at           timestamptz NOT NULL DEFAULT now(),    -- when the first was told
    told_at            timestamptz NOT NULL DEFAULT now(),    -- when the last was told that changed something
    look_at            timestamptz,                           -- when it is looked at; NULL when it ties, until something is told
    looks              smallint    NOT NULL DEFAULT 0,        -- how often in vain, since then
    sighted            boolean     NOT NULL DEFAULT false     -- there is a break of it, or was when it was last looked at
) WITH (fillfactor = 45);
CREATE INDEX order_fact_look_at ON order_fact (look_at) WHERE look_at IS NOT NULL;

-- Movements that events tell of come in with one delivery after another: the one that is coming in grows, and is accepted
-- when it is some seconds old.
CREATE UNIQUE INDEX delivery_of_events ON delivery (kind) WHERE kind = 3 AND state = 0;

-- What moved at the provider in a minute, as our movements have it and as the ledger has it. Kinds are those of journals.
CREATE TABLE ledger_minute (
    minute       timestamptz NOT NULL,
    currency     text        NOT NULL,
    kind         smallint    NOT NULL CHECK (kind BETWEEN 1 AND 8),
    ours_minor   bigint      NOT NULL DEFAULT 0,
    theirs_minor bigint,                                      -- NULL: the ledger was not asked yet
    differs      boolean     NOT NULL DEFAULT false,          -- when it was last compared
    read_at      timestamptz,                                 -- when the journals of one that differs were read
    PRIMARY KEY (minute, currency, kind)
) WITH (fillfactor = 50);
CREATE INDEX ledger_minute_differs ON ledger_minute (minute) WHERE differs;

-- Up to when the ledger was compared, minute by minute, and when its whole balance was.
CREATE TABLE ledger_progress (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    through    timestamptz,
    balance_at timestamptz,
    run_number int NOT NULL DEFAULT 0 -- the last run whose open movements were checked
);
INSERT INTO ledger_progress DEFAULT VALUES;

-- An operation of a payment that is, or was, in doubt; what became of it may be told first. One that a statement has proven is resolved by the payment service, which is asked a few times; then a person has to look.
CREATE TABLE doubt (
    key           uuid        PRIMARY KEY,                    -- of the movement in doubt
    payment_id    text        NOT NULL,
    operation_key text        NOT NULL,                       -- under which the provider knows it
    resolved      boolean     NOT NULL DEFAULT false,
    attempts      smallint    NOT NULL DEFAULT 0,             -- to have it resolved
    next_at       timestamptz NOT NULL DEFAULT now(),
    failure       text        NOT NULL DEFAULT ''             -- why the last attempt was in vain
);
CREATE INDEX doubt_open ON doubt (next_at) WHERE NOT resolved;

-- A payout that a bank statement has proven, and its journal. The intent is durable before the ledger is asked.
CREATE TABLE payout_posting (
    account      text        NOT NULL,
    payout_id    text        NOT NULL,
    currency     text        NOT NULL,
    match_id     bigint      NOT NULL,
    amount_minor bigint      NOT NULL,                        -- what arrived; less than zero, what was collected
    fee_minor    bigint      NOT NULL,                        -- what the provider kept, as far as the ledger does not have it
    adjust_minor bigint      NOT NULL,                        -- what the provider corrected; more than zero to us
    arrived_on   date        NOT NULL,
    intended_at  timestamptz NOT NULL DEFAULT now(),
    attempts     smallint    NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL DEFAULT now(),
    failure      text        NOT NULL DEFAULT '',             -- why the last attempt was in vain
    posted_at    timestamptz,
    journal_id   text        NOT NULL DEFAULT '',
    PRIMARY KEY (account, payout_id, currency),
    CHECK ((posted_at IS NULL) = (journal_id = ''))
);
CREATE INDEX payout_posting_open ON payout_posting (next_at) WHERE posted_at IS NULL;
