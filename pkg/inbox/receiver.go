package inbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
)

const (
	// maxBatch is the most events of one transaction, and as many as a server sends to a process that has not taken them yet.
	maxBatch = 1000
	// maxUnacknowledged is how many events of a consumer may be on their way. They are more than one process gets, or one that hangs
	// would keep the others waiting until ackWait.
	maxUnacknowledged = 4 * maxBatch
	// transientDelay is when events come again that the database could not take.
	transientDelay = time.Second
)

// redelivery is when an event comes again after its first, second, … failure.
var redelivery = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second}

// receiver is a running Inbox. It belongs to one goroutine.
type receiver struct {
	*Inbox
	js       jetstream.JetStream
	supply   *supply            // nil when it has to be opened
	failures map[uuid.UUID]bool // the events that Handle failed on, alone, in this process
}

func newReceiver(in *Inbox, js jetstream.JetStream) *receiver {
	return &receiver{Inbox: in, js: js, failures: map[uuid.UUID]bool{}}
}

// delivery is an event and the message that brought it.
type delivery struct {
	msg   jetstream.Msg
	event bus.Event
}

// runOnce takes what is waiting, or waits a little for one event, and processes it.
func (r *receiver) runOnce(ctx context.Context) (again bool, err error) {
	if !r.js.Conn().IsConnected() {
		return false, errDisconnected // nothing comes, and what came before could not be acknowledged
	}
	if r.supply == nil {
		if r.supply, err = r.open(ctx); err != nil {
			return false, err
		}
	}
	msgs, err := r.supply.next(ctx)
	if err != nil {
		r.close()
		return false, fmt.Errorf("receiving events: %w", err)
	}
	began := time.Now()
	err = r.process(ctx, msgs)
	if err == nil && len(msgs) > 1 { // who has fallen behind does not hold up those who work off what is new
		periodic.Await(ctx, periodic.Rest(time.Since(began)), nil)
	}
	return true, err
}

// open creates the durable consumer, or finds it, and has it supply events.
func (r *receiver) open(ctx context.Context) (*supply, error) {
	durable, err := r.js.CreateOrUpdateConsumer(ctx, bus.Stream, jetstream.ConsumerConfig{
		Durable:        r.consumer.Name,
		FilterSubjects: r.consumer.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxAckPending:  maxUnacknowledged,
		MaxDeliver:     -1,
	})
	if err != nil {
		return nil, fmt.Errorf("creating consumer: %w", err)
	}
	return newSupply(durable)
}

// close puts back what was not processed. The receiver may go on afterwards.
func (r *receiver) close() {
	if r.supply != nil {
		r.supply.close()
		r.supply = nil
	}
}

// process brings every message to its end: acknowledged, put back, or buried. An error says that the database cannot
// take anything now, and all that was left is put back.
func (r *receiver) process(ctx context.Context, msgs []jetstream.Msg) error {
	batch, suspects, unwanted, undecodable := r.sort(msgs)
	for _, d := range unwanted {
		r.settle(ctx, d.msg.Ack())
	}
	for _, bad := range undecodable {
		r.bury(ctx, bad.delivery, bad.err, 0)
	}
	if len(batch) == 1 {
		suspects = append(batch, suspects...)
	} else if len(batch) > 1 {
		switch err := r.apply(ctx, batch); {
		case err == nil:
			r.ack(ctx, batch)
		case pg.IsTransient(err):
			r.putBack(ctx, append(batch, suspects...))
			return err
		default:
			suspects = append(batch, suspects...)
		}
	}
	for i, d := range suspects {
		switch err := r.apply(ctx, suspects[i:i+1]); {
		case err == nil:
			r.ack(ctx, suspects[i:i+1])
		case pg.IsTransient(err):
			r.putBack(ctx, suspects[i:])
			return err
		default:
			r.failed(ctx, d, err)
		}
	}
	return nil
}

// undecoded is a message that is no event, and why.
type undecoded struct {
	delivery
	err error
}

// sort tells apart what goes into one transaction, what is suspect and goes alone, what is nothing to the consumer, and
// what is no event. Suspect is what has failed here before, and what was delivered more often than it may fail: perhaps it
// brings processes down before they can say so.
func (r *receiver) sort(msgs []jetstream.Msg) (batch, suspects, unwanted []delivery, bad []undecoded) {
	for _, msg := range msgs {
		event, err := decode(msg.Subject(), msg.Headers(), msg.Data())
		d := delivery{msg: msg, event: event}
		switch {
		case err != nil:
			d.event = bus.Event{} // what was read of it is not to be trusted
			bad = append(bad, undecoded{d, err})
		case r.consumer.Wants != nil && !r.consumer.Wants(event):
			unwanted = append(unwanted, d)
		case r.failures[event.ID] || delivered(msg) > r.consumer.MaxAttempts:
			suspects = append(suspects, d)
		default:
			batch = append(batch, d)
		}
	}
	return batch, suspects, unwanted, bad
}

// delivered is how often a message was delivered.
func delivered(msg jetstream.Msg) int {
	meta, err := msg.Metadata()
	if err != nil {
		return 0
	}
	return int(meta.NumDelivered) //nolint:gosec // a count of deliveries
}

// failed counts a failure of d alone and puts it back, or buries it when it has had its attempts.
func (r *receiver) failed(ctx context.Context, d delivery, cause error) {
	r.failures[d.event.ID] = true
	n, err := r.countFailure(ctx, d.event.ID, cause)
	if err != nil {
		r.log.ErrorContext(ctx, "failure was not counted", slog.String("event_id", d.event.ID.String()), slog.Any("cause", cause),
			slog.Any("error", err))
		r.putBack(ctx, []delivery{d})
		return
	}
	r.log.WarnContext(ctx, "event failed", slog.String("event_id", d.event.ID.String()),
		slog.String("type", d.event.Type()), slog.Int("attempt", n), slog.Any("error", cause))
	if n >= r.consumer.MaxAttempts {
		r.bury(ctx, d, cause, n)
		return
	}
	r.settle(ctx, d.msg.NakWithDelay(redelivery[min(n, len(redelivery))-1]))
}

const countFailure = `
INSERT INTO event_failure AS f (consumer, event_id, failures, error) VALUES ($1, $2, 1, $3)
ON CONFLICT (consumer, event_id) DO UPDATE SET failures = f.failures + 1, error = excluded.error, failed_at = now()
RETURNING failures`

// countFailure gives how often the consumer has failed on an event, in whatever process.
func (r *receiver) countFailure(ctx context.Context, eventID uuid.UUID, cause error) (n int, err error) {
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, countFailure, r.consumer.Name, eventID, Text(cause.Error())).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("counting failure: %w", err)
	}
	return n, nil
}

func (r *receiver) ack(ctx context.Context, done []delivery) {
	failpoint.Hit(failpoint.Unseen, "inbox", r.consumer.Name)
	for _, d := range done {
		delete(r.failures, d.event.ID)
		r.settle(ctx, d.msg.Ack())
	}
	failpoint.Hit(failpoint.After, "inbox", r.consumer.Name)
}

func (r *receiver) putBack(ctx context.Context, rest []delivery) {
	for _, d := range rest {
		r.settle(ctx, d.msg.NakWithDelay(transientDelay))
	}
}

// settle needs no remedy for an acknowledgement that could not be sent: the event comes again after ackWait, and the
// inbox knows it.
func (r *receiver) settle(ctx context.Context, err error) {
	if err != nil {
		r.log.DebugContext(ctx, "acknowledgement was not sent", slog.Any("error", err))
	}
}
