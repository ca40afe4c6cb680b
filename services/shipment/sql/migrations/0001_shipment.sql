-- +goose Up
-- What a carrier was or is to be asked to bring.
CREATE TABLE shipment (
    id              uuid        PRIMARY KEY,
    state           smallint    NOT NULL CHECK (state BETWEEN 1 AND 4), -- 1 scheduling, 2 scheduled, 3 refused, 4 cancelled
    reference       text        NOT NULL,
    address         jsonb       NOT NULL,
    tracking_number text        NOT NULL DEFAULT '',
    refusal_reason  text        NOT NULL DEFAULT '',
    carrier_key     text        NOT NULL UNIQUE CHECK (carrier_key <> ''), -- by which the carrier knows it
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    -- A cancelled one keeps the number it had, if it had one.
    CHECK ((tracking_number <> '') = (state = 2) OR state = 4),
    CHECK ((refusal_reason <> '') = (state = 3))
);
