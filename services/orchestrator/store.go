package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/propagation"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct {
	db orchestratordb.DBTX
	q  *orchestratordb.Queries
}

func newStore(db orchestratordb.DBTX) store { return store{db: db, q: orchestratordb.New(db)} }

func (s store) insertOrder(ctx context.Context, o order) error {
	lines, err := json.Marshal(o.lines)
	if err != nil {
		return fmt.Errorf("encoding lines: %w", err)
	}
	shipTo, err := json.Marshal(o.shipTo)
	if err != nil {
		return fmt.Errorf("encoding address: %w", err)
	}
	err = s.q.InsertOrder(ctx, orchestratordb.InsertOrderParams{
		ID: o.id.UUID(), SagaID: o.sagaID.UUID(), CustomerID: o.customerID, PaymentMethod: o.paymentMethod,
		Currency: string(o.total.Currency), TotalMinor: o.total.Minor, Lines: lines, ShipTo: shipTo, CreatedAt: o.createdAt,
	})
	if err != nil {
		return fmt.Errorf("writing order: %w", err)
	}
	return nil
}

// insertSaga writes a saga with its first event. The trace of ctx is the saga's from now on.
func (s store) insertSaga(ctx context.Context, o order, def saga.Definition, state saga.State, started saga.Event) error {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	err := s.q.InsertSaga(ctx, orchestratordb.InsertSagaParams{
		ID: o.sagaID.UUID(), Definition: def.Name, Version: int32(def.Version), OrderID: o.id.UUID(),
		Phase: int16(state.Phase), Step: stepOf(def, state), Seq: int32(state.Seq), Deadline: state.Deadline,
		Traceparent: carrier["traceparent"], CreatedAt: o.createdAt,
	})
	if err != nil {
		return fmt.Errorf("writing saga: %w", err)
	}
	return s.insertEvents(ctx, o.sagaID, []saga.Event{started})
}

// appendEvents writes events with the row of the state they lead to; errStale when their numbers are taken.
func (s store) appendEvents(ctx context.Context, sagaID SagaID, def saga.Definition, state saga.State, events []saga.Event) error {
	err := s.insertEvents(ctx, sagaID, events)
	if pg.IsUniqueViolation(err, "saga_event_pkey") {
		return errStale
	}
	if err != nil {
		return err
	}
	p := orchestratordb.UpdateSagaParams{
		ID: sagaID.UUID(), Phase: int16(state.Phase), Step: stepOf(def, state), Cause: state.Cause, Seq: int32(state.Seq),
	}
	if !state.NextAt.IsZero() {
		p.NextAt = &state.NextAt
	}
	if err := s.q.UpdateSaga(ctx, p); err != nil {
		return fmt.Errorf("writing saga: %w", err)
	}
	return nil
}

func (s store) insertEvents(ctx context.Context, sagaID SagaID, events []saga.Event) error {
	p := orchestratordb.InsertSagaEventsParams{SagaID: sagaID.UUID()}
	for _, e := range events {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encoding saga event: %w", err)
		}
		p.Seqs, p.Types, p.Steps = append(p.Seqs, int32(e.Seq)), append(p.Types, string(e.Type)), append(p.Steps, e.Step)
		p.Ats, p.Details = append(p.Ats, e.At), append(p.Details, detail)
	}
	if err := s.q.InsertSagaEvents(ctx, p); err != nil {
		return fmt.Errorf("writing saga events: %w", err)
	}
	return nil
}

// stepOf names the step that a state is at; empty for a saga that has ended.
func stepOf(def saga.Definition, s saga.State) string {
	if s.Phase == saga.Completed || s.Phase == saga.Compensated {
		return ""
	}
	return def.Steps[s.At()].Name
}

func (s store) liveSagas(ctx context.Context) ([]SagaID, error) {
	rows, err := s.q.LiveSagas(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading live sagas: %w", err)
	}
	ids := make([]SagaID, len(rows))
	for i, r := range rows {
		ids[i] = SagaID(r)
	}
	return ids, nil
}

func (s store) saga(ctx context.Context, sagaID SagaID) (sagaView, error) {
	row, err := s.q.GetSaga(ctx, sagaID.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return sagaView{}, rpcerr.ForField(rpcerr.NotFound, "saga_id", "there is no saga %s", sagaID)
	}
	if err != nil {
		return sagaView{}, fmt.Errorf("reading saga: %w", err)
	}
	return sagaOf(row), nil
}

func sagaOf(row orchestratordb.Saga) sagaView {
	v := sagaView{
		id: SagaID(row.ID), definition: definitionKey{row.Definition, int(row.Version)}, orderID: OrderID(row.OrderID),
		phase: saga.Phase(row.Phase), step: row.Step, cause: row.Cause, seq: int(row.Seq), deadline: row.Deadline,
		traceparent: row.Traceparent, createdAt: row.CreatedAt, updatedAt: row.UpdatedAt,
	}
	if row.NextAt != nil {
		v.nextAt = *row.NextAt
	}
	return v
}

