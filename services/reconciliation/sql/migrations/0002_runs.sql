-- +goose Up
-- Runs, and what they found to be the same money.

-- Rules by which runs match: never changed, and numbered without gaps.
CREATE TABLE rule_set (
    version    int         PRIMARY KEY CHECK (version > 0),
    document   json        NOT NULL, -- as it was put: json keeps the text, which the hash is of
    hash       bytea       NOT NULL CHECK (length(hash) = 32), -- SHA-256
    note       text        NOT NULL DEFAULT '',
    created_by text        NOT NULL CHECK (created_by <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Which rules runs begin with: the ones that were activated last.
CREATE TABLE rule_activation (
    id           int         PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    version      int         NOT NULL REFERENCES rule_set (version),
    at           timestamptz NOT NULL DEFAULT now(),
    activated_by text        NOT NULL CHECK (activated_by <> ''),
    reason       text        NOT NULL CHECK (reason <> '')
);

-- +goose StatementBegin
CREATE FUNCTION rules_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: what runs went by is never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER rule_set_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set
    FOR EACH STATEMENT EXECUTE FUNCTION rules_are_append_only();
CREATE TRIGGER rule_activation_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_activation
    FOR EACH STATEMENT EXECUTE FUNCTION rules_are_append_only();

-- The key with which runs are signed, where the configuration has none; and the public keys of all that ever signed.
CREATE TABLE signing_key (
    public_key bytea       PRIMARY KEY CHECK (length(public_key) = 32), -- Ed25519
    seed       bytea       UNIQUE CHECK (length(seed) = 32),            -- of the private key, which is kept nowhere else
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX signing_key_of_our_own ON signing_key ((true)) WHERE seed IS NOT NULL;

-- A run matches what is open. Its inputs are fixed when it begins: the deliveries that it takes, and what earlier runs left open.
CREATE TABLE run (
    number     int         PRIMARY KEY CHECK (number > 0), -- without gaps
    id         uuid        NOT NULL UNIQUE,
    state      smallint    NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 running, 2 finished, 3 cancelled
    as_of      date        NOT NULL,
    rules      int         NOT NULL REFERENCES rule_set (version),
    rows       bigint      NOT NULL CHECK (rows >= 0),     -- movements that it looks at
    epoch      int         NOT NULL DEFAULT 0,             -- raised by each process that takes it up; writes carry it
    telling    boolean     NOT NULL DEFAULT false,         -- all is matched, and what was found is becoming breaks
    trouble    text        NOT NULL DEFAULT '',            -- why it does not go on at present
    begun_by   text        NOT NULL CHECK (begun_by <> ''),
    cancelling text        NOT NULL DEFAULT '',            -- who cancelled it, and why
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    digest     bytea,
    public_key bytea,
    signature  bytea,
    CHECK ((state = 1) = (ended_at IS NULL)),
    CHECK ((state = 2) = (digest IS NOT NULL) AND (digest IS NULL) = (signature IS NULL) AND (digest IS NULL) = (public_key IS NULL)),
    CHECK (state <> 3 OR cancelling <> ''),
    CHECK (state <> 2 OR telling AND cancelling = '')
);
CREATE UNIQUE INDEX run_one_at_a_time ON run ((true)) WHERE state = 1;

-- What a run has come to in a partition.
CREATE TABLE run_partition (
    run_number     int      NOT NULL,
    partition_id   int      NOT NULL,
    first_place    int      NOT NULL,                 -- of its matches: their ids go on from here
    matches        int      NOT NULL,
    by_pass        int[]    NOT NULL,                 -- matches by pass, from 1
    ours           int      NOT NULL,                 -- movements that were looked at
    theirs         int      NOT NULL,
    ours_matched   int      NOT NULL,
    theirs_matched int      NOT NULL,
    settled        int      NOT NULL,                 -- in doubt or refused, and left out because a later one says how they ended
    breaks         jsonb    NOT NULL,                 -- how often what was found, by code
    digest         bytea    NOT NULL CHECK (length(digest) = 32),
    told           boolean  NOT NULL DEFAULT false,   -- its breaks are written
    PRIMARY KEY (run_number, partition_id)
);

-- A piece of the matches of a partition, written in one transaction: whoever takes a run up goes on with the others.
CREATE TABLE run_piece (
    run_number   int NOT NULL,
    partition_id int NOT NULL,
    piece        int NOT NULL,
    matches      int NOT NULL,
    movements    int NOT NULL,
    PRIMARY KEY (run_number, partition_id, piece)
);

-- What a run has found not to be as it should be; and as ADJUSTED, payouts that were paid out otherwise than reported. Findings on
-- movements that are matched are kept: no later run sees them. The others are found again as long as they hold, so those of runs
-- before the last one are dropped.
CREATE TABLE run_finding (
    run_number   int      NOT NULL,
    partition_id int      NOT NULL,
    place        int      NOT NULL,
    code         text     NOT NULL,
    matched      boolean  NOT NULL,
    ours         bigint[] NOT NULL,
    theirs       bigint[] NOT NULL,
    amount_minor bigint   NOT NULL,             -- what is not explained
    drift_minor  bigint   NOT NULL,             -- of what is matched, what the books have more than the other side because of it
    day          date     NOT NULL,             -- from which on that is so: the last one of its movements
    payout_id    text     NOT NULL DEFAULT '',  -- the payout that is off because of it,
    effect_minor bigint   NOT NULL DEFAULT 0,   -- and by how much
    nearest      text     NOT NULL DEFAULT '',  -- JSON: the candidate that came closest
    undone_run   int,                           -- the match was undone: with the inputs of this run, or after it
    PRIMARY KEY (run_number, partition_id, place)
);
CREATE INDEX run_finding_matched ON run_finding (partition_id, run_number) WHERE matched;
CREATE INDEX run_finding_effect ON run_finding (payout_id) WHERE matched AND effect_minor <> 0;

-- What the movements that a run took come to, by day: the balances of reports are sums of these. Of ours only what is booked.
CREATE TABLE run_day (
    run_number   int      NOT NULL,
    partition_id int      NOT NULL,
    ours         boolean  NOT NULL,
    kind         smallint NOT NULL,
    day          date     NOT NULL,
    movements    int      NOT NULL,
    amount_minor bigint   NOT NULL,
    fee_minor    bigint   NOT NULL, -- of theirs, as reported
    PRIMARY KEY (partition_id, day, run_number, ours, kind)
);
CREATE INDEX run_day_of_run ON run_day (run_number);

-- What was on its way between two days: legs of matches from their day until the day of the last leg. Ours count as more, theirs
-- as less. A match that is undone takes its legs off again.
CREATE TABLE run_transit (
    run_number   int    NOT NULL,
    partition_id int    NOT NULL,
    since        date   NOT NULL,
    until        date   NOT NULL CHECK (until > since),
    undone       boolean NOT NULL DEFAULT false, -- it takes legs off
    legs         int    NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (partition_id, until, since, run_number, undone)
);
CREATE INDEX run_transit_of_run ON run_transit (run_number);

-- A match is movements that are the same money. Its id is its run's number, shifted left by 32 bits, and its place in the
-- run; those that people make have ids less than zero.
CREATE TABLE match (
    id           bigint   PRIMARY KEY,
    partition_id int      NOT NULL,
    pass         smallint NOT NULL CHECK (pass BETWEEN 0 AND 7), -- match.Pass; 0 by hand
    ours_by      smallint NOT NULL,                              -- match.Carrier, of pass 1
    theirs_by    smallint NOT NULL,
    score        smallint NOT NULL CHECK (score BETWEEN 0 AND 1000),
    evidence     text     NOT NULL DEFAULT ''                    -- JSON, where pass and carriers do not say all
);
CREATE INDEX match_made_by_hand ON match (id) WHERE pass = 0;

-- The movements of a match. No movement is in two that are active.
CREATE TABLE match_leg (
    match_id    bigint  NOT NULL,
    movement_id bigint  NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    undone_run  int, -- the first run for which the match does not hold
    CHECK (active = (undone_run IS NULL))
);
CREATE UNIQUE INDEX match_leg_active ON match_leg (movement_id) WHERE active;
CREATE INDEX match_leg_undone ON match_leg (movement_id) WHERE NOT active;
-- Legs lie in the order of their matches, all but for the pieces of a run and what people match: a few pages hold those of a match.
CREATE INDEX match_leg_of_match ON match_leg USING brin (match_id int8_minmax_multi_ops) WITH (pages_per_range = 16, autosummarize = on);

-- A match with a movement of ours that is in doubt or refused. When it is told how that ended, the match is undone, and what it
-- was matched with is looked at again.
CREATE TABLE provisional_match (
    match_id    bigint   NOT NULL,
    movement_id bigint   NOT NULL,
    payment_id  text     NOT NULL,
    kind        smallint NOT NULL,
    standing    smallint NOT NULL,
    idem_key    text     NOT NULL,
    until_run   int, -- the run that looks at them again
    PRIMARY KEY (match_id, movement_id)
);
CREATE INDEX provisional_match_now ON provisional_match (match_id) WHERE until_run IS NULL;
CREATE INDEX provisional_match_until ON provisional_match (until_run) WHERE until_run IS NOT NULL;

-- A movement that a run has left open, until a later run or a person has it in a match. Runs look at these and at what came in.
CREATE TABLE open_movement (
    movement_id  bigint  NOT NULL,
    since_run    int     NOT NULL,
    partition_id int     NOT NULL,
    until_run    int,                           -- the run from which on it is not open any more
    by_hand      boolean NOT NULL DEFAULT false, -- that run does not see it: a person matched it before
    PRIMARY KEY (movement_id, since_run),
    CHECK (until_run > since_run),
    CHECK (until_run IS NOT NULL OR NOT by_hand)
);
CREATE INDEX open_movement_now ON open_movement (partition_id, movement_id) WHERE until_run IS NULL;
CREATE INDEX open_movement_until ON open_movement (until_run) WHERE until_run IS NOT NULL;

-- What of ours is known of a payment, of what it was for, and of a payout. Payments and orders are numbered by time, so that
-- these grow at one end.
CREATE INDEX movement_of_payment ON movement (payment_id, kind) WHERE payment_id <> '';
CREATE INDEX movement_of_reference ON movement (reference) WHERE ours AND reference <> '';
CREATE INDEX movement_of_payout ON movement (payout_id) WHERE ours AND payout_id <> '';
-- How many movements the deliveries have that a run takes.
CREATE STATISTICS movement_delivery ON ((id >> 32)::int) FROM movement;
