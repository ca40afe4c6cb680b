package orchestrator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

const (
	// intakeStream holds orders that were taken in while the database could not be reached.
	intakeStream = "INTAKE"
	// databasePatience is how long an order waits for the database before it is taken in without it.
	databasePatience = 2 * time.Second
	// standbyPatience is how long the stream may take to say that it has an order.
	standbyPatience = 2 * time.Second
	// intakeRetryAfter is when a client that was refused by both is told to ask again.
	intakeRetryAfter = time.Second
)

// databaseBreaker says when the database is away: when one intake in ten is not answered by it. Then it is left in peace, but for
// a look each second.
func databaseBreaker(cfg rpc.BreakerConfig) (*rpc.Breaker, error) {
	cfg.MinimumCalls, cfg.FailureRatio, cfg.Window, cfg.OpenFor, cfg.Probes = 5, 0.1, 5*time.Second, time.Second, 1
	cfg.Down = isAway
	return rpc.NewBreaker("postgres", cfg)
}

// isAway says whether an error is that the database does not answer, or was not asked for that reason.
func isAway(err error) bool {
	return rpcerr.Is(err, rpcerr.DestinationDown) || errors.Is(err, groupcommit.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) ||
		pg.IsTransient(err)
}

// withDatabase does something with the database, unless that is known to be away.
func (o *orchestrator) withDatabase(ctx context.Context, do func(context.Context) error) error {
	return o.standby.database.Do(func() error {
		ctx, cancel := context.WithTimeout(ctx, databasePatience)
		defer cancel()
		return do(ctx)
	})
}

// standby is the second log of the intake, a stream of JetStream that syncs each message to disk. It takes orders in while the
// database cannot be reached, each key once for ever; drainer moves them to the database when that is back.
type standby struct {
	js       jetstream.JetStream
	replicas int
	database *rpc.Breaker // of what it stands by for
	metrics  intakeMetrics
}

func newStandby(env *service.Env) (*standby, error) {
	database, err1 := databaseBreaker(rpc.BreakerConfig{Service: env.Name, Log: env.Log, Meter: env.Meter})
	metrics, err2 := newIntakeMetrics(env.Meter)
	return &standby{js: env.JetStream, replicas: env.StreamReplicas, database: database, metrics: metrics}, errors.Join(err1, err2)
}

// isNeeded says whether the database is away.
func (s *standby) isNeeded() bool { return s.database.State() == rpc.BreakerOpen }

// queued is an order in the stream.
type queued struct {
	Caller        string    `json:"caller"`
	Key           string    `json:"key"`
	OrderID       OrderID   `json:"order_id"`
	SagaID        SagaID    `json:"saga_id"`
	AcceptedAt    time.Time `json:"accepted_at"`
	CustomerID    string    `json:"customer_id"`
	PaymentMethod string    `json:"payment_method"`
	Lines         []line    `json:"lines"`
	ShipTo        address   `json:"ship_to"`
	Traceparent   string    `json:"traceparent,omitempty"`
}

// command is what the client asked for.
func (q queued) command() placeCommand {
	return placeCommand{
		request: request{caller: q.Caller, key: q.Key}, customerID: q.CustomerID, lines: q.Lines, paymentMethod: q.PaymentMethod, shipTo: q.ShipTo,
	}
}

// order is the order as it was accepted.
func (q queued) order() (order, error) {
	c := q.command()
	total, err := totalOf(c.lines)
	return order{id: q.OrderID, sagaID: q.SagaID, createdAt: q.AcceptedAt, subject: c.subject(q.OrderID, total)}, err
}

// view is the order as its client sees it while it waits.
func (q queued) view() (orderView, error) {
	accepted, err := q.order()
	return viewQueued(accepted), err
}

func viewQueued(accepted order) orderView {
	return orderView{order: accepted, queued: true, updatedAt: accepted.createdAt}
}

// The subjects of the stream name the key first, of which there is one message at most, and then the order.
func subjectOf(caller, key, orderID string) string {
	sum := sha256.Sum256([]byte(caller + "\x00" + key))
	return fmt.Sprintf("intake.order.%x.%s", sum[:16], strings.TrimPrefix(orderID, orderKind{}.Prefix()+"_"))
}

// ensure makes the stream. It is never emptied: what is in it is never taken in again.
func (s *standby) ensure(ctx context.Context) error {
	_, err := s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        intakeStream,
		Description: "Orders that were taken in while the database could not be reached.",
		Subjects:    []string{"intake.order.*.*"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		Replicas:    s.replicas,
	})
	if err != nil {
		return fmt.Errorf("ensuring stream %s: %w", intakeStream, err)
	}
	return nil
}