func (s store) sagaOfOrder(ctx context.Context, orderID OrderID) (SagaID, error) {
	sagaID, err := s.q.GetSagaOfOrder(ctx, orderID.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return SagaID{}, noOrder(orderID)
	}
	if err != nil {
		return SagaID{}, fmt.Errorf("reading order: %w", err)
	}
	return SagaID(sagaID), nil
}

func noOrder(orderID OrderID) error {
	return rpcerr.ForField(rpcerr.NotFound, "order_id", "there is no order %s", orderID)
}

func (s store) sagaEvents(ctx context.Context, sagaID SagaID) ([]saga.Event, error) {
	rows, err := s.q.ListSagaEvents(ctx, sagaID.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading saga events: %w", err)
	}
	events := make([]saga.Event, len(rows))
	for i, r := range rows {
		events[i] = saga.Event{Seq: int(r.Seq), Type: saga.EventType(r.Type), Step: r.Step, At: r.At}
		if err := json.Unmarshal(r.Detail, &events[i].Detail); err != nil {
			return nil, fmt.Errorf("decoding saga event %d: %w", r.Seq, err)
		}
	}
	return events, nil
}

const selectSagas = `
SELECT id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, next_at, created_at, updated_at
  FROM saga WHERE id < $1`

// sagas lists sagas before an id, newest first; phase 0 means all.
func (s store) sagas(ctx context.Context, before SagaID, n int32, phase saga.Phase) ([]sagaView, error) {
	query, args := selectSagas, []any{before.UUID(), n}
	if phase != 0 {
		query, args = query+" AND phase = $3", append(args, int16(phase))
	}
	rows, err := s.db.Query(ctx, query+" ORDER BY id DESC LIMIT $2", args...)
	if err != nil {
		return nil, fmt.Errorf("listing sagas: %w", err)
	}
	views, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sagaView, error) {
		r, err := pgx.RowToStructByPos[orchestratordb.Saga](row)
		return sagaOf(r), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing sagas: %w", err)
	}
	return views, nil
}

func (s store) order(ctx context.Context, orderID OrderID) (orderView, error) {
	row, err := s.q.GetOrder(ctx, orderID.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return orderView{}, noOrder(orderID)
	}
	if err != nil {
		return orderView{}, fmt.Errorf("reading order: %w", err)
	}
	return orderOf(row)
}

func (s store) orders(ctx context.Context, before OrderID, n int32) ([]orderView, error) {
	rows, err := s.q.ListOrders(ctx, orchestratordb.ListOrdersParams{Before: uuid.UUID(before), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing orders: %w", err)
	}
	views := make([]orderView, len(rows))
	for i, r := range rows {
		if views[i], err = orderOf(orchestratordb.GetOrderRow(r)); err != nil {
			return nil, err
		}
	}
	return views, nil
}

func orderOf(row orchestratordb.GetOrderRow) (orderView, error) {
	v := orderView{
		order: order{
			id: OrderID(row.ID), sagaID: SagaID(row.SagaID), customerID: row.CustomerID,
			total:         money.Amount{Currency: money.Currency(row.Currency), Minor: row.TotalMinor},
			paymentMethod: row.PaymentMethod, createdAt: row.CreatedAt,
		},
		phase: saga.Phase(row.Phase), cause: row.Cause, updatedAt: row.UpdatedAt,
	}
	if err := errors.Join(json.Unmarshal(row.Lines, &v.lines), json.Unmarshal(row.ShipTo, &v.shipTo)); err != nil {
		return orderView{}, fmt.Errorf("decoding order %s: %w", v.id, err)
	}
	return v, nil
}

func (s store) addTimeline(ctx context.Context, byOrder map[OrderID][]timelineEntry) error {
	var p orchestratordb.InsertTimelineParams
	for orderID, entries := range byOrder {
		for _, e := range entries {
			p.OrderIds, p.EventIds, p.Ats = append(p.OrderIds, orderID.UUID()), append(p.EventIds, e.eventID), append(p.Ats, e.at)
			p.Services, p.Types, p.Subjects = append(p.Services, e.service), append(p.Types, e.kind), append(p.Subjects, e.subject)
		}
	}
	if err := s.q.InsertTimeline(ctx, p); err != nil {
		return fmt.Errorf("writing timeline: %w", err)
	}
	return nil
}

func (s store) timeline(ctx context.Context, orderID OrderID) ([]timelineEntry, error) {
	rows, err := s.q.ListTimeline(ctx, orderID.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading timeline: %w", err)
	}
	entries := make([]timelineEntry, len(rows))
	for i, r := range rows {
		entries[i] = timelineEntry{eventID: r.EventID, at: r.At, service: r.Service, kind: r.Type, subject: r.Subject}
	}
	return entries, nil
}
