-- +goose Up
-- A file of payments. Its counters follow its items in the same transactions.
CREATE TABLE batch (
    id               uuid        PRIMARY KEY,
    state            smallint    NOT NULL CHECK (state BETWEEN 0 AND 5), -- 0 uploading, 1 planned, 2 running, 3 paused, 4 finished, 5 cancelled
    name             text        NOT NULL CHECK (name <> ''),
    series           text        NOT NULL,                     -- what is compared from run to run; empty for none
    header           jsonb       NOT NULL,                     -- the rest of what the uploader said of the file
    provider_account text        NOT NULL CHECK (provider_account <> ''),
    cut_off_at       timestamptz,                              -- no item is started from then on
    repeats          uuid,                                     -- the batch of the same content, where that is on purpose
    plan_hash        bytea,                                    -- SHA-256 over its items, in the order of the file
    items            bigint      NOT NULL DEFAULT 0,
    rejected         bigint      NOT NULL DEFAULT 0,
    duplicates       bigint      NOT NULL DEFAULT 0,           -- items whose reference an earlier batch had, when it was planned
    variance         jsonb,                                    -- against the last batch of the series, when it was planned
    planned          bigint      NOT NULL DEFAULT 0,
    running          bigint      NOT NULL DEFAULT 0,
    succeeded        bigint      NOT NULL DEFAULT 0,
    failed           bigint      NOT NULL DEFAULT 0,
    unknown          bigint      NOT NULL DEFAULT 0,
    cancelled        bigint      NOT NULL DEFAULT 0,
    fed_through      bigint      NOT NULL DEFAULT 0,           -- no item up to this line is planned
    to_prove         boolean     NOT NULL DEFAULT false,       -- it has come to its end since it was proven last
    created_by       text        NOT NULL CHECK (created_by <> ''),
    created_at       timestamptz NOT NULL DEFAULT now(),       -- when the upload began; when it was planned, from then on
    lease_until      timestamptz,                              -- of an upload
    started_by       text        NOT NULL DEFAULT '',
    started_at       timestamptz,
    cancelled_at     timestamptz,                              -- when that was asked for
    ended_at         timestamptz,
    note             text        NOT NULL DEFAULT '',          -- who paused or cancelled it, and why
    CHECK (planned >= 0 AND running >= 0 AND succeeded >= 0 AND failed >= 0 AND unknown >= 0 AND cancelled >= 0),
    CHECK (state = 0 OR planned + running + succeeded + failed + unknown + cancelled = items),
    CHECK (state = 0 OR plan_hash IS NOT NULL),
    CHECK ((state = 0) = (lease_until IS NOT NULL)),
    CHECK (state IN (0, 1) OR started_at IS NOT NULL OR cancelled_at IS NOT NULL),
    CHECK (state NOT IN (4, 5) OR planned = 0 AND running = 0 AND ended_at IS NOT NULL),
    CHECK (cancelled_at IS NULL OR planned = 0)
);
-- One file is charged once, unless somebody says that it is to be charged again.
CREATE UNIQUE INDEX batch_content ON batch (plan_hash) WHERE state BETWEEN 1 AND 4 AND items > 0 AND repeats IS NULL;
CREATE INDEX batch_running ON batch (id) WHERE state = 2;
CREATE INDEX batch_to_prove ON batch (id) WHERE to_prove;
CREATE INDEX batch_uploading ON batch (lease_until) WHERE state = 0;
CREATE INDEX batch_of_series ON batch (series, id) WHERE series <> '' AND state > 0;

-- What the items of a batch come to, and what was taken.
CREATE TABLE batch_sum (
    batch_id        uuid   NOT NULL REFERENCES batch (id) ON DELETE CASCADE,
    currency        text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    items           bigint NOT NULL CHECK (items > 0),
    sum_minor       bigint NOT NULL CHECK (sum_minor > 0),
    collected_items bigint NOT NULL DEFAULT 0 CHECK (collected_items BETWEEN 0 AND items),
    collected_minor bigint NOT NULL DEFAULT 0 CHECK (collected_minor BETWEEN 0 AND sum_minor),
    PRIMARY KEY (batch_id, currency)
);

