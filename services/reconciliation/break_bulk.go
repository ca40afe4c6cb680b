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

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	methodPlanBreakOperation  = "PlanBreakOperation"
	methodApplyBreakOperation = "ApplyBreakOperation"

	// planTTL is how long a plan can be applied: what its figures say was looked at, and may have changed since.
	planTTL = time.Hour
	// breakBatch is how many breaks of an operation one transaction decides on.
	breakBatch = 64
	// breaksEvery is how soon a replica goes on with what another one left behind.
	breaksEvery = 5 * time.Second

	numberOutOfRange = "22003" // Postgres' code for a sum that does not fit
)

// BreakOperationID identifies an operation on many breaks.
type BreakOperationID = id.ID[breakOperationKind]

type breakOperationKind struct{}

// Prefix implements id.Kind.
func (breakOperationKind) Prefix() string { return "bop" }

// breakOperation is one decision on all breaks that a selection held for when it was planned.
type breakOperation struct {
	reconciliationdb.GetBreakOperationRow
	selection selection
	decision  breakDecision
	totals    []breakTotal
	refusals  []breakRefusal
}

// breakTotal is what the breaks of one currency come to; of those about no money there is no currency.
type breakTotal struct {
	count int64
	sum   money.Amount
}

// breakRefusal is why a break could not take a decision.
type breakRefusal struct {
	breakID BreakID
	why     string
}

type planBreaksCommand struct {
	caller, key string
	selection   selection
	decision    breakDecision
}

// planBreaks finds the breaks of a selection and keeps them with what they come to. Nothing is done to them.
func (r *reconciliation) planBreaks(ctx context.Context, c planBreaksCommand) (*breakOperation, error) {
	if c.selection == (selection{}) {
		return nil, rpcerr.ForField(rpcerr.RequestInvalid, "selection", "says nothing; a decision on all breaks is none that anybody wants")
	}
	if err := c.decision.check(time.Now()); err != nil {
		return nil, err
	}
	which, err := json.Marshal(c.selection)
	if err != nil {
		return nil, fmt.Errorf("encoding selection: %w", err)
	}
	what, err := json.Marshal(c.decision)
	if err != nil {
		return nil, fmt.Errorf("encoding decision: %w", err)
	}
	request := idem.Request{
		Caller: c.caller, Method: methodPlanBreakOperation, Key: c.key, TTL: r.keyTTL,
		Fields: append([]idem.Field{{Name: "selection", Value: string(which)}}, c.decision.fields()...),
	}
	oid, err := idem.Once(ctx, r.pool, request, func(ctx context.Context, tx *pg.Tx) (BreakOperationID, string, error) {
		st, oid := newStore(tx), id.New[breakOperationKind]()
		p := reconciliationdb.InsertBreakOperationParams{ID: oid.UUID(), Filter: which, Decision: what, PlannedBy: c.caller, TtlSeconds: planTTL.Seconds()}
		if err := st.q.InsertBreakOperation(ctx, p); err != nil {
			return oid, "", fmt.Errorf("writing plan: %w", err)
		}
		return oid, oid.String(), r.freeze(ctx, st, oid, c.selection)
	})
	if err != nil {
		return nil, err
	}
	return r.breakOperation(ctx, oid)
}

// freeze makes the breaks of a selection the items of an operation, and sums them up.
func (r *reconciliation) freeze(ctx context.Context, st store, oid BreakOperationID, s selection) error {
	c := s.condition(r.policy(), today())
	c.args = append(c.args, oid.UUID())
	items := fmt.Sprintf("INSERT INTO break_operation_item (operation_id, break_id) SELECT $%d::uuid, b.id FROM break b%s", len(c.args), c.where())
	if _, err := st.db.Exec(ctx, items, c.args...); err != nil {
		return fmt.Errorf("finding breaks: %w", err)
	}
	_, err := st.q.SumBreakOperation(ctx, oid.UUID())
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == numberOutOfRange {
		return rpcerr.New(rpcerr.AmountOverflow, "what the breaks come to does not fit in 64 bits; plan fewer at once")
	}
	if err != nil {
		return fmt.Errorf("summing up plan: %w", err)
	}
	return nil
}

// applyBreaks has a plan carried out in the background. Refused with OPERATION_NOT_OPEN when it is too old or was applied.
func (r *reconciliation) applyBreaks(ctx context.Context, caller, key string, oid BreakOperationID) (*breakOperation, error) {
	request := idem.Request{
		Caller: caller, Method: methodApplyBreakOperation, Key: key, TTL: r.keyTTL, Fields: []idem.Field{{Name: "operation_id", Value: oid.String()}},
	}
	_, err := idem.Once(ctx, r.pool, request, func(ctx context.Context, tx *pg.Tx) (BreakOperationID, string, error) {
		st := newStore(tx)
		n, err := st.q.ApplyBreakOperation(ctx, reconciliationdb.ApplyBreakOperationParams{ID: oid.UUID(), Actor: caller})
		if err != nil {
			return oid, "", fmt.Errorf("applying operation: %w", err)
		}
		if n == 0 {
			if _, err := st.q.GetBreakOperation(ctx, oid.UUID()); err != nil {
				return oid, "", noOperation(oid, err)
			}
			return oid, "", rpcerr.New(rpcerr.OperationNotOpen, "operation %s was applied, or is more than an hour old", oid)
		}
		tx.AfterCommit(r.breakBell.Ring)
		return oid, oid.String(), nil
	})
	if err != nil {
		return nil, err
	}
	return r.breakOperation(ctx, oid)
}

func noOperation(oid BreakOperationID, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is no operation %s", oid)
	}
	return fmt.Errorf("reading operation: %w", err)
}

func parseBreakOperationID(s string) (BreakOperationID, error) {
	oid, err := id.Parse[breakOperationKind](s)
	if err != nil {
		return oid, rpcerr.ForField(rpcerr.RequestInvalid, "operation_id", "%v", err)
	}
	return oid, nil
}

// breakOperation gives an operation with its totals and refusals; NOT_FOUND when there is none.
func (r *reconciliation) breakOperation(ctx context.Context, oid BreakOperationID) (*breakOperation, error) {
	st := newStore(r.pool)
	row, err := st.q.GetBreakOperation(ctx, oid.UUID())
	if err != nil {
		return nil, noOperation(oid, err)
	}
	op := &breakOperation{GetBreakOperationRow: row}
	if err := errors.Join(json.Unmarshal(row.Filter, &op.selection), json.Unmarshal(row.Decision, &op.decision)); err != nil {
		return nil, fmt.Errorf("decoding operation: %w", err)
	}
	totals, err := st.q.ListBreakTotals(ctx, oid.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading totals: %w", err)
	}
	for _, t := range totals {
		op.totals = append(op.totals, breakTotal{t.Count, money.Amount{Currency: money.Currency(t.Currency), Minor: t.SumMinor}})
	}
	refusals, err := st.q.ListBreakRefusals(ctx, oid.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading refusals: %w", err)
	}
	for _, f := range refusals {
		op.refusals = append(op.refusals, breakRefusal{BreakID(f.BreakID), f.Refusal})
	}
	return op, nil
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
