-- +goose Up
-- An order that was accepted while the database could not be reached, under a key that the database had an order of already: its
-- client was told another id for it.
CREATE TABLE order_alias (
    id         uuid        PRIMARY KEY,
    order_id   uuid        NOT NULL REFERENCES orders,
    created_at timestamptz NOT NULL DEFAULT now()
);
