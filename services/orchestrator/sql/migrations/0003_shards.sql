-- +goose Up
-- A process that can own shards. It does so as long as it renews its lease; all times are the database's.
CREATE TABLE replica (
    id          uuid        PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

-- Sagas hash to 64 shards, fixed for ever. Whoever owns a shard drives its sagas. The epoch is the fencing number:
-- it rises with every owner, and what is written or sent under a lower one is refused.
CREATE TABLE shard (
    id    smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 63),
    epoch bigint   NOT NULL DEFAULT 0,
    owner uuid     -- a replica's; NULL for none. One whose lease has ended owns nothing.
);
INSERT INTO shard (id) SELECT generate_series(0, 63);

-- Who has owned which shard, and since when. Its key is what makes two owners of one epoch impossible.
CREATE TABLE shard_term (
    shard smallint    NOT NULL REFERENCES shard (id),
    epoch bigint      NOT NULL,
    owner uuid        NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch)
);

-- What sagas run, as data: a saga keeps the version it started with, and that stays as it was.
CREATE TABLE saga_definition (
    name         text  NOT NULL,
    version      int   NOT NULL,
    body         jsonb NOT NULL,
    pivot        text  NOT NULL,
    before_pivot text  NOT NULL, -- the step before it; empty for none
    PRIMARY KEY (name, version)
);
INSERT INTO saga_definition (name, version, body, pivot, before_pivot) VALUES ('order', 1, 'null', 'ship', 'charge');

CREATE OR REPLACE VIEW saga_pivot AS
SELECT name AS definition, version, pivot AS step, before_pivot AS step_before FROM saga_definition;

ALTER TABLE saga ADD COLUMN shard smallint NOT NULL GENERATED ALWAYS AS ((get_byte(uuid_send(id), 15) & 63)::smallint) STORED,
                 ADD COLUMN at_risk boolean NOT NULL DEFAULT false, -- the customer's money may be held, and for nothing
                 ADD CHECK (phase NOT IN (3, 4) OR NOT at_risk);
ALTER TABLE saga SET (fillfactor = 70); -- its rows are updated in place
DROP INDEX saga_live;
CREATE INDEX saga_live ON saga (shard, id) WHERE phase IN (1, 2) AND NOT paused;
CREATE INDEX saga_parked ON saga (id) WHERE phase = 5;

-- An event is written by who holds its saga's row; looking that up again for each would cost as much as writing it.
ALTER TABLE saga_event DROP CONSTRAINT saga_event_saga_id_fkey;

-- The epoch under which the owner of the saga's shard wrote it; NULL for what was written by others: who took it in,
-- and people.
ALTER TABLE saga_event ADD COLUMN epoch bigint;

CREATE OR REPLACE VIEW inv_18_events_have_no_gaps AS
SELECT 'sag_' || coalesce(s.id, e.saga_id) AS id,
       CASE WHEN s.id IS NULL THEN 'has events and no row' ELSE
       format('has %s events, numbered %s to %s', count(e.seq), coalesce(min(e.seq), 0), coalesce(max(e.seq), 0)) END AS detail
  FROM saga s FULL JOIN saga_event e ON e.saga_id = s.id
 GROUP BY s.id, e.saga_id HAVING s.id IS NULL OR count(e.seq) = 0 OR min(e.seq) <> 1 OR max(e.seq) <> count(e.seq);

CREATE OR REPLACE VIEW inv_18_transitions_are_legal AS
SELECT 'sag_' || p.saga_id AS id, format('event %s, %s, cannot follow on %s', p.seq, p.type, coalesce(p.after, 'nothing')) AS detail
  FROM (SELECT e.saga_id, e.seq, e.type, e.decisions,
               lag(e.type) OVER (PARTITION BY e.saga_id ORDER BY e.seq) AS after,
               coalesce(lag(e.phase) OVER (PARTITION BY e.saga_id ORDER BY e.seq), 0) AS phase
          FROM saga_event_phase e) p
 WHERE (p.type = 'compensation_decided' AND p.decisions > 1)
    OR NOT (p.phase = 0 AND p.type = 'started'
         OR p.phase = 1 AND p.type IN ('step_done', 'step_refused', 'step_unknown', 'step_pending', 'step_not_found', 'step_ruled_out',
                                       'compensation_decided', 'completed')
         OR p.phase = 2 AND p.type IN ('step_compensated', 'compensation_unknown', 'compensation_pending', 'compensated')
         OR p.phase IN (1, 2) AND p.type IN ('parked', 'paused', 'resumed')
         OR p.phase IN (1, 2, 5) AND p.type IN ('retried', 'step_resolved', 'step_skipped')
         OR p.phase = 5 AND p.type IN ('compensation_decided', 'step_ruled_out'));

CREATE OR REPLACE VIEW inv_19_all_that_may_be_done_is_undone AS
SELECT 'sag_' || b.saga_id AS id, format('is compensated, and step %s, %s, is not', b.step, replace(b.was, 'step_', '')) AS detail
  FROM saga_step_back b
 WHERE b.was IN ('step_done', 'step_unknown', 'step_pending', 'step_not_found', 'step_resolved') AND b.undone IS NULL
   AND EXISTS (SELECT FROM saga_event e WHERE e.saga_id = b.saga_id AND e.type = 'compensated');

