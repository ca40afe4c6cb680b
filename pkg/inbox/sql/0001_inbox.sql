-- +goose Up
-- The events each consumer is done with; a row is written in the transaction of the event's effect.
CREATE TABLE inbox (
    consumer     text        NOT NULL,
    event_id     uuid        NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- Messages a consumer gave up on, for an operator to look at and to drive again.
CREATE TABLE dead_letter (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer    text        NOT NULL,
    event_id    uuid,       -- NULL: what arrived is no event
    subject     text        NOT NULL,
    payload     bytea       NOT NULL,
    headers     jsonb       NOT NULL,
    error       text        NOT NULL,
    deliveries  int         NOT NULL CHECK (deliveries > 0),
    traceparent text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- What is no event has no inbox row: this keeps a second delivery of it from becoming a second dead letter.
CREATE UNIQUE INDEX dead_letter_undecodable ON dead_letter (consumer, subject, md5(payload), md5(headers::text))
    WHERE event_id IS NULL;
