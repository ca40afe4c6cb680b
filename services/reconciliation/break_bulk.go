package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	methodPlanBreakOperation = "PlanBreakOperation"

	// planTTL is how long a plan can be applied: what its figures say was looked at, and may have changed since.
	planTTL = time.Hour
	// breakBatch is how many breaks of an operation one transaction decides on.
	breakBatch = 64
	// breaksEvery is how soon a replica goes on with what another one left behind.
	breaksEvery = 5 * time.Second

	numberOutOfRange = "22003" // Postgres' code for a sum that does not fit
)

type planBreaksCommand struct {
	caller, key string
	filter      string
	decision    breakDecision
}

// planBreaks finds the breaks that a filter holds for, and keeps them with what they come to. Nothing is done to them.
func (r *reconciliation) planBreaks(ctx context.Context, c planBreaksCommand) (*breakOperation, error) {
	f, err := r.breakFilter(c.filter)
	if err != nil {
		return nil, err
	}
	if f.Text == "" {
		return nil, rpcerr.ForField(rpcerr.FilterInvalid, "filter", "says nothing; a decision on all breaks is none that anybody wants")
	}
	if err := c.decision.check(time.Now()); err != nil {
		return nil, err
	}
	what, err := json.Marshal(c.decision)
	if err != nil {
		return nil, fmt.Errorf("encoding decision: %w", err)
	}
	request := idem.Request{
		Caller: c.caller, Method: methodPlanBreakOperation, Key: c.key, TTL: r.keyTTL,
		Fields: append([]idem.Field{{Name: "filter", Value: f.Text}}, c.decision.fields()...),
	}
	oid, err := idem.Once(ctx, r.pool, request, func(ctx context.Context, tx *pg.Tx) (BreakOperationID, string, error) {
		st, oid := newStore(tx), id.New[breakOperationKind]()
		p := reconciliationdb.InsertBreakOperationParams{ID: oid.UUID(), Filter: f.Text, Decision: what, PlannedBy: c.caller, TtlSeconds: planTTL.Seconds()}
		if err := st.q.InsertBreakOperation(ctx, p); err != nil {
			return oid, "", fmt.Errorf("writing plan: %w", err)
		}
		return oid, oid.String(), st.freezeBreaks(ctx, oid, f)
	})
	if err != nil {
		return nil, err
	}
	return newStore(r.pool).breakOperation(ctx, oid)
}

// freezeBreaks makes the breaks that a filter holds for the items of an operation, and sums them up.
func (s store) freezeBreaks(ctx context.Context, oid BreakOperationID, f filter.Filter) error {
	args := append(f.Args, oid.UUID())
	items := fmt.Sprintf("INSERT INTO break_operation_item (operation_id, break_id) SELECT $%d::uuid, b.id FROM break b WHERE %s", len(args), f.Where)
	if _, err := s.db.Exec(ctx, items, args...); err != nil {
		return fmt.Errorf("finding breaks: %w", err)
	}
	_, err := s.q.SumBreakOperation(ctx, oid.UUID())
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == numberOutOfRange {
		return rpcerr.New(rpcerr.AmountOverflow, "what the breaks come to does not fit in 64 bits; plan fewer at once")
	}
	if err != nil {
		return fmt.Errorf("summing up plan: %w", err)
	}
	return nil
}

// runBreaks is the duty of what people have decided: operations on many breaks, journals and repairs.
func (r *reconciliation) runBreaks(ctx context.Context) error {
	return periodic.Duty{Name: "decisions on breaks", Every: breaksEvery, RunOnce: r.workBreaks, Log: r.log, Wake: r.breakBell}.Run(ctx)
}

func (r *reconciliation) workBreaks(ctx context.Context) (again bool, err error) {
	operated, err1 := r.operateBreaks(ctx)
	posted, err2 := r.postJournals(ctx)
	return operated || posted, errors.Join(err1, err2)
}

// operateBreaks does the next items of an operation that was applied: in one transaction that holds the operation, so that a
// replica that dies leaves whole batches behind, any other one goes on, and each break takes the decision once.
func (r *reconciliation) operateBreaks(ctx context.Context) (again bool, err error) {
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.q.ExpireBreakPlans(ctx); err != nil {
			return fmt.Errorf("expiring plans: %w", err)
		}
		op, err := st.q.ClaimBreakOperation(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claiming operation: %w", err)
		}
		again = true
		var d breakDecision
		if err := json.Unmarshal(op.Decision, &d); err != nil {
			return fmt.Errorf("decoding decision: %w", err)
		}
		ids, err := st.q.NextBreakItems(ctx, reconciliationdb.NextBreakItemsParams{OperationID: op.ID, N: breakBatch})
		if err != nil {
			return fmt.Errorf("reading items: %w", err)
		}
		p := reconciliationdb.AdvanceBreakOperationParams{ID: op.ID, Ended: len(ids) < breakBatch}
		refusals := make([]string, len(ids))
		for i, bid := range ids {
			if refusals[i], err = r.tryDecide(ctx, tx, bid, op.AppliedBy, d); err != nil {
				return err
			}
			if refusals[i] == "" {
				p.Done++
			} else {
				p.Refused++
			}
		}
		err = st.q.EndBreakItems(ctx, reconciliationdb.EndBreakItemsParams{OperationID: op.ID, BreakIds: ids, Refusals: refusals})
		if err != nil {
			return fmt.Errorf("writing outcomes: %w", err)
		}
		if err := st.q.AdvanceBreakOperation(ctx, p); err != nil {
			return fmt.Errorf("writing progress: %w", err)
		}
		return nil
	})
	return again && err == nil, err
}

// tryDecide has a break take a decision, and gives why it refuses it; then nothing of it was written.
func (r *reconciliation) tryDecide(ctx context.Context, tx *pg.Tx, bid uuid.UUID, actor string, d breakDecision) (refusal string, err error) {
	if _, err := tx.Exec(ctx, "SAVEPOINT decision"); err != nil {
		return "", fmt.Errorf("setting savepoint: %w", err)
	}
	err = r.decide(ctx, tx, BreakID(bid), actor, d)
	if refused, ok := errors.AsType[*rpcerr.Error](err); ok && (refused.Definite() || refused.Reason == rpcerr.BreakSamePerson) {
		if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT decision"); err != nil {
			return "", fmt.Errorf("going back to savepoint: %w", err)
		}
		return refused.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if _, err := tx.Exec(ctx, "RELEASE SAVEPOINT decision"); err != nil {
		return "", fmt.Errorf("releasing savepoint: %w", err)
	}
	return "", nil
}
