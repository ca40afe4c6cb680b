-- +goose Up
-- Operations on breaks keep the filter that a person wrote, and can be cancelled: a plan before it is applied, or one that runs.

ALTER TABLE break_operation
    ALTER COLUMN filter TYPE text USING filter::text,
    ADD COLUMN cancelled_by text NOT NULL DEFAULT '',
    ADD COLUMN cancel_reason text NOT NULL DEFAULT '',
    DROP CONSTRAINT break_operation_state_check,
    DROP CONSTRAINT break_operation_check2,
    DROP CONSTRAINT break_operation_check3,
    ADD CHECK (state BETWEEN 1 AND 5), -- 1 planned, 2 running, 3 finished, 4 expired, 5 cancelled
    ADD CHECK ((applied_by <> '') = (applied_at IS NOT NULL) AND (state = 5 OR (state IN (2, 3)) = (applied_by <> ''))),
    ADD CHECK ((state IN (3, 5)) = (ended_at IS NOT NULL)),
    ADD CHECK ((state = 5) = (cancelled_by <> '') AND (cancelled_by <> '') = (cancel_reason <> ''));
