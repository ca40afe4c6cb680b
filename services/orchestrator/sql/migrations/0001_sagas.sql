-- +goose Up
-- What a client placed. Never changed after it was accepted: how far it has come is its saga's to say.
CREATE TABLE orders (
    id             uuid        PRIMARY KEY,
    saga_id        uuid        NOT NULL,
    customer_id    text        NOT NULL,
    payment_method text        NOT NULL,
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor    bigint      NOT NULL CHECK (total_minor > 0),
    lines          jsonb       NOT NULL,
    ship_to        jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- A projection of saga_event, kept in the same transaction, for lists and for finding what is to be driven.
CREATE TABLE saga (
    id         uuid        PRIMARY KEY,
    definition text        NOT NULL,
    version    int         NOT NULL,
    order_id   uuid        NOT NULL,
    phase      smallint    NOT NULL CHECK (phase BETWEEN 1 AND 5), -- 1 running, 2 compensating, 3 completed, 4 compensated, 5 parked
    step       text        NOT NULL,                               -- the step it is at; empty when it has ended
    cause      text        NOT NULL,                               -- why it compensates or is parked
    seq        int         NOT NULL,                               -- of its last event
    deadline   timestamptz NOT NULL,
    traceparent text       NOT NULL,                               -- of the call that started it; empty for none
    paused     boolean     NOT NULL DEFAULT false,                  -- by a person
    next_at    timestamptz,                                         -- when it tries again
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (phase IN (1, 2) OR next_at IS NULL),
    CHECK (phase IN (1, 3) OR cause <> '')
);
CREATE INDEX saga_live ON saga (id) WHERE phase IN (1, 2) AND NOT paused;

-- The truth: what happened to each saga, in order, without gaps. Its primary key is also what keeps two drivers
-- of one saga apart: the second one to write a number loses.
CREATE TABLE saga_event (
    saga_id uuid        NOT NULL REFERENCES saga (id),
    seq     int         NOT NULL CHECK (seq > 0),
    type    text        NOT NULL,
    step    text        NOT NULL,
    at      timestamptz NOT NULL,
    detail  jsonb       NOT NULL,
    PRIMARY KEY (saga_id, seq)
);

-- Who did what to which saga, and why: a row for each of a person's events, written with it.
CREATE TABLE operator_action (
    saga_id  uuid        NOT NULL,
    seq      int         NOT NULL,
    actor    text        NOT NULL,
    verb     text        NOT NULL,
    step     text        NOT NULL,
    reason   text        NOT NULL CHECK (reason <> ''),
    evidence text        NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (saga_id, seq),
    FOREIGN KEY (saga_id, seq) REFERENCES saga_event (saga_id, seq)
);

-- What happened to an order in all services, gathered from their events.
CREATE TABLE timeline (
    order_id uuid        NOT NULL,
    event_id uuid        NOT NULL,
    at       timestamptz NOT NULL,
    service  text        NOT NULL,
    type     text        NOT NULL,
    subject  text        NOT NULL,
    PRIMARY KEY (order_id, event_id)
);
