package inbox

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// effects is a table that keeps every effect, so that a second one of the same event shows.
var effects = pg.Migrations{Name: "effects", FS: fstest.MapFS{"0001_effect.sql": {Data: []byte(`-- +goose Up
CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text NOT NULL);
`)}}}

// bundle is a consumer's database and a stream of its own.
type bundle struct {
	pool *pgxpool.Pool
	js   jetstream.JetStream
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{pool: pgtest.Pool(t, outbox.Migrations, Migrations, effects), js: bustest.JetStream(t)}
}

// record is the effect of the tests: a row per event.
func record(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
	for _, e := range events {
		if _, err := tx.Exec(ctx, `INSERT INTO effect (subject) VALUES ($1)`, e.Subject); err != nil {
			return err
		}
	}
	return nil
}

type handler = func(ctx context.Context, tx *pg.Tx, events []bus.Event) error

func consumer(handle handler) Consumer {
	return Consumer{Name: "recon", Subjects: []string{"evt.payment.>"}, MaxAttempts: 2, Handle: handle}
}

// receiver makes a receiver that the test drives by hand.
func (b *bundle) receiver(t *testing.T, handle handler) *receiver {
	t.Helper()
	return b.receiverOf(t, New(Config{Pool: b.pool}, consumer(handle)))
}

func (b *bundle) receiverOf(t *testing.T, in *Inbox) *receiver {
	t.Helper()
	r := newReceiver(in, b.js)
	t.Cleanup(r.close)
	return r
}

// arrive waits until so many messages have come to r, which takes them in its next round.
func arrive(t *testing.T, r *receiver, n int) {
	t.Helper()
	if r.supply == nil {
		var err error
		if r.supply, err = r.open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, fmt.Sprintf("%d messages are there", n), func() bool { return len(r.supply.arrived) >= n })
}

// run runs an inbox in the background until the test ends.
func (b *bundle) run(t *testing.T, handle handler) {
	t.Helper()
	background(t, func(ctx context.Context) error {
		return New(Config{Pool: b.pool}, consumer(handle)).Run(ctx, b.js)
	})
}

// background runs f until the test ends, and waits for it.
func background(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func event(subject string) bus.Event {
	return bus.Event{
		ID: uuid.New(), Service: "payment", Entity: "payment", Name: "captured", Subject: subject, Time: time.Now(),
		Data: []byte(subject),
	}
}

func numbered(from, to int) []bus.Event {
	var events []bus.Event
	for i := from; i <= to; i++ {
		events = append(events, event(fmt.Sprintf("pay_%03d", i)))
	}
	return events
}

func subjects(events []bus.Event) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.Subject)
	}
	return names
}

func (b *bundle) publish(t *testing.T, events ...bus.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := b.js.PublishMsg(t.Context(), bus.Encode(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bundle) recreateStream(t *testing.T) {
	t.Helper()
	if err := b.js.DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	if err := bus.EnsureStream(t.Context(), b.js, 1); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) effects(t *testing.T) []string {
	t.Helper()
	return pgtest.Column[string](t, b.pool, `SELECT subject FROM effect ORDER BY n`)
}

func (b *bundle) wantEffects(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.effects(t)); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

// awaitEffects waits until there are at least n.
func (b *bundle) awaitEffects(t *testing.T, n int) {
	t.Helper()
	waittest.Until(t, fmt.Sprintf("there are %d effects", n), func() bool { return len(b.effects(t)) >= n })
}

// settled says that nothing is waiting or unacknowledged.
func (b *bundle) settled(t *testing.T) bool {
	t.Helper()
	c, err := b.js.Consumer(t.Context(), bus.Stream, "recon")
	if err != nil {
		return false
	}
	return c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending == 0
}

// round drives r once.
func round(t *testing.T, r *receiver) {
	t.Helper()
	if _, err := r.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type deadLetter struct {
	Subject, Payload, Error, Header string
	HasEvent, InInbox               bool
	Deliveries, Attempts            int
	StreamSeq                       int64
	Published                       bool // a time that can be
}

func (b *bundle) deadLetters(t *testing.T) []deadLetter {
	t.Helper()
	return pgtest.Rows[deadLetter](t, b.pool, `
		SELECT subject, convert_from(payload, 'UTF8'), error, coalesce(headers->'ce-type'->>0, ''), event_id IS NOT NULL,
		       EXISTS (SELECT 1 FROM inbox i WHERE (i.consumer, i.event_id) = (d.consumer, d.event_id)), deliveries,
		       attempts, stream_seq, published_at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'
		FROM dead_letter d ORDER BY id`)
}
