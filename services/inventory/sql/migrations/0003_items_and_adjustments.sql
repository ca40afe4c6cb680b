-- +goose Up
-- What a person did to stock: who, and why.
CREATE TABLE operator_action (
    id     uuid        PRIMARY KEY,
    actor  text        NOT NULL CHECK (actor <> ''),
    verb   text        NOT NULL CHECK (verb <> ''),
    sku    text        NOT NULL,
    reason text        NOT NULL CHECK (reason <> ''),
    at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operator_action_of_sku ON operator_action (sku, at);

-- What is said about a SKU. One that was received, and that nobody spoke about, has no row.
CREATE TABLE item (
    sku         text        PRIMARY KEY REFERENCES stock_level (sku),
    description text        NOT NULL,
    unit        text        NOT NULL CHECK (unit <> ''),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- What was corrected on balance; the binary before this one corrects nothing.
ALTER TABLE stock_level ADD COLUMN adjusted bigint NOT NULL DEFAULT 0;

-- Type 5 is adjusted: pieces that were found, or with a minus missed, and the action that says so. What is there fits,
-- for it fitted the narrower rules; so nothing is read again.
ALTER TABLE stock_event ADD COLUMN action_id uuid;
ALTER TABLE stock_event
    DROP CONSTRAINT stock_event_type_check,
    DROP CONSTRAINT stock_event_quantity_check,
    DROP CONSTRAINT stock_event_check,
    ADD CONSTRAINT stock_event_type_check CHECK (type BETWEEN 1 AND 5) NOT VALID,
    ADD CONSTRAINT stock_event_quantity_check CHECK (quantity > 0 OR type = 5 AND quantity <> 0) NOT VALID,
    ADD CONSTRAINT stock_event_reservation_check CHECK ((reservation_id IS NOT NULL) = (type IN (2, 3, 4))) NOT VALID,
    ADD CONSTRAINT stock_event_action_check CHECK ((action_id IS NOT NULL) = (type = 5)) NOT VALID;

-- What each event does to the level of its SKU.
CREATE VIEW stock_move AS
SELECT e.id, e.sku,
       CASE WHEN e.type IN (1, 3, 5) THEN e.quantity WHEN e.type = 2 THEN -e.quantity ELSE 0 END AS available,
       CASE WHEN e.type = 2 THEN e.quantity WHEN e.type IN (3, 4) THEN -e.quantity ELSE 0 END AS reserved,
       CASE WHEN e.type = 4 THEN e.quantity ELSE 0 END AS shipped,
       CASE WHEN e.type = 5 THEN e.quantity ELSE 0 END AS adjusted
  FROM stock_event e;

CREATE OR REPLACE VIEW inv_12_levels_are_their_events AS
WITH happened AS (
    SELECT m.sku, sum(m.available) AS available, sum(m.reserved) AS reserved, sum(m.shipped) AS shipped, sum(m.adjusted) AS adjusted
      FROM stock_move m GROUP BY m.sku
)
SELECT coalesce(l.sku, h.sku) AS id,
       format('the level is %s available, %s reserved, %s shipped, %s adjusted; the events add up to %s, %s, %s and %s',
              l.available, l.reserved, l.shipped, l.adjusted, h.available, h.reserved, h.shipped, h.adjusted) AS detail
  FROM stock_level l FULL JOIN happened h ON h.sku = l.sku
 WHERE coalesce(l.available, 0) <> coalesce(h.available, 0) OR coalesce(l.reserved, 0) <> coalesce(h.reserved, 0)
    OR coalesce(l.shipped, 0) <> coalesce(h.shipped, 0) OR coalesce(l.adjusted, 0) <> coalesce(h.adjusted, 0);
COMMENT ON VIEW inv_12_levels_are_their_events IS
    'A: The level of a SKU is what its events add up to: all that was received or found is available, reserved or shipped.';

CREATE OR REPLACE VIEW inv_13_never_oversold AS
SELECT DISTINCT ON (e.sku) e.sku AS id,
       format('after event %s %s are available and %s reserved', e.id, e.available, e.reserved) AS detail
  FROM (SELECT m.id, m.sku, sum(m.available) OVER (PARTITION BY m.sku ORDER BY m.id) AS available,
               sum(m.reserved) OVER (PARTITION BY m.sku ORDER BY m.id) AS reserved
          FROM stock_move m) e
 WHERE e.available < 0 OR e.reserved < 0
 ORDER BY e.sku, e.id;
COMMENT ON VIEW inv_13_never_oversold IS
    'A: At no time were more pieces of a SKU promised, or taken away by a correction, than there were, nor more released or shipped than promised.';

CREATE VIEW inv_36_corrections_of_operators AS
SELECT 'event ' || e.id AS id, 'corrects the stock, and no audit row says who and why' AS detail
  FROM stock_event e
 WHERE e.type = 5 AND NOT EXISTS (SELECT FROM operator_action a WHERE a.id = e.action_id AND a.sku = e.sku);
COMMENT ON VIEW inv_36_corrections_of_operators IS 'A: Every correction of stock has its audit row.';
