-- +goose Up
-- What becomes of a shipment when the carrier has it. From then on it is not cancelled.
-- 1 scheduling, 2 scheduled, 3 refused, 4 cancelled, 5 handed over, 6 in transit, 7 delivered, 8 returned, 9 lost
ALTER TABLE shipment
    DROP CONSTRAINT shipment_state_check, DROP CONSTRAINT shipment_check,
    ADD CONSTRAINT shipment_state CHECK (state BETWEEN 1 AND 9),
    -- A cancelled one keeps the number it had, if it had one.
    ADD CONSTRAINT shipment_has_number CHECK ((tracking_number <> '') = (state = 2 OR state >= 5) OR state = 4);

CREATE OR REPLACE VIEW inv_15_one_shipment_per_order AS
SELECT s.reference AS id, format('has %s shipments that are or may be scheduled', count(*)) AS detail
  FROM shipment s WHERE s.state NOT IN (3, 4) GROUP BY s.reference HAVING count(*) > 1;
