package reconciliation

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
)

// setupListening is a fixture that listens to the stream, and buries at once what it cannot take in.
func setupListening(t *testing.T) (*tiesFixture, jetstream.JetStream) {
	t.Helper()
	t.Parallel()
	var js jetstream.JetStream
	f := setupTiesWith(t, func(s *ties, env *service.Env) {
		js = env.JetStream
		s.waiting = waitingIn(env.JetStream)
		consumer := s.facts()
		consumer.MaxAttempts = 1
		env.Consume(consumer)
	})
	return f, js
}

// publish publishes events as the owners' relays do.
func (f *tiesFixture) publish(js jetstream.JetStream, events ...bus.Event) {
	f.Helper()
	for _, e := range events {
		waittest.Until(f.T, "the stream takes an event", func() bool {
			_, err := js.PublishMsg(f.Context(), bus.Encode(e))
			return err == nil
		})
	}
}

// drained waits until no event waits.
func (f *tiesFixture) drained() {
	f.Helper()
	waittest.Until(f.T, "all events are taken in", func() bool {
		n, err := f.waiting(f.Context())
		return err == nil && n == 0
	})
}

func TestListen_ACaptureAmongTheDeadLettersIsHealed(t *testing.T) {
	f, js := setupListening(t)
	s, strange := f.sell(500), f.sell(80)
	for i, e := range s.events {
		if e.Name == "captured" {
			s.events[i].Data = []byte("no message")
		}
	}
	strange.tell("shipment", "shipment", "in_transit", strange.shipment.GetShipmentId(), nil) // not listened to
	f.publish(js, s.events...)
	f.publish(js, strange.events...)
	waittest.Until(t, "the event is buried", func() bool {
		return len(pgtest.Column[string](t, f.db, `SELECT subject FROM dead_letter`)) == 1
	})
	f.drained()
	seen := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM inbox`)[0]
	if want := int64(len(s.events) + len(strange.events) - 1); seen != want {
		t.Errorf("%d events were taken in, want %d", seen, want)
	}
	f.look(2 * time.Minute)
	f.wantState(s, "tied")
	f.wantState(strange, "tied")
	if f.healed() != 1 || len(f.open) > 0 {
		t.Errorf("%d gaps are healed, and sighted %v", f.healed(), f.open)
	}
	f.exec(`
		WITH who AS (INSERT INTO dead_letter_action (dead_letter_id, actor, verb, reason, outcome) SELECT id, 'ada', 2, 'strange', 4 FROM dead_letter)
		UPDATE dead_letter SET state = 3, ended_at = now()`)
	f.wantClean()
}
