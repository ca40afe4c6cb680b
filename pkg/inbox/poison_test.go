package inbox

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// Every process that starts would grant new attempts, and an event that fails for ever would never come to rest.
func TestReceiver_CountsFailuresOverRestarts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	poison := event("pay_1")
	poison.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.publish(t, poison)
	failing := func(context.Context, *pg.Tx, []bus.Event) error { return errHandler }
	first := b.receiver(t, failing)
	round(t, first)
	first.close()
	if got := b.deadLetters(t); len(got) > 0 {
		t.Fatalf("got dead letters %+v after the first failure", got)
	}
	again := b.receiver(t, failing)
	waittest.Until(t, "the event is a dead letter", func() bool { round(t, again); return len(b.deadLetters(t)) > 0 })
	if n := pgtest.Column[int](t, b.pool, `SELECT failures FROM event_failure`)[0]; n != 2 {
		t.Errorf("counted %d failures, want 2", n)
	}
	if got := b.deadLetters(t)[0]; got.Attempts != 2 || got.Deliveries != 2 {
		t.Errorf("got dead letter %+v, want 2 attempts", got)
	}
	if got := pgtest.Column[string](t, b.pool, `SELECT traceparent FROM dead_letter`)[0]; got != poison.Traceparent {
		t.Errorf("got trace %q", got)
	}
}

// An event that ends processes before they can count its failure must not take others with it again and again.
func TestReceiver_TakesWhatWasDeliveredTooOftenAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deadly := event("pay_deadly")
	b.publish(t, deadly)
	dying := b.receiver(t, record)
	for n := 0; n < dying.consumer.MaxAttempts; { // as the server does when the process that had it is gone
		arrive(t, dying, 1)
		msgs, err := dying.supply.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range msgs {
			if err := msg.Nak(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	dying.close()
	b.publish(t, numbered(1, 2)...)
	var batches [][]string
	r := b.receiver(t, func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
		batches = append(batches, subjects(events))
		return record(ctx, tx, events)
	})
	waittest.Until(t, "all is acknowledged", func() bool { round(t, r); return b.settled(t) })
	if !slices.ContainsFunc(batches, func(batch []string) bool { return slices.Equal(batch, []string{deadly.Subject}) }) {
		t.Errorf("got batches %v, want %s in one of its own", batches, deadly.Subject)
	}
}

// Consumers choose by subject: what claims there to be something else is nobody's to take, and must not vanish.
func TestReceiver_BuriesAnEventOnTheSubjectOfAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msg := bus.Encode(event("pay_1"))
	msg.Subject = "evt.payment.payment.refunded.pay_2"
	if _, err := b.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	round(t, b.receiver(t, record))
	got := b.deadLetters(t)
	if len(got) != 1 || !strings.Contains(got[0].Error, "belongs on subject evt.payment.payment.captured.pay_1") {
		t.Errorf("got dead letters %+v", got)
	}
	b.wantEffects(t, []string{}...)
}

// buried is the message of the only dead letter.
func (b *bundle) buried(t *testing.T) Buried {
	t.Helper()
	rows := pgtest.Rows[struct {
		Subject string
		Headers map[string][]string
		Payload []byte
	}](t, b.pool, `SELECT subject, headers, payload FROM dead_letter`)
	if len(rows) != 1 {
		t.Fatalf("got %d dead letters, want 1", len(rows))
	}
	return Buried{Subject: rows[0].Subject, Headers: rows[0].Headers, Payload: rows[0].Payload}
}

// What was no event to one version may be one to the next; in the meantime it may have come another way.
func TestRedrive_TakesWhatBecameAnEventOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event("pay_1")
	msg := bus.Encode(e)
	msg.Header.Set("ce-specversion", "0.3")
	if _, err := b.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	round(t, b.receiver(t, record))
	m, in := b.buried(t), New(Config{Pool: b.pool}, consumer(record))
	redrive := func() (effect bool, err error) {
		err = pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error {
			_, effect, err = in.Redrive(t.Context(), tx, m)
			return err
		})
		return effect, err
	}
	if _, err := redrive(); err == nil || !strings.Contains(err.Error(), "specversion") {
		t.Errorf("got error %v, want that it is still no event", err)
	}
	m.Headers["ce-specversion"] = []string{"1.0"} // in the eyes of the next version
	for _, want := range []bool{true, false} {
		if effect, err := redrive(); err != nil || effect != want {
			t.Errorf("got effect %v, error %v; want effect %v", effect, err, want)
		}
	}
	b.wantEffects(t, "pay_1")
	m.Headers["ce-reference"] = []string{"\uFFFD"}
	if _, err := redrive(); err != errNotKept {
		t.Errorf("got error %v, want %v", err, errNotKept)
	}
}

func TestRedrive_RefusesAnotherEventThanTheBuriedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event("pay_1")
	msg := bus.Encode(e)
	err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error {
		_, _, err := New(Config{Pool: b.pool}, consumer(record)).Redrive(t.Context(), tx, Buried{
			Subject: msg.Subject, Headers: msg.Header, Payload: msg.Data, EventID: event("pay_2").ID,
		})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "it was buried as event") {
		t.Errorf("got %v", err)
	}
	b.wantEffects(t, []string{}...)
}