-- The pivot of a saga that turned back is settled when the last thing known of it, but for its compensation, is that
-- it did not happen. It was never opened when the step before it is not done.
CREATE OR REPLACE VIEW inv_22_unknown_is_no_refusal AS
SELECT 'sag_' || d.saga_id AS id,
       format('compensation was decided at event %s, when the pivot %s may have been done and was not refused', d.seq, p.step) AS detail
  FROM saga_event d JOIN saga s ON s.id = d.saga_id
  JOIN saga_pivot p ON p.definition = s.definition AND p.version = s.version
 WHERE d.type = 'compensation_decided'
   AND (p.step_before = '' OR EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = d.saga_id AND e.seq < d.seq AND e.step = p.step_before
       AND e.type IN ('step_done', 'step_resolved')))
   AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = d.saga_id AND e.step = p.step AND e.seq < d.seq
       AND e.type IN ('step_done', 'step_resolved', 'step_refused', 'step_ruled_out') AND NOT EXISTS (
        SELECT FROM saga_event r WHERE r.saga_id = e.saga_id AND r.seq > e.seq AND r.seq < d.seq
           AND r.type IN ('step_unknown', 'step_pending', 'step_not_found', 'retried')));

-- A participant that has taken a step over behind the point of no return may take its time.
CREATE OR REPLACE VIEW inv_17_sagas_come_to_rest AS
SELECT 'sag_' || s.id AS id, format('is %s at step %s since %s, past its deadline of %s',
       CASE s.phase WHEN 1 THEN 'running' ELSE 'compensating' END, s.step, s.updated_at, s.deadline) AS detail
  FROM saga s
 WHERE s.phase IN (1, 2) AND s.deadline < now() - interval '2 hours' AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.at > now() - interval '2 hours'
       AND e.type IN ('resumed', 'retried', 'step_resolved', 'step_ruled_out', 'step_skipped', 'step_pending', 'compensation_pending'))
   AND NOT EXISTS (
    SELECT FROM saga_event e WHERE e.saga_id = s.id AND e.type = 'paused' AND NOT EXISTS (
        SELECT FROM saga_event r WHERE r.saga_id = s.id AND r.type = 'resumed' AND r.seq > e.seq));

-- Clocks of replicas differ by less than a second. People, and the participant's own word, may come before the time.
CREATE VIEW inv_24_timers_are_never_early AS
SELECT 'sag_' || e.saga_id AS id,
       format('event %s, %s, at %s, was not to be before %s', n.seq, n.type, n.at, e.detail ->> 'retry_at') AS detail
  FROM saga_event e JOIN saga_event n ON n.saga_id = e.saga_id AND n.seq = e.seq + 1
 WHERE e.type IN ('step_unknown', 'compensation_unknown')
   AND n.type IN ('step_done', 'step_refused', 'step_unknown', 'step_pending', 'step_not_found',
                  'step_compensated', 'compensation_unknown', 'compensation_pending')
   AND n.at < (e.detail ->> 'retry_at')::timestamptz - interval '1 second';
COMMENT ON VIEW inv_24_timers_are_never_early IS 'A: What is to be asked again at a time is not asked before it.';

CREATE VIEW inv_25_epochs_rise AS
SELECT 'sag_' || e.saga_id AS id, format('event %s was written in epoch %s, after one of epoch %s', e.seq, e.epoch, e.before) AS detail
  FROM (SELECT v.saga_id, v.seq, v.epoch, max(v.epoch) OVER (PARTITION BY v.saga_id ORDER BY v.seq) AS before
          FROM saga_event v WHERE v.epoch IS NOT NULL) e
 WHERE e.epoch < e.before;
COMMENT ON VIEW inv_25_epochs_rise IS 'A: Once the owner of an epoch has written to a saga, none of a lower epoch does.';

CREATE VIEW inv_26_one_owner_an_epoch AS
SELECT 'shard ' || s.id AS id, format('is at epoch %s of %s, and its last term is epoch %s of %s', s.epoch, s.owner, t.epoch, t.owner) AS detail
  FROM shard s LEFT JOIN LATERAL (SELECT epoch, owner FROM shard_term WHERE shard = s.id ORDER BY epoch DESC LIMIT 1) t ON true
 WHERE s.epoch <> coalesce(t.epoch, 0) OR s.owner IS NOT NULL AND s.owner <> t.owner
UNION ALL
SELECT 'sag_' || e.saga_id, format('event %s was written in epoch %s of shard %s, which nobody has owned', e.seq, e.epoch, s.shard)
  FROM saga_event e JOIN saga s ON s.id = e.saga_id
 WHERE e.epoch IS NOT NULL AND NOT EXISTS (SELECT FROM shard_term t WHERE t.shard = s.shard AND t.epoch = e.epoch);
COMMENT ON VIEW inv_26_one_owner_an_epoch IS
    'A: A shard has one owner in each epoch, the one that its terms name, and nobody else writes to its sagas in it.';
