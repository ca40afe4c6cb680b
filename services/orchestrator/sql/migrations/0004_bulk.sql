-- +goose Up
-- One verb that a person has done to all sagas that matched a filter. First it is a plan; once it is applied it goes
-- through its items in the order of their sagas, some at a time, each time in one transaction with what it does to
-- them. So whoever takes it up next goes on behind the last of them.
CREATE TABLE bulk_operation (
    id            uuid        PRIMARY KEY,
    state         smallint    NOT NULL CHECK (state BETWEEN 1 AND 5), -- 1 planned, 2 running, 3 finished, 4 cancelled, 5 expired
    filter        text        NOT NULL,
    verb          text        NOT NULL,
    step          text        NOT NULL,                               -- that the verb is about; empty for the whole saga
    reason        text        NOT NULL CHECK (reason <> ''),
    evidence      text        NOT NULL,
    planned_by    text        NOT NULL CHECK (planned_by <> ''),
    planned_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    matched       bigint      NOT NULL DEFAULT 0,
    possible      bigint      NOT NULL DEFAULT 0,                     -- of those that matched, when it was planned
    applied_by    text        NOT NULL DEFAULT '',
    applied_at    timestamptz,
    rate          int         NOT NULL DEFAULT 0,                     -- sagas a second at most; 0 for no limit
    next_at       timestamptz,                                        -- when it goes on, while it is running
    through       uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- the last saga whose turn it was
    done          bigint      NOT NULL DEFAULT 0,
    refused       bigint      NOT NULL DEFAULT 0,
    cancelled_by  text        NOT NULL DEFAULT '',
    cancel_reason text        NOT NULL DEFAULT '',
    ended_at      timestamptz,
    CHECK (done + refused <= matched AND possible <= matched),
    CHECK (state <> 3 OR done + refused = matched),
    CHECK (state NOT IN (2, 3) OR applied_by <> '' AND applied_at IS NOT NULL),
    CHECK (state <> 4 OR cancelled_by <> '' AND cancel_reason <> ''),
    CHECK ((state = 2) = (next_at IS NOT NULL)),
    CHECK ((state IN (3, 4)) = (ended_at IS NOT NULL))
);
CREATE INDEX bulk_operation_running ON bulk_operation (next_at) WHERE state = 2;
CREATE INDEX bulk_operation_planned ON bulk_operation (expires_at) WHERE state = 1;

-- What the orders of the sagas that matched come to.
CREATE TABLE bulk_total (
    operation_id uuid   NOT NULL REFERENCES bulk_operation (id),
    currency     text   NOT NULL,
    count        bigint NOT NULL,
    sum_minor    bigint NOT NULL,
    PRIMARY KEY (operation_id, currency)
);

-- The sagas that matched when the operation was planned.
CREATE TABLE bulk_item (
    operation_id uuid     NOT NULL REFERENCES bulk_operation (id),
    saga_id      uuid     NOT NULL,
    outcome      smallint NOT NULL DEFAULT 0 CHECK (outcome BETWEEN 0 AND 2), -- 0 open, 1 done, 2 refused
    refusal      text     NOT NULL DEFAULT '', -- why; for some of those that are open, why it would be
    PRIMARY KEY (operation_id, saga_id),
    CHECK (outcome <> 1 OR refusal = ''),
    CHECK (outcome <> 2 OR refusal <> '')
);
CREATE INDEX bulk_item_refused ON bulk_item (operation_id, saga_id) WHERE refusal <> '';

-- The operation on many sagas that the action was part of; NULL for one of its own.
ALTER TABLE operator_action ADD COLUMN operation_id uuid REFERENCES bulk_operation (id);

-- A customer's sagas are asked for by people.
CREATE INDEX orders_of_customer ON orders (customer_id);
