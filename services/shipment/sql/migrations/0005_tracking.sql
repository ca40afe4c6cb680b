-- +goose Up
-- What carriers have told of shipments: added to, and never changed.
CREATE TABLE tracking_event (
    shipment_id uuid        NOT NULL REFERENCES shipment,
    seq         int         NOT NULL CHECK (seq > 0),
    carrier     text        NOT NULL,
    event_id    text        NOT NULL CHECK (length(event_id) BETWEEN 1 AND 300), -- the carrier's: each is taken down once
    state       smallint    NOT NULL CHECK (state = 2 OR state BETWEEN 5 AND 9),
    detail      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shipment_id, seq),
    UNIQUE (carrier, event_id)
);
-- +goose StatementBegin
CREATE FUNCTION tracking_event_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a carrier has told is not changed' USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER tracking_event_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON tracking_event
    FOR EACH STATEMENT EXECUTE FUNCTION tracking_event_is_kept();

-- When the carrier is asked by itself: how far a shipment is, or what became of one whose outcome is in doubt. No step
-- updates look_at, which is indexed. Who asked, and under which key, is not known of shipments from before; those in
-- doubt are left to whoever asks again.
ALTER TABLE shipment
    ADD COLUMN caller          text        NOT NULL DEFAULT '',
    ADD COLUMN idempotency_key text        NOT NULL DEFAULT '',
    ADD COLUMN default_carrier boolean     NOT NULL DEFAULT false,                      -- the request names none
    ADD COLUMN cancelling      boolean     NOT NULL DEFAULT false,                      -- a Cancel of it was begun
    ADD COLUMN looks           int         NOT NULL DEFAULT 0,                          -- how often in a row nothing was new
    ADD COLUMN look_at         timestamptz          DEFAULT now() + interval '30 seconds'; -- NULL: there is nothing to ask
CREATE INDEX shipment_look_at ON shipment (look_at) WHERE look_at IS NOT NULL;
