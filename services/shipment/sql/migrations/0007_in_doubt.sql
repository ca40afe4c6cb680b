-- +goose Up
-- The few shipments whose outcome is not known are counted at each scrape; most that have not ended are on their way.
CREATE INDEX shipment_in_doubt ON shipment (updated_at) WHERE look_at IS NOT NULL AND (state = 1 OR state = 2 AND cancelling);
