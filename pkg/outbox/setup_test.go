package outbox

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is an outbox on its own database and a stream on its own server, which can be stopped.
type bundle struct {
	*Outbox
	js     jetstream.JetStream
	server *local.Server
	dir    string
	port   int
}

func setup(t *testing.T) *bundle {
	t.Helper()
	pool := pgtest.Pool(t, Migrations)
	b := &bundle{Outbox: newOutbox(pool), dir: filepath.Join(t.TempDir(), "nats")}
	b.startNATS(t)
	t.Cleanup(func() { b.server.Shutdown() })
	u, err := url.Parse(b.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if b.port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	b.js = bustest.Connect(t, b.server)
	b.ensureStream(t)
	return b
}

// newOutbox is a further process's outbox on the same database.
func newOutbox(pool *pgxpool.Pool) *Outbox {
	return New(Config{Pool: pool, Service: "payment"})
}

// startNATS starts the server, after the first time on the port it had before.
func (b *bundle) startNATS(t *testing.T) {
	t.Helper()
	var err error
	if b.server, err = local.Start(local.Options{Dir: b.dir, Port: b.port}); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) ensureStream(t *testing.T) {
	t.Helper()
	if err := bus.EnsureStream(t.Context(), b.js, 1); err != nil {
		t.Fatal(err)
	}
}

// awaitNATS waits until the client is connected again.
func (b *bundle) awaitNATS(t *testing.T) {
	t.Helper()
	waittest.Until(t, "nats is connected", func() bool { return b.js.Conn().FlushTimeout(time.Second) == nil })
}

// relay makes a relay that the test drives by hand.
func (b *bundle) relay(t *testing.T) *relay {
	t.Helper()
	r, err := newRelay(b.Outbox, b.js)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// run runs the outbox in the background until the test ends or stop is called.
func (b *bundle) run(t *testing.T, o *Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx, b.js) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func event(subject string) bus.Event {
	return bus.Event{Service: "payment", Entity: "payment", Name: "captured", Subject: subject, Data: []byte(subject)}
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

// write commits events.
func (b *bundle) write(t *testing.T, events ...bus.Event) {
	t.Helper()
	err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return b.Write(t.Context(), tx, events...) })
	if err != nil {
		t.Fatal(err)
	}
}

// relayAll drives r until nothing is unpublished.
func (b *bundle) relayAll(t *testing.T, r *relay) {
	t.Helper()
	for b.count(t, "published_at IS NULL") > 0 {
		if _, err := r.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// count counts rows of the outbox.
func (b *bundle) count(t *testing.T, where string) int {
	t.Helper()
	var n int
	if err := b.pool.QueryRow(t.Context(), "SELECT count(*) FROM outbox WHERE "+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// published gives all events in the stream, in its order.
func (b *bundle) published(t *testing.T) []bus.Event {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var events []bus.Event
	for seq := stream.CachedInfo().State.FirstSeq; seq > 0 && seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		e, err := bus.Decode(msg.Header, msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// wantPublished compares the subjects in the stream.
func (b *bundle) wantPublished(t *testing.T, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, subjects(b.published(t))); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
}

// awaitPublished waits until nothing is unpublished.
func (b *bundle) awaitPublished(t *testing.T) {
	t.Helper()
	waittest.Until(t, "all is published", func() bool { return b.count(t, "published_at IS NULL") == 0 })
}
