-- +goose Up
-- Runs, and what they found to be the same money.

-- A run matches what is open. Its inputs are fixed when it begins: the deliveries that it takes, and what earlier runs left open.
CREATE TABLE run (
    number     int         PRIMARY KEY CHECK (number > 0), -- without gaps
    id         uuid        NOT NULL UNIQUE,
    state      smallint    NOT NULL CHECK (state BETWEEN 1 AND 4), -- 1 running, 2 finished, 3 cancelled, 4 failed
    as_of      date        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX run_one_at_a_time ON run ((true)) WHERE state = 1;

-- A match is movements that are the same money. Its id is its run's number, shifted left by 32 bits, and its place in the
-- run; matches that a person makes have places of their own.
CREATE TABLE match (
    id           bigint   PRIMARY KEY,
    partition_id int      NOT NULL,
    pass         smallint NOT NULL CHECK (pass BETWEEN 0 AND 6), -- match.Pass; 0 by hand
    ours_by      smallint NOT NULL,                              -- match.Carrier, of pass 1
    theirs_by    smallint NOT NULL,
    score        smallint NOT NULL CHECK (score BETWEEN 0 AND 1000),
    evidence     text     NOT NULL DEFAULT ''                    -- JSON, where pass and carriers do not say all
);

-- The movements of a match. No movement is in two that are active.
CREATE TABLE match_leg (
    match_id    bigint  NOT NULL,
    movement_id bigint  NOT NULL,
    active      boolean NOT NULL DEFAULT true
);
CREATE UNIQUE INDEX match_leg_active ON match_leg (movement_id) WHERE active;

-- A movement that a run has left open, until a later run or a person has it in a match. Runs look at these and at what came in.
CREATE TABLE open_movement (
    movement_id  bigint NOT NULL,
    since_run    int    NOT NULL,
    partition_id int    NOT NULL,
    until_run    int, -- the run from which on it is not open any more
    PRIMARY KEY (movement_id, since_run),
    CHECK (until_run > since_run)
);
CREATE INDEX open_movement_now ON open_movement (partition_id, movement_id) WHERE until_run IS NULL;
