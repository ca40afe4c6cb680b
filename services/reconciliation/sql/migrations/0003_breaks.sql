-- +goose Up
-- Breaks: differences between what two sides say, until they are explained. Nothing of them is ever deleted.

CREATE TABLE break (
    id            uuid        PRIMARY KEY, -- breaks.Identity
    code          text        NOT NULL CHECK (code ~ '^[A-Z][A-Z_]+$'),
    watcher       text        NOT NULL CHECK (watcher <> ''), -- who looks for it, and what of: what it does not see any more vanishes
    scope         text        NOT NULL DEFAULT '',
    subject       text        NOT NULL DEFAULT '', -- what it is about where that is no movements
    account       text        NOT NULL DEFAULT '',
    currency      text        NOT NULL DEFAULT '' CHECK (currency ~ '^([A-Z]{3})?$'),
    amount_minor  bigint      NOT NULL DEFAULT 0,
    matched       boolean     NOT NULL DEFAULT false, -- its movements are matched nevertheless: only a person ends it
    state         smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 5), -- breaks.State
    resolution    smallint    NOT NULL DEFAULT 0 CHECK (resolution BETWEEN 0 AND 6), -- breaks.Resolution
    base_severity smallint    NOT NULL CHECK (base_severity BETWEEN 1 AND 4), -- by code and amount; by age it is more
    opened_at     timestamptz NOT NULL DEFAULT now(), -- when it was first seen
    opened_on     date        NOT NULL, -- the day of that in UTC, which its age is counted from
    changed_at    timestamptz NOT NULL DEFAULT now(),
    assignee      text        NOT NULL DEFAULT '',
    snoozed_until timestamptz,
    run_number    int         NOT NULL DEFAULT 0, -- the run that first saw it; 0 for none
    order_id      text        NOT NULL DEFAULT '',
    payment_id    text        NOT NULL DEFAULT '',
    detail        jsonb       NOT NULL DEFAULT '{}',
    note          text        NOT NULL DEFAULT '', -- what was last said about it
    match_id      bigint,     -- the match by hand that holds its movements, while a person's decision does
    last_event    int         NOT NULL DEFAULT 1, -- the number of the last event of its history
    CHECK ((state = 5) = (resolution <> 0)),
    CHECK (amount_minor = 0 OR currency <> ''),
    CHECK (state IN (3, 5) OR match_id IS NULL)
);
-- The queue, by what is pressing whatever its age, and then by age.
CREATE INDEX break_queue ON break (base_severity DESC, opened_on, id) WHERE state <> 5;
CREATE INDEX break_watched ON break (watcher, scope) WHERE state <> 5 AND NOT matched;
CREATE INDEX break_resolved ON break (base_severity DESC, opened_on, id) WHERE state = 5;
CREATE INDEX break_of_order ON break (order_id) WHERE order_id <> '';
CREATE INDEX break_of_payment ON break (payment_id) WHERE payment_id <> '';

-- The movements that a break is about.
CREATE TABLE break_movement (
    break_id    uuid    NOT NULL REFERENCES break,
    movement_id bigint  NOT NULL,
    ours        boolean NOT NULL,
    PRIMARY KEY (break_id, movement_id)
);
CREATE INDEX break_movement_of ON break_movement (movement_id);

-- The history of breaks. It is never changed.
CREATE TABLE break_event (
    break_id uuid        NOT NULL REFERENCES break,
    number   int         NOT NULL CHECK (number > 0), -- from 1, without gaps
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL CHECK (actor <> ''),
    verb     text        NOT NULL CHECK (verb <> ''), -- breaks.Verb
    reason   text        NOT NULL DEFAULT '',
    detail   jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (break_id, number)
);

-- +goose StatementBegin
CREATE FUNCTION break_history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: the history of breaks is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER break_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON break_event
    FOR EACH STATEMENT EXECUTE FUNCTION break_history_is_append_only();