// errNoStandby means that the stream was not asked, or has not taken the order.
var errNoStandby = errors.New("the intake stream cannot be reached")

// keep puts an order into the stream. It gives the one that is there under the key: replayed, when it was there before.
func (s *standby) keep(ctx context.Context, q queued) (kept queued, replayed bool, err error) {
	if !s.js.Conn().IsConnected() {
		return q, false, errNoStandby
	}
	ctx, cancel := context.WithTimeout(ctx, standbyPatience)
	defer cancel()
	data, err := json.Marshal(q)
	if err != nil {
		return q, false, fmt.Errorf("encoding order: %w", err)
	}
	every := subjectOf(q.Caller, q.Key, "*")
	_, err = s.js.Publish(ctx, subjectOf(q.Caller, q.Key, q.OrderID.String()), data, jetstream.WithExpectLastSequenceForSubject(0, every),
		jetstream.WithRetryAttempts(0))
	refusal := &jetstream.APIError{}
	switch {
	case err == nil:
		return q, false, nil
	case errors.As(err, &refusal) && refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		kept, err = s.last(ctx, every)
		return kept, true, err
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return q, false, errors.Join(errNoStandby, err)
	}
	return q, false, fmt.Errorf("writing to the intake stream: %w", err)
}

// find gives an order in the stream; jetstream.ErrMsgNotFound when it is not there.
func (s *standby) find(ctx context.Context, orderID OrderID) (queued, error) {
	if !s.js.Conn().IsConnected() {
		return queued{}, errNoStandby
	}
	ctx, cancel := context.WithTimeout(ctx, standbyPatience)
	defer cancel()
	return s.last(ctx, "intake.order.*."+orderID.UUID().String())
}

func (s *standby) last(ctx context.Context, subject string) (q queued, err error) {
	stream, err := s.js.Stream(ctx, intakeStream)
	if err != nil {
		return q, fmt.Errorf("looking for stream %s: %w", intakeStream, err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return q, fmt.Errorf("looking for an order in the intake stream: %w", err)
	}
	if err := json.Unmarshal(m.Data, &q); err != nil {
		return q, fmt.Errorf("decoding message %d of the intake stream: %w", m.Sequence, err)
	}
	return q, nil
}

// queue takes an order in without the database, which is away.
func (o *orchestrator) queue(ctx context.Context, c placeCommand, p placing, away error) (orderView, error) {
	kept, replayed, err := o.standby.keep(ctx, queued{
		Caller: c.caller, Key: c.key, OrderID: p.order.id, SagaID: p.order.sagaID, AcceptedAt: p.order.createdAt, CustomerID: c.customerID,
		PaymentMethod: c.paymentMethod, Lines: c.lines, ShipTo: c.shipTo, Traceparent: p.traceparent,
	})
	if err != nil {
		return orderView{}, unavailable(away, err)
	}
	if !replayed {
		o.standby.metrics.taken.Add(ctx, 1)
		return viewQueued(p.order), nil
	}
	earlier, err := kept.command().idempotency(o)
	if err != nil {
		return orderView{}, err
	}
	if err := earlier.Same(p.request); err != nil {
		return orderView{}, err
	}
	idem.MarkReplayed(ctx)
	return kept.view()
}

// unavailable is the refusal of an order that neither log has taken, or may have taken without saying so.
func unavailable(away, standby error) error {
	text := "neither the database nor the intake stream can be reached; nothing was accepted"
	if !rpcerr.Is(away, rpcerr.DestinationDown) || !errors.Is(standby, errNoStandby) {
		text = "neither the database nor the intake stream has answered; ask again under the same key"
	}
	e := rpcerr.New(rpcerr.IntakeUnavailable, "%s", text)
	e.RetryAfter = intakeRetryAfter
	return e
}

// find gives an order wherever it is: in the database, under its id or one that it was given besides, or in the stream.
func (o *orchestrator) find(ctx context.Context, orderID OrderID) (v orderView, err error) {
	err = o.withDatabase(ctx, func(ctx context.Context) (err error) {
		st := newStore(o.pool)
		if v, err = st.order(ctx, orderID); rpcerr.Is(err, rpcerr.NotFound) {
			v, err = st.orderByAlias(ctx, orderID)
		}
		return err
	})
	if err == nil || ctx.Err() != nil || !rpcerr.Is(err, rpcerr.NotFound) && !isAway(err) {
		return v, err
	}
	waiting, lost := o.standby.find(ctx, orderID)
	if lost == nil {
		return waiting.view()
	}
	if isAway(err) && !errors.Is(lost, jetstream.ErrMsgNotFound) {
		return v, unavailable(err, lost)
	}
	return v, cmp.Or(err, lost)
}
