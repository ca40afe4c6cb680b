package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/money"
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

func (s store) insertOrders(ctx context.Context, orders []order) error {
	var p orchestratordb.InsertOrdersParams
	for _, o := range orders {
		lines, err := json.Marshal(o.lines)
		if err != nil {
			return fmt.Errorf("encoding lines: %w", err)
		}
		shipTo, err := json.Marshal(o.shipTo)
		if err != nil {
			return fmt.Errorf("encoding address: %w", err)
		}
		p.Ids, p.SagaIds, p.CustomerIds = append(p.Ids, o.id.UUID()), append(p.SagaIds, o.sagaID.UUID()), append(p.CustomerIds, o.customerID)
		p.PaymentMethods, p.Currencies = append(p.PaymentMethods, o.paymentMethod), append(p.Currencies, string(o.total.Currency))
		p.TotalsMinor, p.Lines, p.ShipTos = append(p.TotalsMinor, o.total.Minor), append(p.Lines, lines), append(p.ShipTos, shipTo)
		p.CreatedAts = append(p.CreatedAts, o.createdAt)
	}
	if err := s.q.InsertOrders(ctx, p); err != nil {
		return fmt.Errorf("writing orders: %w", err)
	}
	return nil
}

// insertSagas writes sagas as their first transitions leave them.
func (s store) insertSagas(ctx context.Context, started []transition) error {
	var p orchestratordb.InsertSagasParams
	for _, t := range started {
		v := t.after
		p.Ids, p.OrderIds = append(p.Ids, v.id.UUID()), append(p.OrderIds, v.subject)
		p.Definitions, p.Versions = append(p.Definitions, v.definition.name), append(p.Versions, int32(v.definition.version))
		p.Phases, p.Steps = append(p.Phases, int16(v.phase)), append(p.Steps, v.step)
		p.Seqs, p.Deadlines = append(p.Seqs, int32(v.seq)), append(p.Deadlines, v.deadline)
		p.Traceparents, p.CreatedAts = append(p.Traceparents, v.traceparent), append(p.CreatedAts, v.createdAt)
	}
	if err := s.q.InsertSagas(ctx, p); err != nil {
		return fmt.Errorf("writing sagas: %w", err)
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

// liveSagas gives what is to be driven of some shards.
func (s store) liveSagas(ctx context.Context, shards []int16) ([]SagaID, error) {
	rows, err := s.q.ListLiveSagas(ctx, shards)
	if err != nil {
		return nil, fmt.Errorf("reading live sagas: %w", err)
	}
	ids := make([]SagaID, len(rows))
	for i, r := range rows {
		ids[i] = SagaID(r)
	}
	return ids, nil
}

// sagaOf gives the saga of an order or a recurring payment, which named is the id of, as it was asked for.
func (s store) sagaOf(ctx context.Context, subject uuid.UUID, named string) (SagaID, error) {
	sagaID, err := s.q.GetSagaOf(ctx, subject)
	if errors.Is(err, pgx.ErrNoRows) {
		return SagaID{}, rpcerr.ForField(rpcerr.NotFound, "saga_id", "there is no %s", named)
	}
	if err != nil {
		return SagaID{}, fmt.Errorf("looking for the saga: %w", err)
	}
	return SagaID(sagaID), nil
}

// insertRecurring writes recurring payments.
func (s store) insertRecurring(ctx context.Context, payments []recurringPayment) error {
	var p orchestratordb.InsertRecurringPaymentsParams
	for _, r := range payments {
		p.Ids, p.SagaIds, p.Refs = append(p.Ids, r.id.UUID()), append(p.SagaIds, r.sagaID.UUID()), append(p.Refs, r.reference)
		p.CustomerIds, p.PaymentMethods = append(p.CustomerIds, r.customerID), append(p.PaymentMethods, r.paymentMethod)
		p.Currencies, p.AmountsMinor = append(p.Currencies, string(r.total.Currency)), append(p.AmountsMinor, r.total.Minor)
		p.CreatedAts = append(p.CreatedAts, r.createdAt)
	}
	if err := s.q.InsertRecurringPayments(ctx, p); err != nil {
		return fmt.Errorf("writing recurring payments: %w", err)
	}
	return nil
}

func noOrder(orderID OrderID) error {
	return rpcerr.ForField(rpcerr.NotFound, "order_id", "there is no order %s", orderID)
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

// orderByAlias gives an order by an id that it was given besides its own.
func (s store) orderByAlias(ctx context.Context, orderID OrderID) (orderView, error) {
	row, err := s.q.GetOrderByAlias(ctx, orderID.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return orderView{}, noOrder(orderID)
	}
	if err != nil {
		return orderView{}, fmt.Errorf("reading order: %w", err)
	}
	return orderOf(orchestratordb.GetOrderRow(row))
}

func (s store) insertAliases(ctx context.Context, aliases map[OrderID]OrderID) error {
	var p orchestratordb.InsertOrderAliasesParams
	for alias, orderID := range aliases {
		p.Ids, p.OrderIds = append(p.Ids, alias.UUID()), append(p.OrderIds, orderID.UUID())
	}
	if err := s.q.InsertOrderAliases(ctx, p); err != nil {
		return fmt.Errorf("writing further ids of orders: %w", err)
	}
	return nil
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

// orderAt is an order as it was read, to be decoded by who needs it.
type orderAt orchestratordb.GetOrderRow

// Version implements watch.Versioned: the number of its saga's last event.
func (o orderAt) Version() int64 { return int64(o.Seq) }

// readOrders reads orders by their ids.
func (s store) readOrders(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]orderAt, error) {
	rows, err := s.q.ReadOrders(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	found := make(map[uuid.UUID]orderAt, len(rows))
	for _, r := range rows {
		found[r.ID] = orderAt(r)
	}
	return found, nil
}

func orderOf(row orchestratordb.GetOrderRow) (orderView, error) {
	v := orderView{
		order: order{id: OrderID(row.ID), sagaID: SagaID(row.SagaID), createdAt: row.CreatedAt, subject: subject{
			reference: OrderID(row.ID).String(), customerID: row.CustomerID, paymentMethod: row.PaymentMethod,
			total: money.Amount{Currency: money.Currency(row.Currency), Minor: row.TotalMinor},
		}},
		phase: saga.Phase(row.Phase), cause: row.Cause, updatedAt: row.UpdatedAt, seq: int64(row.Seq),
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
