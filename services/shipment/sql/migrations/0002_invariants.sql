-- +goose Up
-- What must hold of this database: a view inv_<number>_<name> gives what violates it, and nothing else. Its comment
-- is the kind (A always, Q when quiet, L within a bound) and the statement.

CREATE VIEW inv_15_one_shipment_per_order AS
SELECT s.reference AS id, format('has %s shipments that are or may be scheduled', count(*)) AS detail
  FROM shipment s WHERE s.state IN (1, 2) GROUP BY s.reference HAVING count(*) > 1;
COMMENT ON VIEW inv_15_one_shipment_per_order IS 'A: An order has at most one shipment that is not refused or cancelled.';
