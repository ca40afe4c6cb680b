package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/waittest"
)

var errHandler = errors.New("no such payment")

func TestReceiver_TakesWhatIsWaitingInOneTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := numbered(1, maxBatch+5)
	other := event("stock_1")
	other.Service = "inventory"
	b.publish(t, append(slices.Clone(events), other)...)
	var batches []int
	r := b.receiver(t, func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
		batches = append(batches, len(events))
		return record(ctx, tx, events)
	})
	arrive(t, r, maxBatch)
	round(t, r)
	arrive(t, r, 5)
	round(t, r)
	if diff := cmp.Diff([]int{maxBatch, 5}, batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	b.wantEffects(t, subjects(events)...)
	waittest.Until(t, "all is acknowledged", func() bool { return b.settled(t) })
}

// What is nothing to a consumer is acknowledged, and leaves no row.
func TestReceiver_LeavesNoTraceOfWhatItDoesNotWant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := numbered(1, 4)
	b.publish(t, events...)
	c := consumer(record)
	c.Wants = func(e bus.Event) bool { return e.Subject == events[1].Subject || e.Subject == events[3].Subject }
	r := b.receiverOf(t, New(Config{Pool: b.pool}, c))
	arrive(t, r, len(events))
	round(t, r)
	b.wantEffects(t, events[1].Subject, events[3].Subject)
	waittest.Until(t, "all is acknowledged", func() bool { return b.settled(t) })
	var rows int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM inbox`).Scan(&rows); err != nil || rows != 2 {
		t.Errorf("got %d inbox rows, error %v; want 2", rows, err)
	}
}

// Failed, but applied: the process ends between the commit and the acknowledgement.
func TestReceiver_DoesNothingWhenTheEffectIsCommittedAlready(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := numbered(1, 3)
	b.publish(t, events...)
	crashing := b.receiver(t, record)
	arrive(t, crashing, len(events))
	msgs, err := crashing.supply.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	deliveries, _, _, _ := crashing.sort(msgs)
	if err := crashing.apply(t.Context(), deliveries); err != nil {
		t.Fatal(err)
	}
	for _, msg := range msgs { // the server does this by itself after ackWait
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	crashing.close()
	later := event("pay_later")
	b.publish(t, later)
	r := b.receiver(t, record)
	waittest.Until(t, "all is acknowledged", func() bool { round(t, r); return b.settled(t) })
	b.wantEffects(t, append(subjects(events), later.Subject)...)
}

// Failed, not applied: the database ends the connection inside the transaction. That is not the events' fault.
func TestReceiver_RepeatsWhatWasRolledBackAndBlamesNoEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := numbered(1, 3)
	b.publish(t, events...)
	failures := 0
	r := b.receiver(t, func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
		if err := record(ctx, tx, events); err != nil {
			return err
		}
		if failures++; failures > 3 { // more often than an event may fail
			return nil
		}
		_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
		return err
	})
	rounds := 0
	arrive(t, r, len(events))
	waittest.Until(t, "the effects are there", func() bool {
		_, err := r.runOnce(t.Context())
		if rounds++; err == nil && failures <= 3 {
			t.Errorf("round %d: got no error of the database", rounds)
		}
		return len(b.effects(t)) >= len(events)
	})
	b.wantEffects(t, subjects(events)...)
	if got := b.deadLetters(t); len(got) != 0 || len(r.failures) != 0 {
		t.Errorf("got dead letters %v, failures %v, want none", got, r.failures)
	}
}

func TestReceiver_BuriesAPoisonousEventAndNoOther(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]func() error{
		"error": func() error { return errHandler },
		"panic": func() error { panic(errHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			events := numbered(1, 5)
			b.publish(t, events...)
			b.run(t, func(ctx context.Context, tx *pg.Tx, batch []bus.Event) error {
				if err := record(ctx, tx, batch); err != nil {
					return err
				}
				if slices.Contains(subjects(batch), "pay_003") {
					return poison()
				}
				return nil
			})
			waittest.Until(t, "the event is a dead letter", func() bool { return len(b.deadLetters(t)) > 0 })
			b.wantEffects(t, "pay_001", "pay_002", "pay_004", "pay_005")
			got := b.deadLetters(t)
			if len(got) != 1 || !strings.Contains(got[0].Error, errHandler.Error()) {
				t.Fatalf("got dead letters %+v", got)
			}
			got[0].Error = ""
			want := deadLetter{
				Subject: "evt.payment.payment.captured.pay_003", Payload: "pay_003",
				Header: "tieout.payment.payment.captured.v1", HasEvent: true, InInbox: true, Deliveries: 2,
				Attempts: 2, StreamSeq: 3, Published: true,
			}
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("dead letter (-want +got):\n%s", diff)
			}
			waittest.Until(t, "the event is not delivered again", func() bool { return b.settled(t) })
		})
	}
}

func TestReceiver_BuriesWhatIsNoEventOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strange := &nats.Msg{
		Subject: "evt.payment.strange", Data: []byte("strange"), Header: nats.Header{"x": {"a\x00b\xff"}},
	}
	for range 2 {
		if _, err := b.js.PublishMsg(t.Context(), strange); err != nil {
			t.Fatal(err)
		}
	}
	good := event("pay_1")
	b.publish(t, good)
	r := b.receiver(t, record)
	arrive(t, r, 3)
	round(t, r)
	b.wantEffects(t, "pay_1")
	want := []deadLetter{{
		Subject: "evt.payment.strange", Payload: "strange", Deliveries: 1, StreamSeq: 1, Published: true,
		Error: `cloudevents attribute specversion: "" is not 1.0`,
	}}
	if diff := cmp.Diff(want, b.deadLetters(t)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	waittest.Until(t, "all is acknowledged", func() bool { return b.settled(t) })
}

func TestReceiver_KeepsTheEffectOfWhatAnotherProcessSawThrough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event("pay_1")
	b.publish(t, e)
	if _, err := b.pool.Exec(t.Context(), `INSERT INTO inbox (consumer, event_id) VALUES ('recon', $1)`, e.ID); err != nil {
		t.Fatal(err)
	}
	r := b.receiver(t, record)
	arrive(t, r, 1)
	msgs, err := r.supply.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.bury(t.Context(), delivery{msg: msgs[0], event: e}, errHandler, 2)
	if got := b.deadLetters(t); len(got) != 0 {
		t.Errorf("got dead letters %+v, want none", got)
	}
}

func TestRun_SurvivesAStreamThatIsDeletedAndFilledAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := outbox.New(outbox.Config{Pool: b.pool})
	background(t, func(ctx context.Context) error { return o.Run(ctx, b.js) })
	b.run(t, record)
	write := func(events ...bus.Event) {
		t.Helper()
		err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return o.Write(t.Context(), tx, events...) })
		if err != nil {
			t.Fatal(err)
		}
	}
	write(numbered(1, 10)...)
	b.awaitEffects(t, 10)
	b.recreateStream(t)
	write(numbered(11, 15)...)
	b.awaitEffects(t, 15)
	waittest.Until(t, "all events are in the new stream", func() bool {
		stream, err := b.js.Stream(t.Context(), bus.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 15
	})
	waittest.Until(t, "all is acknowledged", func() bool { return b.settled(t) })
	got := b.effects(t)
	slices.Sort(got)
	if diff := cmp.Diff(subjects(numbered(1, 15)), got); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestRun_RefusesAConsumerThatCannotRun(t *testing.T) {
	t.Parallel()
	for _, spoil := range []func(*Consumer){
		func(c *Consumer) { c.Name = "a.b" },
		func(c *Consumer) { c.Subjects = nil },
		func(c *Consumer) { c.Handle = nil },
	} {
		c := consumer(record)
		spoil(&c)
		if err := New(Config{}, c).Run(t.Context(), nil); err == nil {
			t.Errorf("got no error for %+v", c)
		}
	}
}

func TestReceiver_ContinuesTheWritersTrace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	var seen trace.SpanContext
	in := New(Config{Pool: b.pool, Tracer: tracer}, consumer(func(ctx context.Context, _ *pg.Tx, _ []bus.Event) error {
		seen = trace.SpanContextFromContext(ctx)
		return nil
	}))
	e := event("pay_1")
	e.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.publish(t, e)
	round(t, b.receiverOf(t, in))

	if len(spans.Ended()) != 1 {
		t.Fatalf("got %d spans, want 1", len(spans.Ended()))
	}
	span := spans.Ended()[0]
	if span.Name() != "process tieout.payment.payment.captured.v1" || span.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("got span %q of kind %v", span.Name(), span.SpanKind())
	}
	if got := fmt.Sprint(span.Parent().TraceID(), span.Parent().SpanID()); got !=
		"0af7651916cd43dd8448eb211c80319c b7ad6b7169203331" {
		t.Errorf("got parent %s", got)
	}
	if seen.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("the handler ran in span %v, want %v", seen.SpanID(), span.SpanContext().SpanID())
	}
	if !slices.Contains(span.Attributes(), attribute.String("messaging.message.id", e.ID.String())) {
		t.Errorf("got attributes %v, want the event's id among them", span.Attributes())
	}
}
