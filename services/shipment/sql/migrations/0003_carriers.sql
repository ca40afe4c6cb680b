-- +goose Up
-- Which carrier brings a shipment, and how fast. What there is, and what the previous version writes, goes by the only
-- carrier that it knows.
ALTER TABLE shipment
    ADD COLUMN carrier       text     NOT NULL DEFAULT 'simulator' CHECK (carrier <> ''),
    ADD COLUMN service_level smallint NOT NULL DEFAULT 1 CHECK (service_level BETWEEN 1 AND 3); -- 1 standard, 2 express, 3 overnight
