-- +goose Up
-- One row per mutating request that was begun: who asked, what, under which key, and what came of it. It is
-- also the barrier between a step and its compensation: a tombstone refuses the late execute for ever.
CREATE TABLE idem (
    caller      text        NOT NULL,
    method      text        NOT NULL,
    key         text        NOT NULL,
    -- SHA-256 over the semantic fields, then eight bytes of digest per field in declared order.
    fingerprint bytea       NOT NULL,
    state       smallint    NOT NULL CHECK (state BETWEEN 1 AND 4), -- 1 in flight, 2 done, 3 refused, 4 tombstone
    answer      bytea,      -- done: the answer; refused: the error; both as JSON
    resource    text        NOT NULL DEFAULT '',                   -- what the request made, by id
    -- In flight: who works on it is the holder of this attempt until the lease ends; afterwards anyone resumes.
    attempt     int         NOT NULL DEFAULT 1,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,                                       -- NULL: never (derived keys)
    PRIMARY KEY (caller, method, key),
    CHECK (state NOT IN (2, 3) OR answer IS NOT NULL),
    CHECK (state <> 1 OR lease_until IS NOT NULL)
);
