package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// insertActions writes the audit rows of a person's events, each the last one of its transition. A zero operation means
// none.
func (s store) insertActions(ctx context.Context, oid OperationID, in saga.Instruction, batch []transition) error {
	p := orchestratordb.InsertOperatorActionsParams{
		OperationID: oid.UUID(), Actor: in.Actor, Verb: string(in.Verb), Step: in.Step, Reason: in.Reason, Evidence: in.Evidence,
	}
	for _, t := range batch {
		e := t.events[len(t.events)-1]
		p.SagaIds, p.Seqs, p.Ats = append(p.SagaIds, t.view.id.UUID()), append(p.Seqs, int32(e.Seq)), append(p.Ats, e.At)
	}
	if err := s.q.InsertOperatorActions(ctx, p); err != nil {
		return fmt.Errorf("writing audit rows: %w", err)
	}
	return nil
}

func (s store) insertOperation(ctx context.Context, oid OperationID, filter string, in saga.Instruction) error {
	err := s.q.InsertOperation(ctx, orchestratordb.InsertOperationParams{
		ID: oid.UUID(), Filter: filter, Verb: string(in.Verb), Step: in.Step, Reason: in.Reason, Evidence: in.Evidence,
		PlannedBy: in.Actor, TtlSeconds: planTTL.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("writing operation: %w", err)
	}
	return nil
}

// freeze makes the sagas that a filter holds for the items of an operation, and tells how many they are.
func (s store) freeze(ctx context.Context, oid OperationID, f filter.Filter) (int64, error) {
	args := append(f.Args, oid.UUID())
	found, err := s.db.Exec(ctx, fmt.Sprintf("INSERT INTO bulk_item (operation_id, saga_id) SELECT $%d::uuid, s.id %s %s",
		len(args), sagasMatching, f.Where), args...)
	if err != nil {
		return 0, fmt.Errorf("finding sagas: %w", err)
	}
	return found.RowsAffected(), nil
}

// finishPlan writes down what a plan has found. Some of the items say why they would refuse.
func (s store) finishPlan(ctx context.Context, oid OperationID, matched, possible int64, refusals []refusal) error {
	verdicts := make([]verdict, len(refusals))
	for i, r := range refusals {
		verdicts[i] = verdict{sagaID: r.sagaID, refusal: r.why}
	}
	if err := s.setItems(ctx, oid, verdicts, itemOpen, itemOpen); err != nil {
		return err
	}
	if err := s.q.FinishPlan(ctx, orchestratordb.FinishPlanParams{ID: oid.UUID(), Matched: matched, Possible: possible}); err != nil {
		return fmt.Errorf("writing plan: %w", err)
	}
	return nil
}

// The outcomes of items, as the database has them.
const (
	itemOpen int16 = iota
	itemDone
	itemRefused
)

// recordOutcomes writes down what came of items.
func (s store) recordOutcomes(ctx context.Context, oid OperationID, verdicts []verdict) error {
	return s.setItems(ctx, oid, verdicts, itemDone, itemRefused)
}

func (s store) setItems(ctx context.Context, oid OperationID, verdicts []verdict, done, refused int16) error {
	p := orchestratordb.RecordOutcomesParams{OperationID: oid.UUID()}
	for _, v := range verdicts {
		outcome := done
		if v.refusal != "" {
			outcome = refused
		}
		p.SagaIds, p.Outcomes, p.Refusals = append(p.SagaIds, v.sagaID.UUID()), append(p.Outcomes, outcome), append(p.Refusals, v.refusal)
	}
	if err := s.q.RecordOutcomes(ctx, p); err != nil {
		return fmt.Errorf("writing items: %w", err)
	}
	return nil
}

// items gives up to n sagas of an operation behind one, in their order.
func (s store) items(ctx context.Context, oid OperationID, behind SagaID, n int) ([]SagaID, error) {
	rows, err := s.q.ListItems(ctx, orchestratordb.ListItemsParams{OperationID: oid.UUID(), Behind: behind.UUID(), N: int32(n)})
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	ids := make([]SagaID, len(rows))
	for i, r := range rows {
		ids[i] = SagaID(r)
	}
	return ids, nil
}

// applyOperation has an open operation run, and tells how many it found: one or none.
func (s store) applyOperation(ctx context.Context, oid OperationID, actor string, rate int32) (int64, error) {
	n, err := s.q.ApplyOperation(ctx, orchestratordb.ApplyOperationParams{ID: oid.UUID(), Actor: actor, Rate: rate})
	if err != nil {
		return 0, fmt.Errorf("applying operation: %w", err)
	}
	return n, nil
}

// cancelOperation stops an open operation, and tells how many it found: one or none.
func (s store) cancelOperation(ctx context.Context, oid OperationID, actor, reason string) (int64, error) {
	n, err := s.q.CancelOperation(ctx, orchestratordb.CancelOperationParams{ID: oid.UUID(), Actor: actor, Reason: reason})
	if err != nil {
		return 0, fmt.Errorf("cancelling operation: %w", err)
	}
	return n, nil
}

// nextBatchIn tells when a running operation goes on, and whether one is running.
func (s store) nextBatchIn(ctx context.Context) (wait time.Duration, running bool, err error) {
	seconds, err := s.q.SecondsToNextBatch(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("looking for operations: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), true, nil
}

// claimOperation holds an operation that is to go on.
func (s store) claimOperation(ctx context.Context) (op claimed, found bool, err error) {
	row, err := s.q.ClaimOperation(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return op, false, nil
	}
	if err != nil {
		return op, false, fmt.Errorf("claiming operation: %w", err)
	}
	return claimed{
		id: OperationID(row.ID), rate: row.Rate, through: SagaID(row.Through), instruction: saga.Instruction{
			Verb: saga.Verb(row.Verb), Actor: row.AppliedBy, Reason: row.Reason, Step: row.Step, Evidence: row.Evidence,
		},
	}, true, nil
}

// advanceOperation writes down how far an operation is, and that it pauses.
func (s store) advanceOperation(ctx context.Context, oid OperationID, through SagaID, done, refused int, pause time.Duration) error {
	err := s.q.AdvanceOperation(ctx, orchestratordb.AdvanceOperationParams{
		ID: oid.UUID(), Through: through.UUID(), Done: int64(done), Refused: int64(refused), PauseSeconds: pause.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("writing progress: %w", err)
	}
	return nil
}

func (s store) finishOperation(ctx context.Context, oid OperationID) error {
	if err := s.q.FinishOperation(ctx, oid.UUID()); err != nil {
		return fmt.Errorf("finishing operation: %w", err)
	}
	return nil
}

// operation gives an operation with its totals and refusals.
func (s store) operation(ctx context.Context, oid OperationID) (operation, error) {
	row, err := s.q.GetOperation(ctx, oid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return operation{}, rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is no operation %s", oid)
	}
	if err != nil {
		return operation{}, fmt.Errorf("reading operation: %w", err)
	}
	all, err := s.withTotals(ctx, []operation{operationOf(row)})
	if err != nil {
		return operation{}, err
	}
	refused, err := s.q.ListRefusals(ctx, orchestratordb.ListRefusalsParams{OperationID: oid.UUID(), N: maxRefusals})
	if err != nil {
		return operation{}, fmt.Errorf("reading refusals: %w", err)
	}
	for _, r := range refused {
		all[0].refusals = append(all[0].refusals, refusal{SagaID(r.SagaID), r.Refusal})
	}
	return all[0], nil
}

// operations gives up to n operations planned before one, newest first.
func (s store) operations(ctx context.Context, before OperationID, n int32) ([]operation, error) {
	rows, err := s.q.ListOperations(ctx, orchestratordb.ListOperationsParams{Before: before.UUID(), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing operations: %w", err)
	}
	all := make([]operation, len(rows))
	for i, row := range rows {
		all[i] = operationOf(orchestratordb.GetOperationRow(row))
	}
	return s.withTotals(ctx, all)
}

func (s store) withTotals(ctx context.Context, all []operation) ([]operation, error) {
	ids, at := make([]uuid.UUID, len(all)), make(map[OperationID]*operation, len(all))
	for i := range all {
		ids[i], at[all[i].id] = all[i].id.UUID(), &all[i]
	}
	rows, err := s.q.ListTotals(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading totals: %w", err)
	}
	for _, r := range rows {
		op := at[OperationID(r.OperationID)]
		op.totals = append(op.totals, operationTotal{r.Count, money.Amount{Currency: money.Currency(r.Currency), Minor: r.SumMinor}})
	}
	return all, nil
}

func operationOf(row orchestratordb.GetOperationRow) operation {
	op := operation{
		id: OperationID(row.ID), state: operationState(row.State), filter: row.Filter, instruction: saga.Instruction{
			Verb: saga.Verb(row.Verb), Actor: row.AppliedBy, Reason: row.Reason, Step: row.Step, Evidence: row.Evidence,
		},
		plannedBy: row.PlannedBy, plannedAt: row.PlannedAt, expiresAt: row.ExpiresAt, matched: row.Matched, possible: row.Possible,
		rate: row.Rate, done: row.Done, refused: row.Refused, cancelledBy: row.CancelledBy, cancelReason: row.CancelReason,
	}
	if row.AppliedAt != nil {
		op.appliedAt = *row.AppliedAt
	}
	if row.EndedAt != nil {
		op.endedAt = *row.EndedAt
	}
	return op
}
