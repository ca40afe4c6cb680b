package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestRelay_PublishesInOrderOverManyWindows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := numbered(1, 2*window+10)
	b.write(t, events...)
	b.relayAll(t, b.relay(t))
	b.wantPublished(t, subjects(events))
	if n := b.count(t, fmt.Sprintf("stream_seq = seq AND stream_seq <= %d", len(events))); n != len(events) {
		t.Errorf("got the stream's sequence in %d rows, want %d", n, len(events))
	}
}

func TestRelay_PublishesWhatACrashLeftUnmarkedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, numbered(1, 5)...)
	crashing := b.relay(t)
	if _, err := crashing.lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := crashing.unpublished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if acked, err := crashing.publish(t.Context(), rows[:3]); err != nil || acked != 3 {
		t.Fatalf("got %d acknowledged, error %v", acked, err)
	}
	crashing.lock.Release()

	b.relayAll(t, b.relay(t))
	b.wantPublished(t, subjects(numbered(1, 5)))
}

func TestRelay_PublishesALateCommitter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	early, late := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error {
			err := b.Write(t.Context(), tx, event("pay_early_seq"))
			close(early)
			<-late
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-early
	b.write(t, event("pay_late_seq"))
	b.relayAll(t, r)
	b.wantPublished(t, []string{"pay_late_seq"})
	close(late)
	wg.Wait()
	b.relayAll(t, r)
	b.wantPublished(t, []string{"pay_late_seq", "pay_early_seq"})
}

func TestRelay_OneOfManyIsActiveAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.relay(t), b.relay(t)
	for _, r := range []*relay{first, second} {
		if _, err := r.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !first.lock.Held() || second.lock.Held() {
		t.Fatalf("got leading %v and %v, want the first alone", first.lock.Held(), second.lock.Held())
	}
	b.kill(t, first.lock.Conn())
	b.write(t, event("pay_1"))
	waittest.Until(t, "the second relay leads", func() bool {
		_, err := second.runOnce(t.Context())
		return err == nil && second.lock.Held()
	})
	if _, err := first.runOnce(t.Context()); err == nil || first.lock.Held() {
		t.Errorf("got leading %v, error %v from the relay whose connection was killed", first.lock.Held(), err)
	}
	b.relayAll(t, second)
	b.wantPublished(t, []string{"pay_1"})
}

// kill ends a connection from the server's side.
func (b *bundle) kill(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), "SELECT pg_terminate_backend($1)", int64(conn.PgConn().PID())); err != nil {
		t.Fatal(err)
	}
}

func TestRun_TwoAtOncePublishEachEventOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stopFirst := b.run(t, b.Outbox)
	b.run(t, newOutbox(b.pool))
	const writers, events = 4, 60
	var wg sync.WaitGroup
	half := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range events {
				e := event(fmt.Sprintf("pay_%d", w))
				e.Reference = fmt.Sprintf("%03d", i)
				err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return b.Write(t.Context(), tx, e) })
				if err != nil {
					t.Error(err)
				}
				if i == events/2 {
					half <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-half
	}
	stopFirst() // in the middle of the work the other one takes over, if it was not active already
	wg.Wait()
	b.awaitPublished(t)

	got := map[string][]string{}
	for _, e := range b.published(t) {
		got[e.Subject] = append(got[e.Subject], e.Reference)
	}
	for w := range writers {
		var want []string
		for i := range events {
			want = append(want, fmt.Sprintf("%03d", i))
		}
		if diff := cmp.Diff(want, got[fmt.Sprintf("pay_%d", w)]); diff != "" {
			t.Errorf("events of entity %d (-want +got):\n%s", w, diff)
		}
	}
}

func TestWrite_TellsTheActiveRelayOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	active := b.relay(t)
	if led, err := active.lead(t.Context()); !led || err != nil {
		t.Fatalf("got %t, %v", led, err)
	}
	other := New(Config{Pool: b.pool, Service: b.service})
	for o, tells := range map[*Outbox]bool{other: true, b.Outbox: false} {
		told, err := b.js.Conn().SubscribeSync(o.subject())
		if err != nil {
			t.Fatal(err)
		}
		stop, err := o.listen(b.js.Conn())
		if err != nil {
			t.Fatal(err)
		}
		if err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return o.Write(t.Context(), tx, event("pay_001")) }); err != nil {
			t.Fatal(err)
		}
		if err := b.js.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		if n, _, err := told.Pending(); err != nil || (n == 1) != tells {
			t.Errorf("the one whose relay is active %t told the others %d times (%v)", !tells, n, err)
		}
		stop()
	}
}

func TestRun_KeepsEventsWhileNATSIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, b.Outbox)
	b.write(t, numbered(1, 3)...)
	b.awaitPublished(t)
	b.server.Shutdown()
	b.write(t, numbered(4, 9)...)
	if n := b.count(t, "published_at IS NULL"); n != 6 {
		t.Errorf("got %d unpublished events, want 6", n)
	}
	b.startNATS(t)
	b.awaitPublished(t)
	b.wantPublished(t, subjects(numbered(1, 9)))
}

func TestRun_StartsWithoutNATS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.server.Shutdown()
	waittest.Until(t, "nats is gone", func() bool { return !b.js.Conn().IsConnected() })
	b.run(t, b.Outbox)
	b.write(t, event("pay_1"))
	b.startNATS(t)
	b.awaitPublished(t)
	b.wantPublished(t, []string{"pay_1"})
}

func TestRelay_StopsTheWindowAtAFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	b.write(t, numbered(1, 4)...)
	if _, err := r.lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.checkStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := r.unpublished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spoilt := slices.Clone(rows)
	spoilt[2].event.Service = "not a token" // no subject the stream would take
	acked, err := r.publish(t.Context(), spoilt)
	if err == nil || acked != 2 {
		t.Fatalf("got %d acknowledged, error %v, want 2 and an error", acked, err)
	}
	if err := r.mark(t.Context(), rows[:acked]); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "published_at IS NULL AND seq >= 3"); n != 2 || b.count(t, "published_at IS NULL") != 2 {
		t.Errorf("got %d unpublished of the last two rows", n)
	}
}

func TestRelay_MarksWhatWasPublishedWhenItIsToldToStop(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	b.write(t, event("pay_1"))
	if _, err := r.lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.checkStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := r.unpublished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	rows[0].streamSeq = 1
	if err := r.mark(stopped, rows); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "published_at IS NULL"); n != 0 {
		t.Errorf("got %d unpublished rows, want none", n)
	}
}
