-- +goose Up
-- Which transaction wrote an event; those from before this column count as older than all.
ALTER TABLE stock_event ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE stock_event ALTER COLUMN xid SET DEFAULT pg_current_xact_id();

-- How far a projection that follows stock_event has come.
CREATE TABLE projection (
    name     text   PRIMARY KEY,
    xid      xid8   NOT NULL DEFAULT '0',
    event_id bigint NOT NULL DEFAULT 0
);
INSERT INTO projection (name) VALUES ('daily_movement');

-- A projection of stock_event: how many pieces of a SKU moved on each UTC day, by what happened.
CREATE TABLE daily_movement (
    sku       text   NOT NULL,
    day       date   NOT NULL,
    received  bigint NOT NULL,
    reserved  bigint NOT NULL,
    released  bigint NOT NULL,
    committed bigint NOT NULL,
    adjusted  bigint NOT NULL,
    expired   bigint NOT NULL,
    PRIMARY KEY (sku, day)
);
