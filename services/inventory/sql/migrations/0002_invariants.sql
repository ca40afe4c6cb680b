-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION stock_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: what happened is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER stock_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_event
    FOR EACH STATEMENT EXECUTE FUNCTION stock_event_is_append_only();

-- What must hold of this database: a view inv_<number>_<name> gives what violates it, and nothing else. Its comment
-- is the kind (A always, Q when quiet, L within a bound) and the statement.

CREATE VIEW inv_9_stock_events_are_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass('stock_event') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'stock_event_is_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_stock_events_are_append_only IS 'A: A trigger refuses every change of a stock event.';

CREATE VIEW inv_12_levels_are_their_events AS
WITH happened AS (
    SELECT e.sku,
           sum(CASE e.type WHEN 1 THEN e.quantity WHEN 2 THEN -e.quantity WHEN 3 THEN e.quantity ELSE 0 END) AS available,
           sum(CASE e.type WHEN 2 THEN e.quantity WHEN 1 THEN 0 ELSE -e.quantity END) AS reserved,
           sum(CASE e.type WHEN 4 THEN e.quantity ELSE 0 END) AS shipped
      FROM stock_event e GROUP BY e.sku
)
SELECT coalesce(l.sku, h.sku) AS id,
       format('the level is %s available, %s reserved, %s shipped; the events add up to %s, %s and %s',
              l.available, l.reserved, l.shipped, h.available, h.reserved, h.shipped) AS detail
  FROM stock_level l FULL JOIN happened h ON h.sku = l.sku
 WHERE coalesce(l.available, 0) <> coalesce(h.available, 0) OR coalesce(l.reserved, 0) <> coalesce(h.reserved, 0)
    OR coalesce(l.shipped, 0) <> coalesce(h.shipped, 0);
COMMENT ON VIEW inv_12_levels_are_their_events IS
    'A: The level of a SKU is what its events add up to: all that was received is available, reserved or shipped.';

CREATE VIEW inv_12_reservations_are_their_events AS
WITH line AS (
    SELECT r.id, r.state, unnest(r.skus) AS sku, unnest(r.quantities) AS quantity FROM reservation r
), happened AS (
    SELECT e.reservation_id AS id, e.sku,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 2), 0) AS reserved,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 3), 0) AS released,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 4), 0) AS committed
      FROM stock_event e WHERE e.reservation_id IS NOT NULL GROUP BY e.reservation_id, e.sku
)
SELECT 'res_' || coalesce(l.id, h.id) AS id,
       format('%s of %s in state %s; its events reserved %s, released %s, committed %s', coalesce(l.quantity, 0),
              coalesce(l.sku, h.sku), coalesce(l.state::text, 'none'), h.reserved, h.released, h.committed) AS detail
  FROM line l FULL JOIN happened h ON h.id = l.id AND h.sku = l.sku
 WHERE coalesce(h.reserved, 0) <> coalesce(l.quantity, 0)
    OR coalesce(h.released, 0) <> CASE l.state WHEN 2 THEN l.quantity ELSE 0 END
    OR coalesce(h.committed, 0) <> CASE l.state WHEN 3 THEN l.quantity ELSE 0 END;
COMMENT ON VIEW inv_12_reservations_are_their_events IS
    'A: The pieces of a reservation were reserved once, and released or committed once if its state says so.';

-- Numbers are drawn under the lock on the SKU's level: in their order its events took effect.
CREATE VIEW inv_13_never_oversold AS
SELECT DISTINCT ON (e.sku) e.sku AS id,
       format('after event %s %s are available and %s reserved', e.id, e.available, e.reserved) AS detail
  FROM (SELECT s.id, s.sku,
               sum(CASE s.type WHEN 1 THEN s.quantity WHEN 2 THEN -s.quantity WHEN 3 THEN s.quantity ELSE 0 END)
                   OVER (PARTITION BY s.sku ORDER BY s.id) AS available,
               sum(CASE s.type WHEN 2 THEN s.quantity WHEN 1 THEN 0 ELSE -s.quantity END)
                   OVER (PARTITION BY s.sku ORDER BY s.id) AS reserved
          FROM stock_event s) e
 WHERE e.available < 0 OR e.reserved < 0
 ORDER BY e.sku, e.id;
COMMENT ON VIEW inv_13_never_oversold IS
    'A: At no time were more pieces of a SKU promised than there were, nor more released or shipped than promised.';
