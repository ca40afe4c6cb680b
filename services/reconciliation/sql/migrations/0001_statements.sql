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
    other_day    date,              -- of theirs, the other of the two: from when it counts; at the bank, when it was booked
    line         int      NOT NULL DEFAULT 0, -- of its file, from 1
    provider_id  text     NOT NULL DEFAULT '',
    parent_id    text     NOT NULL DEFAULT '',
    idem_key     text     NOT NULL DEFAULT '', -- the idempotency key, or the end-to-end id
    reference    text     NOT NULL DEFAULT '',
    payout_id    text     NOT NULL DEFAULT '',
    payment_id   text     NOT NULL DEFAULT '', -- of ours
    note         text     NOT NULL DEFAULT ''  -- what people are told of it: the category, remittance information
);

-- A file that was taken in. Its lines are the movements of its delivery, with the places that they have among the lines of the
-- file that can be movements, so that a statement is a range of places.
CREATE TABLE statement_file (
    id             uuid        PRIMARY KEY,
    state          smallint    NOT NULL CHECK (state BETWEEN 0 AND 4), -- that of its delivery
    account        text        NOT NULL CHECK (account <> ''),         -- with the provider
    stage          smallint    NOT NULL CHECK (stage IN (1, 2)),       -- 1 what the provider reports, 2 what the bank states
    format         text        NOT NULL CHECK (format <> ''),
    name           text        NOT NULL,
    reading        jsonb       NOT NULL, -- what was said of how to read it: the same content, read the same, says the same
    sha256         bytea       NOT NULL, -- of its content; while it comes in, what it was said to be, or empty
    size_bytes     bigint      NOT NULL DEFAULT 0,
    delivery_id    int         NOT NULL UNIQUE,
    payouts_id     int         UNIQUE,   -- the delivery of the payouts that it makes; of what the provider reports
    created_by     text        NOT NULL CHECK (created_by <> ''),
    created_at     timestamptz NOT NULL DEFAULT now(),
    decided_at     timestamptz,
    -- How far it has come; written with each piece.
    attempt        int         NOT NULL DEFAULT 1, -- to bring it: who writes says which one it is, and only the last one may
    written_at     timestamptz NOT NULL DEFAULT now(),
    pieces         int         NOT NULL DEFAULT 0,
    control        bytea       NOT NULL DEFAULT '', -- SHA-256 over its lines, from piece to piece
    lines          bigint      NOT NULL DEFAULT 0,
    movements      bigint      NOT NULL DEFAULT 0,  -- that its delivery has
    overlapping    bigint      NOT NULL DEFAULT 0,  -- lines that are movements of other deliveries
    differing      bigint      NOT NULL DEFAULT 0,  -- those of them that say something else there
    difference     text        NOT NULL DEFAULT '', -- the first of these
    leans_on       int[]       NOT NULL DEFAULT '{}', -- those deliveries
    -- What it came to; written when all of it is in.
    pending        bigint      NOT NULL DEFAULT 0,  -- lines that are not booked
    payout_lines   bigint      NOT NULL DEFAULT 0,  -- lines of a report that are payouts themselves
    statements     int         NOT NULL DEFAULT 0,
    proofs         bigint      NOT NULL DEFAULT 0,
    failing        bigint      NOT NULL DEFAULT 0,
    failing_proofs jsonb       NOT NULL DEFAULT '[]', -- the first of them
    note           text        NOT NULL DEFAULT '', -- why it is held or quarantined
    repeats        bigint      NOT NULL DEFAULT 0,  -- how often it came again
    clearing       boolean     NOT NULL DEFAULT false, -- movements of it are to be removed
    CHECK ((state = 0) = (decided_at IS NULL)),
    CHECK (state = 0 OR octet_length(sha256) = 32),
    CHECK (state NOT IN (1, 2) OR failing = 0),
    CHECK (state <> 3 OR failing > 0),
    CHECK (NOT (clearing AND state = 1))
);
-- The same content is never taken in twice.
CREATE UNIQUE INDEX statement_file_content ON statement_file (sha256) WHERE state IN (1, 2);
CREATE INDEX statement_file_other_content ON statement_file (sha256) WHERE state = 3;
CREATE INDEX statement_file_open ON statement_file (id) WHERE state IN (0, 2) OR clearing;

-- What a file says of one account.
CREATE TABLE statement (
    id            uuid     PRIMARY KEY,
    file_id       uuid     NOT NULL REFERENCES statement_file (id) ON DELETE CASCADE,
    number        int      NOT NULL CHECK (number > 0), -- its place in the file
    standing      smallint NOT NULL CHECK (standing BETWEEN 1 AND 7), -- 1 taken, 2 gap, 3 overlap, 4 repeats, 5 dropped, 6 released, 7 refused
    note          text     NOT NULL DEFAULT '',         -- why it is held
    sender_id     text     NOT NULL,
    bank_account  text     NOT NULL, -- as the file writes it; empty where it names none
    series        text     NOT NULL, -- statements of one series continue each other, where they are of one currency
    currency      text     NOT NULL CHECK (currency ~ '^([A-Z]{3})?$'), -- empty where lines have several
    sequence      bigint   NOT NULL,
    page          int      NOT NULL,
    opening_minor bigint,
    opening_day   date,
    closing_minor bigint,
    closing_day   date,
    first_day     date,    -- on which a line of it was booked
    last_day      date,
    lines         bigint   NOT NULL,
    pending       bigint   NOT NULL,
    unkeyed       bigint   NOT NULL, -- booked lines that have no key of their sender's
    sums          jsonb    NOT NULL, -- what its booked lines come to, by currency
    first_place   bigint   NOT NULL, -- of its lines in the delivery
    last_place    bigint   NOT NULL, -- less than first_place where it has none
    overlapping   bigint   NOT NULL, -- lines that are movements of other deliveries
    overlap_minor bigint   NOT NULL, -- what these come to; 0 where lines have several currencies
    UNIQUE (file_id, number),
    CHECK ((opening_minor IS NULL) = (opening_day IS NULL) AND (closing_minor IS NULL) = (closing_day IS NULL))
);
CREATE INDEX statement_series ON statement (series, currency);

-- While a file comes in: how many lines with this key it has had so far, of those that are not told apart by their key alone.
CREATE TABLE repeated_key (
    delivery_id int  NOT NULL,
    key         uuid NOT NULL,
    seen        int  NOT NULL CHECK (seen > 0),
    PRIMARY KEY (delivery_id, key)
);

-- What people did, and why: a row for each decision, written with it.
CREATE TABLE operator_action (
    id     uuid        PRIMARY KEY,
    actor  text        NOT NULL CHECK (actor <> ''),
    verb   text        NOT NULL,
    target text        NOT NULL, -- the id of what it was done to
    reason text        NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);

-- What a movement is, from what names it: a UUID of version 8, of the SHA-256 over all parts, each behind its length in bytes.
-- +goose StatementBegin
CREATE FUNCTION identity_of(VARIADIC parts text[]) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(set_byte(set_byte(h, 6, (get_byte(h, 6) & 15) | 128), 8, (get_byte(h, 8) & 63) | 128), 'hex')::uuid
      FROM (SELECT substring(sha256(convert_to(string_agg(octet_length(p)::text || ':' || p, '' ORDER BY n), 'UTF8')) FOR 16) AS h
              FROM unnest(parts) WITH ORDINALITY AS u (p, n)) d
$$;
-- +goose StatementEnd
