package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
)

// What every transition passes, written by hand so that several statements travel together.
const (
	// fenceShards keeps other replicas from taking shards before the transaction ends. What is read after it is final.
	fenceShards = `SELECT pg_advisory_xact_lock_shared($1, id) FROM unnest($2::int[]) AS n (id)`

	shardEpochs = `SELECT id, epoch FROM shard WHERE id = ANY ($1::int[])`

	// selectSagasLocked holds the rows of sagas to the end of the transaction, in the order given. OFFSET 0 keeps this one index
	// lookup a saga: as a join it would be planned, and the plan kept, while the table is small.
	selectSagasLocked = `
SELECT s.id, s.seq
  FROM unnest($1::uuid[]) AS n (id)
 CROSS JOIN LATERAL (SELECT id, seq FROM saga WHERE id = n.id OFFSET 0 FOR NO KEY UPDATE) AS s`

	// An epoch of 0 means none.
	insertSagaEvents = `
INSERT INTO saga_event (saga_id, seq, type, step, at, detail, epoch)
SELECT saga_id, seq, type, step, at, detail, nullif(epoch, 0)
  FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::bigint[])
       AS e (saga_id, seq, type, step, at, detail, epoch)`

	// The rows are there and locked, so that none is inserted; this way each is found through the primary key, whatever
	// the plan. A time to go on of year 1 means none.
	updateSagas = `
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, paused, at_risk, next_at)
SELECT id, '', 0, id, phase, step, cause, seq, now(), '', paused, at_risk, nullif(next_at, '0001-01-01 00:00:00+00')
  FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::int[], $6::boolean[], $7::boolean[], $8::timestamptz[])
       AS u (id, phase, step, cause, seq, paused, at_risk, next_at)
    ON CONFLICT (id) DO UPDATE
   SET phase = excluded.phase, step = excluded.step, cause = excluded.cause, seq = excluded.seq, paused = excluded.paused,
       at_risk = excluded.at_risk, next_at = excluded.next_at, updated_at = now()`
)

// statement is one of several that travel together.
type statement func(*pgx.Batch)

// send has statements done in their order, in one round trip.
func send(ctx context.Context, tx *pg.Tx, what string, statements ...statement) error {
	b := &pgx.Batch{}
	for _, add := range statements {
		add(b)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// held is what a transaction knows of what it writes to: nobody changes it before it ends.
type held struct {
	epochs map[int]int64  // of the shards whose owners write
	last   map[SagaID]int // the number of each saga's last event
}

// hold holds the sagas of transitions, and the epochs of the shards whose owners write them.
func hold(ctx context.Context, tx *pg.Tx, batch []transition) (held, error) {
	h := held{epochs: map[int]int64{}, last: make(map[SagaID]int, len(batch))}
	ids, shards := make([]SagaID, len(batch)), []int32{}
	for i, t := range batch {
		ids[i] = t.view.id
		shard := shardOf(t.view.id)
		if _, seen := h.epochs[shard]; !seen && t.epoch != 0 {
			h.epochs[shard] = 0
			shards = append(shards, int32(shard))
		}
	}
	return h, send(ctx, tx, "holding sagas", h.fence(shards), h.lock(ids))
}

// lockSagas holds the rows of sagas to the end of the transaction.
func lockSagas(ctx context.Context, tx *pg.Tx, ids ...SagaID) error {
	return send(ctx, tx, "locking sagas", held{last: map[SagaID]int{}}.lock(ids))
}

func (h held) fence(shards []int32) statement {
	return func(b *pgx.Batch) {
		if len(shards) == 0 {
			return
		}
		b.Queue(fenceShards, shardLock, shards)
		b.Queue(shardEpochs, shards).Query(func(rows pgx.Rows) error {
			var id int
			var epoch int64
			_, err := pgx.ForEachRow(rows, []any{&id, &epoch}, func() error { h.epochs[id] = epoch; return nil })
			return err
		})
	}
}

// lock locks in an order that is the same for all.
func (h held) lock(ids []SagaID) statement {
	return func(b *pgx.Batch) {
		keys := uuids(ids)
		slices.SortFunc(keys, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
		b.Queue(selectSagasLocked, keys).Query(func(rows pgx.Rows) error {
			var sagaID uuid.UUID
			var seq int
			_, err := pgx.ForEachRow(rows, []any{&sagaID, &seq}, func() error { h.last[SagaID(sagaID)] = seq; return nil })
			return err
		})
	}
}

// appendAll writes the events of transitions, whose sagas are held, and the rows they lead to.
func appendAll(ctx context.Context, tx *pg.Tx, transitions []transition) error {
	events, err := eventsOfTransitions(transitions)
	if err != nil {
		return err
	}
	return send(ctx, tx, "writing transitions", events, rowsOfTransitions(transitions))
}

// appendEvents writes the events of transitions alone.
func appendEvents(ctx context.Context, tx *pg.Tx, transitions []transition) error {
	events, err := eventsOfTransitions(transitions)
	if err != nil {
		return err
	}
	return send(ctx, tx, "writing saga events", events)
}

func rowsOfTransitions(transitions []transition) statement {
	var ids []uuid.UUID
	var phases []int16
	var steps, causes []string
	var seqs []int32
	var pauseds, atRisks []bool
	var nextAts []time.Time
	for _, t := range transitions {
		v := t.after
		ids, phases, steps, causes = append(ids, v.id.UUID()), append(phases, int16(v.phase)), append(steps, v.step), append(causes, v.cause)
		seqs, pauseds, atRisks, nextAts = append(seqs, int32(v.seq)), append(pauseds, v.paused), append(atRisks, v.atRisk), append(nextAts, v.nextAt.UTC())
	}
	return func(b *pgx.Batch) { b.Queue(updateSagas, ids, phases, steps, causes, seqs, pauseds, atRisks, nextAts) }
}

func eventsOfTransitions(transitions []transition) (statement, error) {
	var sagaIDs []uuid.UUID
	var seqs []int32
	var types, steps []string
	var ats []time.Time
	var details []json.RawMessage
	var epochs []int64
	for _, t := range transitions {
		for _, e := range t.events {
			detail, err := json.Marshal(e.Detail)
			if err != nil {
				return nil, fmt.Errorf("encoding saga event: %w", err)
			}
			sagaIDs, seqs, types = append(sagaIDs, t.view.id.UUID()), append(seqs, int32(e.Seq)), append(types, string(e.Type))
			steps, ats, details, epochs = append(steps, e.Step), append(ats, e.At), append(details, detail), append(epochs, t.epoch)
		}
	}
	return func(b *pgx.Batch) { b.Queue(insertSagaEvents, sagaIDs, seqs, types, steps, ats, details, epochs) }, nil
}
