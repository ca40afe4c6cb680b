-- +goose Up
-- A payment that billing has had made. Never changed after it was started: how far it has come is its saga's to say.
CREATE TABLE recurring_payment (
    id             uuid        PRIMARY KEY,
    saga_id        uuid        NOT NULL,
    reference      text        NOT NULL, -- what it is for, in the words of who started it
    customer_id    text        NOT NULL,
    payment_method text        NOT NULL,
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX recurring_payment_of_customer ON recurring_payment (customer_id);
CREATE INDEX recurring_payment_of_reference ON recurring_payment (reference);

-- What a saga is for, which its column order_id names: an order, or a recurring payment. An order has no reference but
-- its id, a recurring payment no lines and no address.
CREATE VIEW saga_subject AS
SELECT id, saga_id, ''::text AS reference, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at
  FROM orders
UNION ALL
SELECT id, saga_id, reference, customer_id, payment_method, currency, amount_minor, NULL::jsonb, NULL::jsonb, created_at
  FROM recurring_payment;

CREATE OR REPLACE VIEW inv_16_orders_have_their_sagas AS
SELECT coalesce(CASE WHEN o.reference = '' THEN 'ord_' ELSE 'rcp_' END || o.id, 'sag_' || s.id) AS id,
       CASE WHEN o.id IS NULL THEN 'drives no order and no recurring payment' ELSE 'is driven by no saga' END AS detail
  FROM saga_subject o FULL JOIN saga s
    ON s.id = o.saga_id AND s.order_id = o.id AND (s.definition = 'recurring') = (o.reference <> '')
 WHERE o.id IS NULL OR s.id IS NULL;
COMMENT ON VIEW inv_16_orders_have_their_sagas IS
    'A: Every order and every recurring payment is driven by one saga, and every saga drives one of them.';
