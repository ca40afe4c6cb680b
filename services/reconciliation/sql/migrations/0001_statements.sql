-- +goose Up
-- The files that were taken in, and the movements of money of all sides.

-- A partition is what is matched by itself: at a stage, an account with the provider and a currency. Both sides of it are
-- movements: at stage 1, what we booked and the provider's report; at stage 2, payouts and the bank statement.
CREATE TABLE partition (
    id       int      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    stage    smallint NOT NULL CHECK (stage IN (1, 2)), -- 1 provider, 2 bank
    account  text     NOT NULL CHECK (account <> ''),
    currency text     NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    UNIQUE (stage, account, currency)
);

-- A delivery is movements that come in together, and are matched from the same run on: the lines of a file, the payouts they
-- make, or what a transaction has learnt from events. A run takes all that are accepted and not taken yet.
CREATE TABLE delivery (
    id         int         PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- the movements' ids begin with it
    kind       smallint    NOT NULL CHECK (kind IN (1, 2, 3)),       -- 1 a file, 2 payouts of a file, 3 events
    state      smallint    NOT NULL CHECK (state BETWEEN 0 AND 4),   -- 0 coming in, 1 accepted, 2 held, 3 quarantined, 4 dropped
    rows       int         NOT NULL DEFAULT 0 CHECK (rows >= 0),
    run_number int,        -- the run that took it
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (run_number IS NULL OR state = 1)
);
CREATE INDEX delivery_waiting ON delivery (id) WHERE run_number IS NULL AND state = 1;
CREATE INDEX delivery_of_run ON delivery (run_number) WHERE run_number IS NOT NULL;

-- A movement of money, as one side tells it. It is never changed. Its id is its delivery's, shifted left by 32 bits, and its
-- place in it from 1, so that a delivery is a range of ids. Its key says what it is: the same movement told twice has the same
-- key, and is there once.
CREATE TABLE movement (
    id           bigint   PRIMARY KEY,
    key          uuid     NOT NULL UNIQUE,
    partition_id int      NOT NULL,
    ours         boolean  NOT NULL,
    kind         smallint NOT NULL CHECK (kind BETWEEN 1 AND 9), -- match.Kind
    standing     smallint NOT NULL DEFAULT 0 CHECK (standing BETWEEN 0 AND 2), -- match.Standing
    amount_minor bigint   NOT NULL,
    fee_minor    bigint   NOT NULL DEFAULT 0,
    day          date     NOT NULL, -- when it happened; at the bank, from when it counts
    line         int      NOT NULL DEFAULT 0, -- of its file, from 1
    provider_id  text     NOT NULL DEFAULT '',
    parent_id    text     NOT NULL DEFAULT '',
    idem_key     text     NOT NULL DEFAULT '', -- the idempotency key, or the end-to-end id
    reference    text     NOT NULL DEFAULT '',
    payout_id    text     NOT NULL DEFAULT '',
    payment_id   text     NOT NULL DEFAULT '', -- of ours
    note         text     NOT NULL DEFAULT ''  -- what people are told of it: the category, remittance information
);
