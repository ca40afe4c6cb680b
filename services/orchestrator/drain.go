package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/shed"
)

const (
	drainConsumer = "orchestrator-intake"
	// maxDrained is how many orders are moved at once.
	maxDrained = 256
	// drainWait is how long a look for orders in the stream lasts when there are none.
	drainWait = 20 * time.Second
	// drainRoom is when it is looked again whether there is room for more orders.
	drainRoom = 20 * time.Millisecond
	// drainAgain is when it is tried again after something went wrong.
	drainAgain = 500 * time.Millisecond
	// methodPlaceQueued is the method of the keys of orders that were accepted without the database under a key that had been
	// used for another one.
	methodPlaceQueued = "PlaceOrder/queued"
)

// drainer moves orders from the stream to the database, in the order in which they came, a batch at a time. All replicas do; a
// batch is one's until it is acknowledged, and an order that is moved twice is there once, by its key.
type drainer struct {
	*orchestrator
	log *slog.Logger
}

// run drains until ctx ends.
func (d *drainer) run(ctx context.Context) error {
	var consumer jetstream.Consumer
	for ctx.Err() == nil {
		err := d.databaseIsBack(ctx)
		if err == nil && consumer == nil {
			consumer, err = d.consume(ctx)
		}
		if err == nil && d.hasRoom(ctx) {
			err = d.once(ctx, consumer)
		}
		if err != nil && ctx.Err() == nil {
			consumer = nil // the stream may have gone
			d.log.DebugContext(ctx, "the intake stream is not drained", slog.Any("error", err))
			select {
			case <-time.After(drainAgain):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// databaseIsBack looks whether the database answers, if it was away.
func (d *drainer) databaseIsBack(ctx context.Context) error {
	if !d.standby.isNeeded() {
		return nil
	}
	return d.withDatabase(ctx, d.pool.Ping)
}

// hasRoom waits until the orders under way leave room for those that waited; for as many as of a batch, so that new orders are not
// refused because of them.
func (d *drainer) hasRoom(ctx context.Context) bool {
	tick := time.NewTicker(drainRoom)
	defer tick.Stop()
	for d.engine.backlog.IsFull(shed.Batch) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (d *drainer) consume(ctx context.Context) (jetstream.Consumer, error) {
	if err := d.standby.ensure(ctx); err != nil {
		return nil, err
	}
	consumer, err := d.standby.js.CreateOrUpdateConsumer(ctx, intakeStream, jetstream.ConsumerConfig{
		Durable: drainConsumer, Description: "Moves orders to the database.", AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: time.Minute, MaxAckPending: maxDrained,
	})
	if err != nil {
		return nil, fmt.Errorf("ensuring consumer %s: %w", drainConsumer, err)
	}
	return consumer, nil
}

// once moves a batch. It waits for one when there is nothing.
func (d *drainer) once(ctx context.Context, consumer jetstream.Consumer) error {
	waiting, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	first, err := consumer.Next(jetstream.FetchContext(waiting))
	if errors.Is(err, jetstream.ErrNoMessages) || waiting.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for orders in the intake stream: %w", err)
	}
	batch := []jetstream.Msg{first}
	more, err := consumer.FetchNoWait(maxDrained - 1)
	if err == nil {
		for m := range more.Messages() {
			batch = append(batch, m)
		}
	}
	return d.move(ctx, batch)
}

// move writes a batch of orders to the database and acknowledges it. What cannot be written now comes again.
func (d *drainer) move(ctx context.Context, batch []jetstream.Msg) error {
	var messages []jetstream.Msg
	var orders []placing
	for _, m := range batch {
		p, err := d.read(m)
		if err != nil { // a person has to look: it stays in the stream, and its client was told that it is there
			d.log.ErrorContext(ctx, "an order in the intake stream cannot be read", slog.String("subject", m.Subject()), slog.Any("error", err))
			_ = m.NakWithDelay(drainWait)
			continue
		}
		messages, orders = append(messages, m), append(orders, p)
	}
	aliases := map[OrderID]OrderID{}
	moved := messages[:0]
	var failed error
	for i, r := range d.intake.DoAll(ctx, orders) {
		made, err := r.Value.Value, r.Err
		if refusal, definite := errors.AsType[*rpcerr.Error](err); definite && refusal.Definite() {
			made, err = d.keepAnyway(ctx, orders[i])
		}
		if err != nil {
			failed = errors.Join(failed, err)
			_ = messages[i].NakWithDelay(drainAgain)
			continue
		}
		if made != orders[i].order.id {
			aliases[orders[i].order.id] = made
		}
		moved = append(moved, messages[i])
	}
	if err := d.alias(ctx, aliases); err != nil {
		return err // they come again, and are found by their keys
	}
	for _, m := range moved {
		failed = errors.Join(failed, m.Ack())
	}
	d.standby.metrics.moved.Add(ctx, int64(len(moved)))
	if failed != nil {
		return fmt.Errorf("moving orders out of the intake stream: %w", failed)
	}
	d.log.InfoContext(ctx, "orders were moved out of the intake stream", slog.Int("orders", len(moved)))
	return nil
}

// read decodes a message. Its saga begins now, however long it has waited.
func (d *drainer) read(m jetstream.Msg) (placing, error) {
	var q queued
	if err := json.Unmarshal(m.Data(), &q); err != nil {
		return placing{}, fmt.Errorf("decoding: %w", err)
	}
	accepted, err := q.order()
	if err != nil {
		return placing{}, err
	}
	r, err := q.command().idempotency(d.orchestrator)
	return placing{request: r, order: accepted, traceparent: q.Traceparent, begunAt: clock()}, err
}

// keepAnyway places an order whose key the database knows from another one, which nobody could see when it was accepted: its
// client was told that it is an order, and so it is one.
func (d *drainer) keepAnyway(ctx context.Context, p placing) (OrderID, error) {
	p.request.Method = methodPlaceQueued
	answer, err := d.intake.Do(ctx, p)
	return answer.Value, err
}

// alias writes under which ids orders were accepted that the database had already, under their keys.
func (d *drainer) alias(ctx context.Context, aliases map[OrderID]OrderID) error {
	if len(aliases) == 0 {
		return nil
	}
	return newStore(d.pool).insertAliases(ctx, aliases)
}
