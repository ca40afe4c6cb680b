-- +goose Up
-- How often a consumer has failed on an event, over all processes and restarts. A row stays when the event takes effect
-- after all. Written in a transaction of its own: that of the effect was rolled back.
CREATE TABLE event_failure (
    consumer  text        NOT NULL,
    event_id  uuid        NOT NULL,
    failures  int         NOT NULL CHECK (failures > 0),
    error     text        NOT NULL, -- the last one
    failed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX event_failure_at ON event_failure (failed_at);

-- A dead letter is never deleted. It is open until a person ends it: driven again with success, or discarded.
ALTER TABLE dead_letter
    ADD COLUMN uid          uuid        NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN stream_seq   bigint      CHECK (stream_seq > 0),                  -- NULL: written by a version that did not note it
    ADD COLUMN published_at timestamptz,                                         -- when the stream took it; NULL likewise
    ADD COLUMN attempts     int         NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- how often the consumer was given it and failed
    ADD COLUMN failed_at    timestamptz NOT NULL DEFAULT now(),                  -- when it last did, or was found to be no event
    ADD COLUMN state        smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3), -- 1 open, 2 redriven, 3 discarded
    ADD COLUMN ended_at     timestamptz,
    ADD CHECK ((state = 1) = (ended_at IS NULL));
CREATE UNIQUE INDEX dead_letter_uid ON dead_letter (uid);
CREATE INDEX dead_letter_open ON dead_letter (consumer, id) WHERE state = 1;

-- One decision on all dead letters that a filter held for. First it is a plan; once it is applied, its items are done one by
-- one, each in one transaction with its outcome.
CREATE TABLE dead_letter_operation (
    id         uuid        PRIMARY KEY,
    verb       smallint    NOT NULL CHECK (verb IN (1, 2)), -- 1 redrive, 2 discard
    filter     text        NOT NULL,
    reason     text        NOT NULL CHECK (reason <> ''),
    planned_by text        NOT NULL CHECK (planned_by <> ''),
    planned_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    matched    bigint      NOT NULL,
    applied_by text        NOT NULL DEFAULT '',
    applied_at timestamptz,
    ended_at   timestamptz,
    CHECK ((applied_by = '') = (applied_at IS NULL)),
    CHECK (ended_at IS NULL OR applied_at IS NOT NULL)
);
CREATE INDEX dead_letter_operation_running ON dead_letter_operation (applied_at) WHERE applied_at IS NOT NULL AND ended_at IS NULL;

CREATE TABLE dead_letter_operation_item (
    operation_id   uuid     NOT NULL REFERENCES dead_letter_operation,
    dead_letter_id bigint   NOT NULL REFERENCES dead_letter,
    outcome        smallint NOT NULL DEFAULT 0 CHECK (outcome BETWEEN 0 AND 2), -- 0 to be done, 1 done, 2 refused
    refusal        text     NOT NULL DEFAULT '',
    PRIMARY KEY (operation_id, dead_letter_id),
    CHECK ((outcome = 2) = (refusal <> ''))
);
CREATE INDEX dead_letter_operation_item_open ON dead_letter_operation_item (operation_id, dead_letter_id) WHERE outcome = 0;

-- What people did with dead letters, why, and what came of it; in the transaction of what they did.
CREATE TABLE dead_letter_action (
    number         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id bigint      NOT NULL REFERENCES dead_letter,
    actor          text        NOT NULL CHECK (actor <> ''),
    verb           smallint    NOT NULL CHECK (verb IN (1, 2)),
    reason         text        NOT NULL CHECK (reason <> ''),
    outcome        smallint    NOT NULL CHECK (outcome BETWEEN 1 AND 4), -- 1 took effect, 2 nothing was left to do, 3 failed again, 4 discarded
    error          text        NOT NULL DEFAULT '',
    operation_id   uuid        REFERENCES dead_letter_operation,
    at             timestamptz NOT NULL DEFAULT now(),
    CHECK ((verb = 2) = (outcome = 4)),
    CHECK ((outcome = 3) = (error <> ''))
);
CREATE INDEX dead_letter_action_of ON dead_letter_action (dead_letter_id, number);
-- However often an event is driven again, it takes effect once.
CREATE UNIQUE INDEX dead_letter_effect ON dead_letter_action (dead_letter_id) WHERE outcome IN (1, 2);

-- +goose StatementBegin
CREATE FUNCTION dead_letter_actions_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: what people did is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER dead_letter_action_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_action
    FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_actions_are_append_only();

-- +goose StatementBegin
CREATE FUNCTION dead_letters_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: dead letters are kept', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER dead_letter_is_kept BEFORE DELETE OR TRUNCATE ON dead_letter
    FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_are_kept();

CREATE OR REPLACE VIEW inv_32_no_dead_letters AS
SELECT 'dlt_' || d.uid AS id, format('%s at consumer %s since %s: %s', d.subject, d.consumer, d.created_at, d.error) AS detail
  FROM dead_letter d WHERE d.state = 1;

CREATE VIEW inv_32_failed_events_are_kept AS
SELECT f.event_id::text AS id,
       format('consumer %s last failed on it at %s, for the %s. time: %s; it neither took effect since nor is it a dead letter',
              f.consumer, f.failed_at, f.failures, f.error) AS detail
  FROM event_failure f
 WHERE f.failed_at < now() - interval '5 minutes'
   AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = f.consumer AND i.event_id = f.event_id);
COMMENT ON VIEW inv_32_failed_events_are_kept IS 'Q: Five minutes after a consumer failed on an event it has taken effect or is a dead letter.';

CREATE VIEW inv_9_dead_letter_actions_are_append_only AS
SELECT c.relname::text AS id, 'no trigger keeps its rows from being changed' AS detail
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass('dead_letter_action') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE g.tgrelid = c.oid AND f.proname = 'dead_letter_actions_are_append_only' AND g.tgenabled IN ('O', 'A')
       AND g.tgtype & 58 = 58); -- before (2) each delete (8), update (16) and truncate (32)
COMMENT ON VIEW inv_9_dead_letter_actions_are_append_only IS 'A: A trigger refuses every change of what people did with dead letters.';

CREATE VIEW inv_36_dead_letters_of_operators AS
WITH last AS (
    SELECT DISTINCT ON (a.dead_letter_id) a.dead_letter_id, a.outcome FROM dead_letter_action a ORDER BY a.dead_letter_id, a.number DESC)
SELECT 'dlt_' || d.uid AS id, format('of consumer %s is in state %s, and what people last did with it came to %s',
                                     d.consumer, d.state, coalesce(l.outcome::text, 'nothing')) AS detail
  FROM dead_letter d LEFT JOIN last l ON l.dead_letter_id = d.id
 WHERE d.state <> CASE WHEN l.outcome IN (1, 2) THEN 2 WHEN l.outcome = 4 THEN 3 ELSE 1 END;
COMMENT ON VIEW inv_36_dead_letters_of_operators IS 'A: The state of a dead letter is what a person made of it, who is on record with a reason.';
