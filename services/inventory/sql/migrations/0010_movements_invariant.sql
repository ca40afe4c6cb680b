-- +goose Up
-- The projection and its place change in one transaction, and nothing can still come up to the place: so this holds at any
-- moment, however far the projection is behind. In a database that was restored, where the numbers of transactions begin
-- anew, it is violated by the first event that the projection will never come to.
CREATE VIEW inv_12_movements_are_their_events AS
WITH happened AS (
    SELECT e.sku, (e.at AT TIME ZONE 'UTC')::date AS day,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 1), 0) AS received, coalesce(sum(e.quantity) FILTER (WHERE e.type = 2), 0) AS reserved,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 3), 0) AS released, coalesce(sum(e.quantity) FILTER (WHERE e.type = 4), 0) AS committed,
           coalesce(sum(e.quantity) FILTER (WHERE e.type = 5), 0) AS adjusted, coalesce(sum(e.quantity) FILTER (WHERE e.type = 6), 0) AS expired
      FROM stock_event e JOIN projection p ON p.name = 'daily_movement' AND (e.xid, e.id) <= (p.xid, p.event_id)
     GROUP BY 1, 2
)
SELECT coalesce(d.sku, h.sku) || ' on ' || coalesce(d.day, h.day) AS id,
       format('received %s, reserved %s, released %s, committed %s, adjusted %s, expired %s; the events add up to %s, %s, %s, %s, %s and %s',
              d.received, d.reserved, d.released, d.committed, d.adjusted, d.expired,
              h.received, h.reserved, h.released, h.committed, h.adjusted, h.expired) AS detail
  FROM daily_movement d FULL JOIN happened h ON h.sku = d.sku AND h.day = d.day
 WHERE (d.received, d.reserved, d.released, d.committed, d.adjusted, d.expired)
       IS DISTINCT FROM (h.received, h.reserved, h.released, h.committed, h.adjusted, h.expired);
COMMENT ON VIEW inv_12_movements_are_their_events IS
    'A: The movements of a SKU on a day are what its events of that day add up to, as far as the projection has come.';
