-- +goose Up
-- When a held reservation expires by itself; NULL for one that somebody owns and ends. What is settled has none any more.
-- State 4 is expired, and so is type 6 of an event.
ALTER TABLE reservation
    ADD COLUMN expires_at timestamptz,
    DROP CONSTRAINT reservation_state_check,
    ADD CONSTRAINT reservation_state_check CHECK (state BETWEEN 1 AND 4) NOT VALID;
ALTER TABLE stock_event
    DROP CONSTRAINT stock_event_type_check,
    DROP CONSTRAINT stock_event_reservation_check,
    ADD CONSTRAINT stock_event_type_check CHECK (type BETWEEN 1 AND 6) NOT VALID,
    ADD CONSTRAINT stock_event_reservation_check CHECK ((reservation_id IS NOT NULL) = (type IN (2, 3, 4, 6))) NOT VALID;

CREATE OR REPLACE VIEW stock_move AS
SELECT e.id, e.sku,
       CASE WHEN e.type IN (1, 3, 5, 6) THEN e.quantity WHEN e.type = 2 THEN -e.quantity ELSE 0 END AS available,
       CASE WHEN e.type = 2 THEN e.quantity WHEN e.type IN (3, 4, 6) THEN -e.quantity ELSE 0 END AS reserved,
       CASE WHEN e.type = 4 THEN e.quantity ELSE 0 END AS shipped,
       CASE WHEN e.type = 5 THEN e.quantity ELSE 0 END AS adjusted
  FROM stock_event e;

CREATE OR REPLACE VIEW inv_12_reservations_are_their_events AS
WITH line AS (
    SELECT r.id, r.state, unnest(r.skus) AS sku, unnest(r.quantities) AS quantity FROM reservation r
), happened AS (
    SELECT e.reservation_id AS id, e.sku,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 2), 0) AS reserved,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 3), 0) AS released,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 4), 0) AS committed,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 6), 0) AS expired
      FROM stock_event e WHERE e.reservation_id IS NOT NULL GROUP BY e.reservation_id, e.sku
)
SELECT 'res_' || coalesce(l.id, h.id) AS id,
       format('%s of %s in state %s; its events reserved %s, released %s, committed %s, expired %s', coalesce(l.quantity, 0),
              coalesce(l.sku, h.sku), coalesce(l.state::text, 'none'), h.reserved, h.released, h.committed, h.expired) AS detail
  FROM line l FULL JOIN happened h ON h.id = l.id AND h.sku = l.sku
 WHERE coalesce(h.reserved, 0) <> coalesce(l.quantity, 0)
    OR coalesce(h.released, 0) <> CASE l.state WHEN 2 THEN l.quantity ELSE 0 END
    OR coalesce(h.committed, 0) <> CASE l.state WHEN 3 THEN l.quantity ELSE 0 END
    OR coalesce(h.expired, 0) <> CASE l.state WHEN 4 THEN l.quantity ELSE 0 END;
COMMENT ON VIEW inv_12_reservations_are_their_events IS
    'A: The pieces of a reservation were reserved once, and released, committed or expired once if its state says so.';
