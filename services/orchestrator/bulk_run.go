package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const (
	// maxBulkBatch is how many sagas of an operation one transaction changes.
	maxBulkBatch = 256
	// bulkEvery is how soon a replica goes on with an operation that another one left behind.
	bulkEvery = 5 * time.Second
)

// bulk goes through the operations that were applied. Each batch is one transaction that holds its operation's row:
// what becomes of the sagas, their audit rows, the items' outcomes and how far the operation is are written together.
// So a replica that is killed leaves whole batches behind and any other one goes on, and no two are at one operation.
type bulk struct {
	pool     *pgxpool.Pool
	watchers *watch.Watchers
	log      *slog.Logger
	wake     periodic.Bell
	// load reads sagas with their histories.
	load func(ctx context.Context, db orchestratordb.DBTX, ids []SagaID) (map[SagaID]loaded, error)
	// record makes transitions durable in a transaction.
	record func(ctx context.Context, tx *pg.Tx, batch []transition) ([]groupcommit.Result[struct{}], error)
	// recorded tells of transitions that are durable.
	recorded func(ctx context.Context, durable []transition)
}

func (b *bulk) run(ctx context.Context) error {
	return periodic.Duty{Name: "operations on many sagas", Every: bulkEvery, RunOnce: b.runOnce, Log: b.log, Wake: b.wake}.Run(ctx)
}

func (b *bulk) wakeUp() {
	b.wake.Ring()
}

// runOnce does the next batch that is due.
func (b *bulk) runOnce(ctx context.Context) (again bool, err error) {
	st := newStore(b.pool)
	if err := st.q.ExpirePlans(ctx); err != nil {
		return false, fmt.Errorf("expiring plans: %w", err)
	}
	wait, running, err := st.nextBatchIn(ctx)
	if err != nil || !running {
		return false, err
	}
	if wait > 0 {
		time.AfterFunc(wait, b.wakeUp)
		return false, nil
	}
	return b.batch(ctx)
}

// batch takes the next items of an operation through. It reports whether there was an operation that no other replica
// is at.
func (b *bulk) batch(ctx context.Context) (did bool, err error) {
	err = pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		op, found, err := st.claimOperation(ctx)
		if err != nil || !found {
			return err
		}
		did = true
		n := op.batchSize()
		ids, err := st.items(ctx, op.id, op.through, n)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			if err := b.take(ctx, tx, op, ids); err != nil {
				return err
			}
		}
		tx.AfterCommit(func() { b.watchers.Notify(op.id.UUID()) })
		if len(ids) == n {
			return nil
		}
		return st.finishOperation(ctx, op.id)
	})
	return did && err == nil, err
}

// claimed is an operation whose row is held.
type claimed struct {
	id          OperationID
	instruction saga.Instruction
	rate        int32
	through     SagaID // the last saga whose turn it was
}

// batchSize is half a second's worth of sagas, so that a slow rate is an even one.
func (c claimed) batchSize() int {
	if c.rate == 0 {
		return maxBulkBatch
	}
	return min(max(int(c.rate)/2, 1), maxBulkBatch)
}

// pause is how long so many sagas take at the operation's rate.
func (c claimed) pause(sagas int) time.Duration {
	if c.rate == 0 {
		return 0
	}
	return time.Duration(sagas) * time.Second / time.Duration(c.rate)
}

// take has some sagas take the operation's verb, or refuse it, and writes down what came of it.
func (b *bulk) take(ctx context.Context, tx *pg.Tx, op claimed, ids []SagaID) error {
	st := newStore(tx)
	if err := lockSagas(ctx, tx, ids...); err != nil {
		return err
	}
	verdicts, err := b.decideAll(ctx, tx, ids, op.instruction)
	if err != nil {
		return err
	}
	if err := b.write(ctx, tx, op, verdicts); err != nil {
		return err
	}
	var durable []transition
	for _, v := range verdicts {
		if v.refusal == "" {
			durable = append(durable, v.transition)
		}
	}
	tx.AfterCommit(func() { b.recorded(ctx, durable) })
	if err := st.recordOutcomes(ctx, op.id, verdicts); err != nil {
		return err
	}
	return st.advanceOperation(ctx, op.id, ids[len(ids)-1], len(durable), len(ids)-len(durable), op.pause(len(ids)))
}

// write writes the transitions among some verdicts, with their audit rows. When the database refuses them it tries one
// after the other: the one that it refuses becomes a refusal, and the rest is written.
func (b *bulk) write(ctx context.Context, tx *pg.Tx, op claimed, verdicts []verdict) error {
	var batch []transition
	for _, v := range verdicts {
		if v.refusal == "" {
			batch = append(batch, v.transition)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "SAVEPOINT verdicts"); err != nil {
		return fmt.Errorf("setting savepoint: %w", err)
	}
	err := b.writeAll(ctx, tx, op, batch)
	if !refusedRow(err) {
		return err
	}
	if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT verdicts"); err != nil {
		return fmt.Errorf("going back to savepoint: %w", err)
	}
	if len(verdicts) == 1 {
		b.log.ErrorContext(ctx, "the database refuses what an operation does to a saga", slog.Any("error", err),
			slog.String("saga_id", verdicts[0].sagaID.String()), slog.String("operation_id", op.id.String()))
		verdicts[0].refusal = "it could not be written; the log has the cause"
		return nil
	}
	for i := range verdicts {
		if err := b.write(ctx, tx, op, verdicts[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulk) writeAll(ctx context.Context, tx *pg.Tx, op claimed, batch []transition) error {
	results, err := b.record(ctx, tx, batch)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err // their rows are held, so none is stale
		}
	}
	return newStore(tx).insertActions(ctx, op.id, op.instruction, batch)
}

// refusedRow tells whether the database refused what was written, and not only to write at the moment: a value that
// does not fit (22) or a constraint (23).
func refusedRow(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "23"))
}
