-- +goose Up
-- The truth: what happened to the pieces of each SKU, in order, never changed.
CREATE TABLE stock_event (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku            text        NOT NULL,
    type           smallint    NOT NULL CHECK (type BETWEEN 1 AND 4), -- 1 received, 2 reserved, 3 released, 4 committed
    quantity       bigint      NOT NULL CHECK (quantity > 0),
    reservation_id uuid        CHECK ((reservation_id IS NULL) = (type = 1)),
    at             timestamptz NOT NULL DEFAULT now()
);

-- A projection of stock_event, kept in the same transaction: what there is of each SKU, in pieces.
CREATE TABLE stock_level (
    sku        text        PRIMARY KEY CHECK (sku <> ''),
    available  bigint      NOT NULL CHECK (available >= 0),
    reserved   bigint      NOT NULL CHECK (reserved >= 0),
    shipped    bigint      NOT NULL CHECK (shipped >= 0),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Pieces promised to one taker, a consolidated line a SKU.
CREATE TABLE reservation (
    id         uuid        PRIMARY KEY,
    reference  text        NOT NULL,
    state      smallint    NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 held, 2 released, 3 committed
    skus       text[]      NOT NULL,
    quantities bigint[]    NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (cardinality(skus) = cardinality(quantities) AND cardinality(skus) > 0)
);
