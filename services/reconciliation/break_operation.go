package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	methodApplyBreakOperation  = "ApplyBreakOperation"
	methodCancelBreakOperation = "CancelBreakOperation"
)

// BreakOperationID identifies an operation on many breaks.
type BreakOperationID = id.ID[breakOperationKind]

type breakOperationKind struct{}

// Prefix implements id.Kind.
func (breakOperationKind) Prefix() string { return "bop" }

// breakOperationStates are the names of the states, as the database has them.
var breakOperationStates = [...]string{"", "planned", "running", "finished", "expired", "cancelled"}

// breakOperation is one decision on all breaks that a filter held for when it was planned.
type breakOperation struct {
	reconciliationdb.GetBreakOperationRow
	decision breakDecision
	totals   []breakTotal
	refusals []breakRefusal // not in lists
}

func (op *breakOperation) id() BreakOperationID { return BreakOperationID(op.ID) }

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

func parseBreakOperationID(s string) (BreakOperationID, error) {
	oid, err := id.Parse[breakOperationKind](s)
	if err != nil {
		return oid, rpcerr.ForField(rpcerr.RequestInvalid, "operation_id", "%v", err)
	}
	return oid, nil
}

// changeBreaksCommand is what a person wants of an operation.
type changeBreaksCommand struct {
	caller, key string
	operationID string
	reason      string // of cancelling
}

// applyBreaks has a plan carried out in the background. Refused with OPERATION_NOT_OPEN when it is too old or was applied.
func (r *reconciliation) applyBreaks(ctx context.Context, c changeBreaksCommand) (*breakOperation, error) {
	return r.changeBreaks(ctx, c, methodApplyBreakOperation, func(ctx context.Context, st store, oid BreakOperationID) (int64, error) {
		return st.q.ApplyBreakOperation(ctx, reconciliationdb.ApplyBreakOperationParams{ID: oid.UUID(), Actor: c.caller})
	})
}

// cancelBreaks stops an operation behind the batch that is under way. Refused with OPERATION_NOT_OPEN when there is nothing to stop.
func (r *reconciliation) cancelBreaks(ctx context.Context, c changeBreaksCommand) (*breakOperation, error) {
	return r.changeBreaks(ctx, c, methodCancelBreakOperation, func(ctx context.Context, st store, oid BreakOperationID) (int64, error) {
		return st.q.CancelBreakOperation(ctx, reconciliationdb.CancelBreakOperationParams{ID: oid.UUID(), Actor: c.caller, Reason: c.reason})
	})
}

// changeBreaks changes an operation that is open, once per request, and gives it as it stands.
func (r *reconciliation) changeBreaks(ctx context.Context, c changeBreaksCommand, method string,
	change func(context.Context, store, BreakOperationID) (changed int64, err error),
) (*breakOperation, error) {
	oid, err := parseBreakOperationID(c.operationID)
	if err != nil {
		return nil, err
	}
	request := idem.Request{
		Caller: c.caller, Method: method, Key: c.key, TTL: r.keyTTL,
		Fields: []idem.Field{{Name: "operation_id", Value: oid.String()}},
	}
	if c.reason != "" {
		request.Fields = append(request.Fields, idem.Field{Name: "reason", Value: c.reason})
	}
	_, err = idem.Once(ctx, r.pool, request, func(ctx context.Context, tx *pg.Tx) (BreakOperationID, string, error) {
		st := newStore(tx)
		changed, err := change(ctx, st, oid)
		if err != nil {
			return oid, "", fmt.Errorf("changing operation: %w", err)
		}
		if changed == 0 {
			op, err := st.breakOperation(ctx, oid)
			if err != nil {
				return oid, "", err
			}
			return oid, "", rpcerr.New(rpcerr.OperationNotOpen, "operation %s is %s", oid, breakOperationStates[op.State])
		}
		tx.AfterCommit(r.breakBell.Ring)
		return oid, oid.String(), nil
	})
	if err != nil {
		return nil, err
	}
	return newStore(r.pool).breakOperation(ctx, oid)
}

// breakOperation gives an operation with its totals and refusals; NOT_FOUND when there is none.
func (s store) breakOperation(ctx context.Context, oid BreakOperationID) (*breakOperation, error) {
	row, err := s.q.GetBreakOperation(ctx, oid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is no operation %s", oid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading operation: %w", err)
	}
	all, err := s.operationsOf(ctx, row)
	if err != nil {
		return nil, err
	}
	refusals, err := s.q.ListBreakRefusals(ctx, oid.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading refusals: %w", err)
	}
	for _, f := range refusals {
		all[0].refusals = append(all[0].refusals, breakRefusal{BreakID(f.BreakID), f.Refusal})
	}
	return all[0], nil
}

// breakOperations gives up to n operations planned before one, newest first.
func (s store) breakOperations(ctx context.Context, before BreakOperationID, n int32) ([]*breakOperation, error) {
	found, err := s.q.ListBreakOperations(ctx, reconciliationdb.ListBreakOperationsParams{Before: before.UUID(), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing operations: %w", err)
	}
	rows := make([]reconciliationdb.GetBreakOperationRow, len(found))
	for i, row := range found {
		rows[i] = reconciliationdb.GetBreakOperationRow(row)
	}
	return s.operationsOf(ctx, rows...)
}

// operationsOf reads what rows are about, with their totals.
func (s store) operationsOf(ctx context.Context, rows ...reconciliationdb.GetBreakOperationRow) ([]*breakOperation, error) {
	all, ids, at := make([]*breakOperation, len(rows)), make([]uuid.UUID, len(rows)), make(map[uuid.UUID]*breakOperation, len(rows))
	for i, row := range rows {
		all[i], ids[i] = &breakOperation{GetBreakOperationRow: row}, row.ID
		at[row.ID] = all[i]
		if err := json.Unmarshal(row.Decision, &all[i].decision); err != nil {
			return nil, fmt.Errorf("decoding operation: %w", err)
		}
	}
	totals, err := s.q.ListBreakTotals(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading totals: %w", err)
	}
	for _, t := range totals {
		op := at[t.OperationID]
		op.totals = append(op.totals, breakTotal{t.Count, money.Amount{Currency: money.Currency(t.Currency), Minor: t.SumMinor}})
	}
	return all, nil
}