-- One payment of a batch, charged at most once. Its row is updated in place: no index has a column that changes.
CREATE TABLE batch_item (
    batch_id       uuid        NOT NULL,
    line           bigint      NOT NULL CHECK (line > 0),
    reference      text        NOT NULL CHECK (reference <> ''),
    customer_id    text        NOT NULL,
    payment_method text        NOT NULL,
    currency       text        NOT NULL,
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    description    text        NOT NULL,
    card_scheme    text        NOT NULL,
    state          smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 6), -- 1 planned, 2 running, 3 succeeded, 4 failed, 5 unknown, 6 cancelled
    attempt        int         NOT NULL DEFAULT 0 CHECK (attempt >= 0),          -- the number of the last one
    attempted_at   timestamptz,
    known_at       timestamptz,                                                  -- when the outcome of the attempt was known
    reason         text        NOT NULL DEFAULT '',
    detail         text        NOT NULL DEFAULT '',
    saga_id        uuid,
    payment_id     text        NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, line),
    CHECK ((state IN (1, 6)) OR attempt > 0 AND attempted_at IS NOT NULL),
    CHECK ((state IN (3, 4)) = (known_at IS NOT NULL)),
    CHECK (state <> 4 OR reason <> '')
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX batch_item_reference ON batch_item (reference, batch_id);

-- Attempts that were followed by others.
CREATE TABLE item_attempt (
    batch_id     uuid        NOT NULL,
    line         bigint      NOT NULL,
    number       int         NOT NULL CHECK (number > 0),
    attempted_at timestamptz NOT NULL,
    known_at     timestamptz NOT NULL,
    reason       text        NOT NULL CHECK (reason <> ''), -- all of them failed
    saga_id      uuid,
    payment_id   text        NOT NULL,
    PRIMARY KEY (batch_id, line, number)
);

-- A row of the file that is no item.
CREATE TABLE batch_rejection (
    batch_id uuid   NOT NULL,
    line     bigint NOT NULL,
    field    text   NOT NULL,
    reason   text   NOT NULL CHECK (reason <> ''),
    message  text   NOT NULL,
    raw      text   NOT NULL,
    PRIMARY KEY (batch_id, line)
);

-- The proof of a batch's totals, each time that it came to an end.
CREATE TABLE batch_proof (
    batch_id     uuid        NOT NULL REFERENCES batch (id),
    number       int         NOT NULL CHECK (number > 0),
    proven_at    timestamptz NOT NULL DEFAULT now(),
    items        bigint      NOT NULL,
    plan_hash    bytea       NOT NULL,
    outcome_hash bytea       NOT NULL,
    collected    jsonb       NOT NULL, -- [{"currency", "items", "minor"}], by currency
    difference   text        NOT NULL, -- what does not hold; empty when all does
    PRIMARY KEY (batch_id, number)
);

-- How items may be charged at a provider account; one without a row has the default.
CREATE TABLE provider_limit (
    account     text        PRIMARY KEY CHECK (account <> ''),
    rate        int         NOT NULL CHECK (rate >= 0), -- items a second; 0 for no limit
    concurrency int         NOT NULL CHECK (concurrency > 0),
    set_by      text        NOT NULL CHECK (set_by <> ''),
    reason      text        NOT NULL CHECK (reason <> ''),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- What people did, and why: a row for each decision, written with it.
CREATE TABLE operator_action (
    id     uuid        PRIMARY KEY,
    actor  text        NOT NULL CHECK (actor <> ''),
    verb   text        NOT NULL,
    target text        NOT NULL, -- the batch's id, or the provider account
    reason text        NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);
