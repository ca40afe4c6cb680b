package orchestrator

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
)

// listedSaga is a saga as lists show it.
type listedSaga struct {
	sagaView
	customerID string
	total      money.Amount
}

// sagasMatching is what filters are conditions of.
const sagasMatching = ` FROM saga s JOIN saga_subject o ON o.id = s.order_id WHERE `

const selectSagas = `
SELECT s.id, s.definition, s.version, s.order_id, s.phase, s.step, s.cause, s.seq, s.deadline, s.traceparent, s.paused,
       s.at_risk, s.next_at, s.created_at, s.updated_at, o.reference, o.customer_id, o.currency, o.total_minor` + sagasMatching

// listSagas gives up to n of the sagas that a filter holds for and that started before one, newest first.
func (o *orchestrator) listSagas(ctx context.Context, f filter.Filter, before SagaID, n int32) ([]listedSaga, error) {
	args := append(f.Args, before, n)
	rows, err := o.pool.Query(ctx, fmt.Sprintf("%s (%s) AND s.id < $%d ORDER BY s.id DESC LIMIT $%d",
		selectSagas, f.Where, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("listing sagas: %w", err)
	}
	listed, err := pgx.CollectRows(rows, listedFrom)
	if err != nil {
		return nil, fmt.Errorf("listing sagas: %w", err)
	}
	return listed, nil
}

func listedFrom(row pgx.CollectableRow) (listedSaga, error) {
	var r orchestratordb.LoadSagasRow
	err := row.Scan(&r.ID, &r.Definition, &r.Version, &r.OrderID, &r.Phase, &r.Step, &r.Cause, &r.Seq, &r.Deadline, &r.Traceparent,
		&r.Paused, &r.AtRisk, &r.NextAt, &r.CreatedAt, &r.UpdatedAt, &r.Reference, &r.CustomerID, &r.Currency, &r.TotalMinor)
	return listedSaga{sagaView: viewOf(r), customerID: r.CustomerID, total: totalIn(r)}, err
}

// sagaBehind gives the saga that a page begins behind; for the first page one that is greater than all there are.
func sagaBehind(f filter.Filter, token string) (SagaID, error) {
	return filter.PageBehind(f, token, SagaID(uuid.Max), id.Parse[sagaKind])
}
