-- +goose Up
-- What people did to shipments.
CREATE TABLE operator_action (
    id          uuid        PRIMARY KEY,
    actor       text        NOT NULL CHECK (actor <> ''),
    verb        text        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    shipment_id uuid        NOT NULL REFERENCES shipment,
    -- Under which the actor asked: who ends what was begun asks under it again.
    idempotency_key text    NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operator_action_of_shipment ON operator_action (shipment_id);
CREATE INDEX shipment_reference ON shipment (reference);

ALTER TABLE shipment ADD COLUMN by_operator boolean NOT NULL DEFAULT false; -- then operator_action says who cancels it, and why

CREATE VIEW inv_36_cancellations_of_operators AS
SELECT 'shp_' || s.id AS id, 'is cancelled by a person, and no audit row says who and why' AS detail
  FROM shipment s
 WHERE s.by_operator AND NOT EXISTS (SELECT FROM operator_action a WHERE a.shipment_id = s.id AND a.verb = 'cancel');
COMMENT ON VIEW inv_36_cancellations_of_operators IS 'A: Every shipment that a person had cancelled has its audit row.';
