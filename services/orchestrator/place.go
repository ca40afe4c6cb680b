package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const methodPlace = "PlaceOrder"

type placeCommand struct {
	request
	customerID    string
	lines         []line
	paymentMethod string
	shipTo        address
}

// placing is an order on its way into the database.
type placing struct {
	request idem.Request
	order   order
	// traceparent is the trace of the call, which the saga goes on in.
	traceparent string
	// begunAt is when the saga begins.
	begunAt time.Time
}

// Trace is the trace context of the order's saga.
func (p placing) Trace() string {
	return sagaView{id: p.order.sagaID, traceparent: p.traceparent}.rootOf(false)
}

type intake = groupcommit.Group[placing, idem.Answer[OrderID]]

// place makes an order and its saga durable, together with the others that are being placed, and has the saga
// driven. A replay gives the order as it was when it was accepted. Where the database is away, the intake stream takes the order in.
func (o *orchestrator) place(ctx context.Context, c placeCommand) (orderView, error) {
	total, err := totalOf(c.lines)
	if err != nil {
		return orderView{}, err
	}
	r, err := c.idempotency(o)
	if err != nil {
		return orderView{}, err
	}
	if err := o.catalogue.check(ctx, c.lines); err != nil {
		return orderView{}, err
	}
	placed := order{id: id.New[orderKind](), sagaID: id.New[sagaKind](), createdAt: clock()}
	placed.subject = c.subject(placed.id, total)
	p := placing{request: r, order: placed, traceparent: telemetry.OriginOf(ctx), begunAt: placed.createdAt}
	var answer idem.Answer[OrderID]
	err = o.withDatabase(ctx, func(ctx context.Context) (err error) {
		answer, err = o.intake.Do(ctx, p)
		return err
	})
	if isAway(err) && ctx.Err() == nil {
		return o.queue(ctx, c, p, err)
	}
	if err != nil {
		return orderView{}, err
	}
	if answer.Replayed {
		idem.MarkReplayed(ctx)
		v, err := newStore(o.pool).order(ctx, answer.Value)
		if err != nil {
			return orderView{}, err
		}
		placed = v.order
	} else {
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("tieout.order.id", placed.id.String()),
			attribute.String("tieout.saga.id", placed.sagaID.String()), attribute.String("tieout.idempotency_key", c.key))
	}
	return orderView{order: placed, phase: saga.Running, updatedAt: placed.createdAt}, nil
}

// placeAll writes a batch of orders, their sagas and the sagas' first events.
func (o *orchestrator) placeAll(ctx context.Context, tx *pg.Tx, batch []placing) ([]groupcommit.Result[idem.Answer[OrderID]], error) {
	requests := make([]idem.Request, len(batch))
	for i, p := range batch {
		requests[i] = p.request
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[OrderID], error) {
		outcomes, orders := make([]idem.Outcome[OrderID], len(fresh)), make([]order, len(fresh))
		begun, subjects, events := make([]transition, len(fresh)), make([]subject, len(fresh)), make([]bus.Event, len(fresh))
		def := o.newest
		for n, i := range fresh {
			p := batch[i]
			t, err := begin(def, sagaView{id: p.order.sagaID, subject: p.order.id.UUID(), traceparent: p.traceparent, createdAt: p.begunAt})
			if err != nil {
				return nil, err
			}
			orders[n], begun[n], subjects[n], events[n] = p.order, t, p.order.subject, eventPlaced(p)
			outcomes[n] = idem.Outcome[OrderID]{Answer: p.order.id, Resource: p.order.id.String()}
		}
		tx.AfterCommit(func() { o.engine.takeIn(def, begun, subjects) })
		st := newStore(tx.Later())
		if err := st.insertOrders(ctx, orders); err != nil {
			return nil, err
		}
		if err := st.insertSagas(ctx, begun); err != nil {
			return nil, err
		}
		first, err := eventsOfTransitions(begun)
		if err != nil {
			return nil, err
		}
		b := &pgx.Batch{}
		first(b)
		tx.Later().Batch(b)
		return outcomes, o.outbox.Write(ctx, tx, events...)
	})
}

// begin is the first transition of a saga.
func begin(def saga.Definition, v sagaView) (transition, error) {
	first := saga.Start(def, v.createdAt)
	state, err := saga.Apply(def, saga.State{}, first)
	if err != nil {
		return transition{}, err
	}
	v.definition, v.deadline = keyOf(def), state.Deadline
	v.become(def, state, first.At)
	v.stepAt = first.At
	return transition{view: v, events: []saga.Event{first}, state: state, after: v}, nil
}

// subject is what the saga of the order is for.
func (c placeCommand) subject(orderID OrderID, total money.Amount) subject {
	return subject{
		reference: orderID.String(), customerID: c.customerID, paymentMethod: c.paymentMethod, total: total, lines: c.lines, shipTo: c.shipTo,
	}
}

func (c placeCommand) idempotency(o *orchestrator) (idem.Request, error) {
	lines, err := json.Marshal(c.lines)
	if err != nil {
		return idem.Request{}, fmt.Errorf("encoding lines: %w", err)
	}
	shipTo, err := json.Marshal(c.shipTo)
	if err != nil {
		return idem.Request{}, fmt.Errorf("encoding address: %w", err)
	}
	return c.idem(methodPlace, o.keyTTL,
		idem.Field{Name: "customer_id", Value: c.customerID},
		idem.Field{Name: "lines", Value: string(lines)},
		idem.Field{Name: "payment_method", Value: c.paymentMethod},
		idem.Field{Name: "ship_to", Value: string(shipTo)},
	), nil
}

// totalOf adds up the lines, and blames the line that is wrong.
func totalOf(lines []line) (money.Amount, error) {
	var total money.Amount
	for i, l := range lines {
		path := fmt.Sprintf("lines[%d].unit_price", i)
		if err := checkAmount(path, l.UnitPrice); err != nil {
			return total, err
		}
		if i == 0 {
			total.Currency = l.UnitPrice.Currency
		}
		if l.UnitPrice.Currency != total.Currency {
			return total, rpcerr.ForField(rpcerr.MixedCurrencies, path+".currency_code", "is %s, and the first line's is %s", l.UnitPrice.Currency, total.Currency)
		}
		sum, err := l.UnitPrice.Mul(int64(l.Quantity))
		if err == nil {
			sum, err = total.Add(sum)
		}
		if errors.Is(err, money.ErrOverflow) {
			return total, rpcerr.ForField(rpcerr.AmountOverflow, path+".minor_units", "the total up to here does not fit in 64 bits")
		}
		if err != nil {
			return total, err
		}
		total = sum
	}
	return total, nil
}

// checkAmount refuses what nobody can be charged.
func checkAmount(path string, a money.Amount) error {
	if _, err := money.ParseCurrency(string(a.Currency)); err != nil {
		return rpcerr.ForField(rpcerr.CurrencyUnknown, path+".currency_code", "%q is not a currency of ISO 4217", a.Currency)
	}
	if !a.IsPositive() {
		return rpcerr.ForField(rpcerr.AmountNotPositive, path+".minor_units", "is %d, not more than zero", a.Minor)
	}
	return nil
}
