-- +goose Up
-- Dates that are no business days, by name.
CREATE TABLE holiday_list (
    name       text        PRIMARY KEY CHECK (name <> ''),
    dates      date[]      NOT NULL, -- in order
    set_by     text        NOT NULL CHECK (set_by <> ''),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Payments that recur.
CREATE TABLE schedule (
    id               uuid        PRIMARY KEY,
    state            smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3), -- 1 active, 2 paused, 3 ended
    customer_id      text        NOT NULL CHECK (customer_id <> ''),
    payment_method   text        NOT NULL CHECK (payment_method <> ''),
    currency         text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor     bigint      NOT NULL CHECK (amount_minor BETWEEN 1 AND 10000000000000), -- so that the sum of a batch fits
    description      text        NOT NULL,
    card_scheme      text        NOT NULL,
    provider_account text        NOT NULL CHECK (provider_account <> ''),
    rule             jsonb       NOT NULL,                     -- when it is due
    dunning          jsonb,                                    -- how what is declined is tried again; NULL for not at all
    holiday_list     text        REFERENCES holiday_list (name),
    missed           text        NOT NULL CHECK (missed IN ('run_all', 'run_latest', 'skip_all')),
    grace_seconds    bigint      NOT NULL CHECK (grace_seconds >= 60),
    overlap          text        NOT NULL CHECK (overlap IN ('queue', 'skip', 'allow')),
    decided_through  date        NOT NULL,                     -- what its rule has up to here is decided on
    next_date        date,                                     -- the next civil date that has no occurrence
    next_due_at      timestamptz,                              -- when that is due
    note             text        NOT NULL DEFAULT '',          -- who paused or ended it, and why
    created_by       text        NOT NULL CHECK (created_by <> ''),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    paused_at        timestamptz,
    ended_at         timestamptz,
    CHECK ((next_date IS NULL) = (next_due_at IS NULL)),
    CHECK ((state = 3) = (next_due_at IS NULL)),
    CHECK ((state = 2) = (paused_at IS NOT NULL)),
    CHECK ((state = 3) = (ended_at IS NOT NULL)),
    CHECK (state = 1 OR note <> ''),
    CHECK (next_date > decided_through)
);
-- The only thing that is read again and again; a paused schedule is due as well, to be skipped.
CREATE INDEX schedule_due ON schedule (next_due_at) WHERE next_due_at IS NOT NULL;
CREATE INDEX schedule_of_customer ON schedule (customer_id, id);
CREATE INDEX schedule_of_holidays ON schedule (holiday_list, id) WHERE holiday_list IS NOT NULL AND state < 3;

-- What was decided on an occurrence; the key is its identity, and there is one of it for ever.
CREATE TABLE occurrence (
    schedule_id  uuid        NOT NULL REFERENCES schedule (id),
    civil_date   date        NOT NULL,
    state        smallint    NOT NULL CHECK (state BETWEEN 1 AND 4), -- 1 run, 2 skipped, 3 missed, 4 queued
    why          text        NOT NULL DEFAULT '',                    -- it was not run
    due_at       timestamptz NOT NULL,
    decided_at   timestamptz NOT NULL,
    triggered_by text        NOT NULL DEFAULT '',                    -- empty for one that fell due
    batch_id     uuid,                                               -- of its item, with line
    line         bigint,
    PRIMARY KEY (schedule_id, civil_date),
    CHECK ((state = 1) = (batch_id IS NOT NULL)),
    CHECK ((batch_id IS NULL) = (line IS NULL)),
    CHECK (CASE state WHEN 2 THEN why IN ('overlap', 'paused', 'ended', 'no_business_day') WHEN 3 THEN why IN ('missed', 'superseded') ELSE why = '' END)
);
CREATE UNIQUE INDEX occurrence_of_item ON occurrence (batch_id, line) WHERE batch_id IS NOT NULL;
CREATE INDEX occurrence_queued ON occurrence (schedule_id, civil_date) WHERE state = 4;

-- Where the items of a batch come from. What schedules have due is told apart by its occurrences: only files are
-- compared by their content.
ALTER TABLE batch ADD COLUMN origin smallint NOT NULL DEFAULT 1 CHECK (origin IN (1, 2)); -- 1 a file, 2 schedules
DROP INDEX batch_content;
CREATE UNIQUE INDEX batch_content ON batch (plan_hash) WHERE state BETWEEN 1 AND 4 AND items > 0 AND repeats IS NULL AND origin = 1;

CREATE VIEW inv_48_runs_have_their_item AS
SELECT 'sch_' || o.schedule_id || '/' || o.civil_date AS id,
       coalesce('its item is ' || i.reference, format('is run, and bat_%s has no line %s', o.batch_id, o.line)) AS detail
  FROM occurrence o LEFT JOIN batch_item i ON i.batch_id = o.batch_id AND i.line = o.line
 WHERE o.state = 1 AND i.reference IS DISTINCT FROM 'sch_' || o.schedule_id || '/' || o.civil_date;
COMMENT ON VIEW inv_48_runs_have_their_item IS 'A: An occurrence that is run is the item of its name.';

CREATE VIEW inv_49_no_occurrence_is_charged_twice AS
SELECT i.reference AS id, format('is in %s items of batches of schedules, and %s of them are an occurrence''s', count(*), count(o.line)) AS detail
  FROM batch b JOIN batch_item i ON i.batch_id = b.id
  LEFT JOIN occurrence o ON o.batch_id = i.batch_id AND o.line = i.line
 WHERE b.origin = 2 AND b.state > 0 GROUP BY i.reference HAVING count(*) <> 1 OR count(o.line) <> 1;
COMMENT ON VIEW inv_49_no_occurrence_is_charged_twice IS 'A: Every item of a batch of schedules is one occurrence, and no two items are the same.';

CREATE VIEW inv_50_due_schedules_are_looked_at AS
SELECT 'sch_' || s.id AS id, format('was due at %s, and nobody has decided on it', s.next_due_at) AS detail
  FROM schedule s WHERE s.next_due_at < now() - interval '15 minutes';
COMMENT ON VIEW inv_50_due_schedules_are_looked_at IS 'L: What is due is decided on within 15 minutes.';

CREATE VIEW inv_36_people_at_schedules_leave_a_record AS
SELECT 'sch_' || s.id AS id, 'was paused or triggered, and there is no record of who did it' AS detail
  FROM schedule s
 WHERE (s.state = 2 AND NOT EXISTS (SELECT FROM operator_action a WHERE a.target = 'sch_' || s.id AND a.verb = 'pause'))
    OR EXISTS (SELECT FROM occurrence o WHERE o.schedule_id = s.id AND o.triggered_by <> '' AND NOT EXISTS (
                   SELECT FROM operator_action a WHERE a.target = 'sch_' || s.id AND a.verb = 'trigger' AND a.actor = o.triggered_by));
COMMENT ON VIEW inv_36_people_at_schedules_leave_a_record IS 'A: Whoever paused a schedule or triggered it is on record, with why.';
