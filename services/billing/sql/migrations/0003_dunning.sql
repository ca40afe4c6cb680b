-- +goose Up
-- When a failed item is tried again by itself.
ALTER TABLE batch_item ADD COLUMN retry_at timestamptz, ADD CHECK (retry_at IS NULL OR state = 4);
CREATE INDEX batch_item_retry ON batch_item (retry_at) WHERE retry_at IS NOT NULL;
ALTER TABLE batch ADD COLUMN retrying bigint NOT NULL DEFAULT 0 CHECK (retrying BETWEEN 0 AND failed); -- items with such a time

-- Each attempt that a provider declined, whatever batch it was of: a card scheme bounds how many there may be.
CREATE TABLE card_decline (
    batch_id       uuid        NOT NULL,
    line           bigint      NOT NULL,
    attempt        int         NOT NULL,
    payment_method text        NOT NULL,
    declined_at    timestamptz NOT NULL DEFAULT now(),
    code           text        NOT NULL,
    PRIMARY KEY (batch_id, line, attempt)
);
CREATE INDEX card_decline_of_method ON card_decline (payment_method, declined_at);

CREATE VIEW inv_45_retries_are_counted AS
SELECT 'bat_' || b.id AS id, format('%s failed items have a time to be tried again, and its row says %s', count(i.line), b.retrying) AS detail
  FROM batch b LEFT JOIN batch_item i ON i.batch_id = b.id AND i.retry_at IS NOT NULL
 WHERE b.state > 0 GROUP BY b.id, b.retrying HAVING count(i.line) <> b.retrying;
COMMENT ON VIEW inv_45_retries_are_counted IS 'A: A batch knows how many of its failed items are tried again by themselves.';

-- The strictest of the schemes' limits holds for one that is not known.
CREATE VIEW inv_46_schemes_limits_hold AS
SELECT a.payment_method AS id, format('was declined %s times within 30 days before %s, and tried again', a.before, a.attempted_at) AS detail
  FROM (SELECT i.payment_method, i.attempted_at, (
            SELECT count(*) FROM card_decline d WHERE d.payment_method = i.payment_method
               AND d.declined_at BETWEEN i.attempted_at - interval '30 days' AND i.attempted_at) AS before
          FROM batch_item i JOIN batch b ON b.id = i.batch_id AND b.header ? 'dunning'
         WHERE i.attempt > 1 AND i.attempted_at IS NOT NULL) a
 WHERE a.before > 35;
COMMENT ON VIEW inv_46_schemes_limits_hold IS 'A: No payment method is tried again after more declines in 30 days than any card scheme allows.';