-- What is done elsewhere because of a break: journals and repairs. The row is the intent, written with the decision; a duty
-- carries it out under its key, as often as it takes.
CREATE TABLE break_journal (
    break_id     uuid        NOT NULL REFERENCES break,
    number       int         NOT NULL CHECK (number > 0),
    key          text        NOT NULL UNIQUE,
    kind         smallint    NOT NULL CHECK (kind BETWEEN 1 AND 4),  -- 1 write-off, 2 repost, 3 repair, 4 takes back an earlier one
    state        smallint    NOT NULL CHECK (state BETWEEN 1 AND 5), -- 1 to be approved, 2 to be done, 3 done, 4 rejected, 5 refused for good
    from_account text        NOT NULL DEFAULT '', -- what is credited
    to_account   text        NOT NULL DEFAULT '', -- what is debited
    currency     text        NOT NULL DEFAULT '',
    amount_minor bigint      NOT NULL DEFAULT 0 CHECK (amount_minor >= 0),
    reason       text        NOT NULL CHECK (reason <> ''),
    asked_by     text        NOT NULL CHECK (asked_by <> ''),
    approved_by  text        NOT NULL DEFAULT '', -- empty where nobody has to
    next_at      timestamptz NOT NULL DEFAULT now(),
    attempts     int         NOT NULL DEFAULT 0,
    result       text        NOT NULL DEFAULT '', -- the journal's id, or what the repair did
    note         text        NOT NULL DEFAULT '', -- why the last attempt was in vain
    created_at   timestamptz NOT NULL DEFAULT now(),
    done_at      timestamptz,
    PRIMARY KEY (break_id, number),
    CHECK (approved_by <> asked_by),
    CHECK ((kind = 3) = (amount_minor = 0)),
    CHECK (kind = 3 OR from_account <> '' AND to_account <> '' AND from_account <> to_account AND currency <> ''),
    CHECK ((state = 3) = (done_at IS NOT NULL))
);
CREATE INDEX break_journal_due ON break_journal (next_at) WHERE state = 2;

-- The places of matches that people make: behind those of the last run, from 2^31 on.
CREATE SEQUENCE match_place_by_hand MINVALUE 2147483648 MAXVALUE 4294967295;

CREATE INDEX operator_action_of_target ON operator_action (target, at);

-- One verb that a person does to all breaks that a list held. First it is a plan; once it is applied it goes through its items
-- in the order of their ids, some at a time, each time in one transaction with what it does to them.
CREATE TABLE break_operation (
    id         uuid        PRIMARY KEY,
    state      smallint    NOT NULL CHECK (state BETWEEN 1 AND 4), -- 1 planned, 2 running, 3 finished, 4 expired
    filter     jsonb       NOT NULL,
    decision   jsonb       NOT NULL, -- what is decided on each of them
    planned_by text        NOT NULL CHECK (planned_by <> ''),
    planned_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    applied_by text        NOT NULL DEFAULT '',
    applied_at timestamptz,
    ended_at   timestamptz,
    matched    bigint      NOT NULL DEFAULT 0,
    done       bigint      NOT NULL DEFAULT 0,
    refused    bigint      NOT NULL DEFAULT 0,
    CHECK (done + refused <= matched),
    CHECK (state <> 3 OR done + refused = matched),
    CHECK ((state IN (2, 3)) = (applied_by <> '' AND applied_at IS NOT NULL)),
    CHECK ((state = 3) = (ended_at IS NOT NULL))
);
CREATE INDEX break_operation_running ON break_operation (applied_at) WHERE state = 2;
CREATE INDEX break_operation_planned ON break_operation (expires_at) WHERE state = 1;

-- What the breaks of an operation come to.
CREATE TABLE break_operation_total (
    operation_id uuid   NOT NULL REFERENCES break_operation,
    currency     text   NOT NULL,
    count        bigint NOT NULL,
    sum_minor    bigint NOT NULL,
    PRIMARY KEY (operation_id, currency)
);

CREATE TABLE break_operation_item (
    operation_id uuid     NOT NULL REFERENCES break_operation,
    break_id     uuid     NOT NULL REFERENCES break,
    outcome      smallint NOT NULL DEFAULT 0 CHECK (outcome BETWEEN 0 AND 2), -- 0 to be done, 1 done, 2 refused
    refusal      text     NOT NULL DEFAULT '',
    PRIMARY KEY (operation_id, break_id),
    CHECK ((outcome = 2) = (refusal <> ''))
);
CREATE INDEX break_operation_item_open ON break_operation_item (operation_id, break_id) WHERE outcome = 0;
CREATE INDEX break_operation_item_refused ON break_operation_item (operation_id, break_id) WHERE outcome = 2;
