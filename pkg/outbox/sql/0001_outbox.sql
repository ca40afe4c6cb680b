-- +goose Up
-- Events, written in the transaction of the change they tell of. The relay publishes them in the order of seq and
-- then notes when, and at which sequence of the stream.
CREATE TABLE outbox (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid        NOT NULL,
    service      text        NOT NULL,
    entity       text        NOT NULL,
    name         text        NOT NULL,
    subject      text        NOT NULL,
    reference    text        NOT NULL,
    occurred_at  timestamptz NOT NULL,
    data         bytea       NOT NULL,
    traceparent  text        NOT NULL,
    tracestate   text        NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now(),
    stream_seq   bigint,
    published_at timestamptz,
    CHECK ((stream_seq IS NULL) = (published_at IS NULL))
);

CREATE INDEX outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;

-- What the relay knows of the stream; one row. A stream with another creation time, or without last_id at last_seq,
-- is not the one the rows of outbox were published to.
CREATE TABLE outbox_stream (
    one      boolean     PRIMARY KEY DEFAULT true CHECK (one),
    created  timestamptz NOT NULL,
    last_seq bigint      NOT NULL,
    last_id  uuid,
    CHECK ((last_seq = 0) = (last_id IS NULL))
);
