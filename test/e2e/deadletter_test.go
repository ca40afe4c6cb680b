package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// A witness outside the service counts how often the effect of an event was written, also where the service itself would
// tolerate a second time. Until the operator mends it, the database refuses what an event about a strange parcel writes.
const strangeParcels = `
CREATE TABLE witness (n bigint GENERATED ALWAYS AS IDENTITY, subject text NOT NULL);
CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO witness (subject) VALUES (NEW.subject);
    RETURN NEW;
END $$;
CREATE TRIGGER witness BEFORE INSERT ON timeline FOR EACH ROW EXECUTE FUNCTION bear_witness();
ALTER TABLE timeline ADD CONSTRAINT no_strange_parcels CHECK (subject NOT LIKE 'shp_strange%')`

// poison is a message that is put on the stream by hand.
type poison struct {
	name string
	msg  *nats.Msg
	// buried is why each consumer gives it up.
	buried map[string]string
}

func handmade(service, entity, name, subject, reference string, data []byte) bus.Event {
	return bus.Event{
		ID: uuid.New(), Service: service, Entity: entity, Name: name, Subject: subject, Reference: reference, Time: time.Now(), Data: data,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

// altered is the message of an event, changed by hand.
func altered(e bus.Event, change func(*nats.Msg)) *nats.Msg {
	msg := bus.Encode(e)
	msg.Header.Del(nats.MsgIdHdr)
	change(msg)
	return msg
}

// poisons are of every kind; all claim to be about one order.
func poisons(order string) []poison {
	const timeline, facts, results = "orchestrator-timeline", "reconciliation-facts", "billing-results"
	captured := func(n int, data []byte) bus.Event {
		return handmade("payment", "payment", "captured", fmt.Sprintf("pay_poison%d", n), order, data)
	}
	both := func(why string) map[string]string { return map[string]string{timeline: why, facts: why} }
	return []poison{
		{"no event at all", &nats.Msg{Subject: "evt.payment.payment.captured.pay_poison1", Data: []byte("\x00garbage\xff")},
			both(`attribute specversion: "" is not 1.0`)},
		{"of an unknown version", altered(captured(2, nil), func(m *nats.Msg) { m.Header.Set("ce-type", "tieout.payment.payment.captured.v2") }),
			both(`attribute type: "tieout.payment.payment.captured.v2" is not`)},
		{"without an id", altered(captured(3, nil), func(m *nats.Msg) { m.Header.Del("ce-id") }), both(`attribute id: "" is not a UUID`)},
		{"too large", altered(captured(4, make([]byte, bus.MaxData+1)), func(*nats.Msg) {}), both("at most 524288 are allowed")},
		{"on the subject of another", altered(captured(5, nil), func(m *nats.Msg) { m.Subject = "evt.payment.payment.voided.pay_poison5" }),
			both("belongs on subject evt.payment.payment.captured.pay_poison5")},
		{"with a payload that is no message", bus.Encode(captured(6, []byte("no message"))), map[string]string{facts: "decoding event"}},
		{"with a payload that names no saga", bus.Encode(handmade("orchestrator", "recurring", "completed", "rcp_poison7", "", bus.Payload(
			&eventv1.RecurringPaymentCompleted{Reference: "bat_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f/1/1"}))), map[string]string{results: "invalid id"}},
		{"that the database refuses", bus.Encode(handmade("shipment", "shipment", "in_transit", "shp_strange", order, nil)),
			map[string]string{timeline: "no_strange_parcels"}},
	}
}

// Poison of every kind is put on the stream by hand, among the events of orders.
func TestDeadLetters_KeepPoisonAndHoldNothingUp(t *testing.T) {
	f := setup(t, func(c *service.Config) { c.Events.MaxAttempts, c.Log.Level = 2, "error" })
	desk, js := deadletterv1.NewDeadLetterServiceClient(f.conn), bustest.Connect(t, f.world.NATS)
	orchestrator := f.world.Pool["orchestrator"]
	if _, err := orchestrator.Exec(t.Context(), strangeParcels); err != nil {
		t.Fatal(err)
	}
	f.receive("MUG", 100)
	first := systemtest.End(t, f.orders, f.place("order-0000", "pm_ok", "GB", 1)).GetOrderId()

	all := poisons(first)
	for i, p := range all {
		publish(t, js, p.msg)
		id := f.place(fmt.Sprintf("order-%04d", i+1), "pm_ok", "GB", 1)
		if o := systemtest.End(t, f.orders, id); o.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			t.Errorf("behind poison %s an order ended as %s", p.name, o.GetState())
		}
		waittest.Until(t, "the timeline of an order behind the poison is whole", func() bool {
			return strings.HasSuffix(f.timeline(id), "order.completed")
		})
	}
	letters := map[string]*deadletterv1.DeadLetter{} // by name and consumer
	for _, p := range all {
		for consumer, why := range p.buried {
			l := f.deadLetter(desk, consumer, p.msg.Subject)
			letters[p.name+consumer] = l
			t.Logf("%-34s %-22s attempts %d, seq %d: %s", p.name, consumer, l.GetAttempts(), l.GetStreamSequence(), l.GetError())
			if !strings.Contains(l.GetError(), why) || l.GetState() != deadletterv1.DeadLetterState_DEAD_LETTER_STATE_OPEN ||
				string(l.GetPayload()) != string(p.msg.Data) || l.GetTraceparent() != p.msg.Header.Get("traceparent") || l.GetStreamSequence() == 0 {
				t.Errorf("%s at %s: got %.300s, want error %q", p.name, consumer, l, why)
			}
		}
	}
	open, err := desk.ListDeadLetters(t.Context(), &deadletterv1.ListDeadLettersRequest{Filter: "service = orchestrator AND state = open"})
	if err != nil || len(open.GetDeadLetters()) != 6 {
		t.Errorf("%d dead letters of the timeline (%v), want 6", len(open.GetDeadLetters()), err)
	}

	f.wantNothingVanished(js, "reconciliation", "reconciliation-facts")
	f.wantNothingVanished(js, "billing", "billing-results")
	f.redriveTwice(desk, letters["that the database refusesorchestrator-timeline"])
	f.discardAll(desk, "state = open")
	f.world.CheckInvariants(t, f.conn)
}

// wantNothingVanished wants each message that a consumer was given to be among the events it has seen, or a dead letter.
func (f *fixture) wantNothingVanished(js jetstream.JetStream, service, name string) {
	f.Helper()
	var subjects []string
	waittest.Until(f.T, name+" has nothing left to do", func() bool {
		c, err := js.Consumer(f.Context(), bus.Stream, name)
		if err != nil {
			return false
		}
		subjects = c.CachedInfo().Config.FilterSubjects
		return c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending == 0
	})
	stream, err := js.Stream(f.Context(), bus.Stream)
	if err != nil {
		f.Fatal(err)
	}
	var given uint64
	for _, s := range subjects {
		info, err := stream.Info(f.Context(), jetstream.WithSubjectFilter(s))
		if err != nil {
			f.Fatal(err)
		}
		for _, n := range info.State.Subjects {
			given += n
		}
	}
	kept := pgtest.Column[uint64](f.T, f.world.Pool[service], `
SELECT (SELECT count(*) FROM inbox WHERE consumer = '`+name+`') + (SELECT count(*) FROM dead_letter WHERE consumer = '`+name+`' AND event_id IS NULL)`)[0]
	f.Logf("%s was given %d messages and has kept %d", name, given, kept)
	if given != kept {
		f.Errorf("%s was given %d messages and has kept %d", name, given, kept)
	}
}

func publish(t *testing.T, js jetstream.JetStream, msg *nats.Msg) {
	t.Helper()
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// deadLetter waits for the dead letter of a consumer and a subject, and gives it whole.
func (f *fixture) deadLetter(desk deadletterv1.DeadLetterServiceClient, consumer, subject string) *deadletterv1.DeadLetter {
	f.Helper()
	var found []*deadletterv1.DeadLetter
	waittest.Until(f.T, subject+" is a dead letter of "+consumer, func() bool {
		page, err := desk.ListDeadLetters(f.Context(), &deadletterv1.ListDeadLettersRequest{
			Filter: fmt.Sprintf("consumer = %q AND subject = %q", consumer, subject),
		})
		found = page.GetDeadLetters()
		return err == nil && len(found) == 1
	})
	whole, err := desk.GetDeadLetter(f.Context(), &deadletterv1.GetDeadLetterRequest{DeadLetterId: found[0].GetDeadLetterId()})
	if err != nil {
		f.Fatal(err)
	}
	return whole.GetDeadLetter()
}

// redriveTwice redrives a dead letter before what it fails on is mended, and then by two people at once and once more.
func (f *fixture) redriveTwice(desk deadletterv1.DeadLetterServiceClient, l *deadletterv1.DeadLetter) {
	f.Helper()
	redrive := func(key string) deadletterv1.DeadLetterOutcome {
		answer, err := desk.RedriveDeadLetter(f.Context(), &deadletterv1.RedriveDeadLetterRequest{
			IdempotencyKey: key, DeadLetterId: l.GetDeadLetterId(), Reason: "the constraint is gone",
		})
		if err != nil {
			f.Error(err)
		}
		f.Logf("%s of %s: %s, attempts %d, %s", key, l.GetSubject(), answer.GetOutcome(), answer.GetDeadLetter().GetAttempts(), answer.GetDeadLetter().GetState())
		return answer.GetOutcome()
	}
	if got := redrive("too early"); got != deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_FAILED {
		f.Errorf("before it was mended: %s", got)
	}
	orchestrator := f.world.Pool["orchestrator"]
	if _, err := orchestrator.Exec(f.Context(), `ALTER TABLE timeline DROP CONSTRAINT no_strange_parcels`); err != nil {
		f.Fatal(err)
	}
	outcomes := make([]deadletterv1.DeadLetterOutcome, 2)
	var both sync.WaitGroup
	for i := range outcomes {
		both.Go(func() { outcomes[i] = redrive(fmt.Sprintf("redrive %d", i)) })
	}
	both.Wait()
	slices.Sort(outcomes)
	want := []deadletterv1.DeadLetterOutcome{
		deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_EFFECT, deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_NOTHING_TO_DO,
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		f.Errorf("outcomes of two redrives (-want +got):\n%s", diff)
	}
	if got := redrive("redrive once more"); got != deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_NOTHING_TO_DO {
		f.Errorf("once more: %s", got)
	}
	effects := pgtest.Column[int](f.T, orchestrator, `SELECT count(*)::int FROM witness WHERE subject = 'shp_strange'`)[0]
	f.Logf("effects after four redrives: %d", effects)
	if effects != 1 {
		f.Errorf("the event took effect %d times", effects)
	}
}

// discardAll discards what a filter finds, as planned.
func (f *fixture) discardAll(desk deadletterv1.DeadLetterServiceClient, filter string) {
	f.Helper()
	plan, err := desk.PlanDeadLetterOperation(f.Context(), &deadletterv1.PlanDeadLetterOperationRequest{
		IdempotencyKey: "plan/0001", Filter: filter, Verb: deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_DISCARD, Reason: "put there by hand",
	})
	if err != nil || len(plan.GetOperations()) != 3 {
		f.Fatalf("got %v, %v; want a plan for each of three services", plan, err)
	}
	for _, op := range plan.GetOperations() {
		_, err := desk.ApplyDeadLetterOperation(f.Context(), &deadletterv1.ApplyDeadLetterOperationRequest{
			IdempotencyKey: "apply/" + op.GetOperationId(), OperationId: op.GetOperationId(),
		})
		if err != nil {
			f.Fatal(err)
		}
		waittest.Until(f.T, "the operation has ended", func() bool {
			now, err := desk.GetDeadLetterOperation(f.Context(), &deadletterv1.GetDeadLetterOperationRequest{OperationId: op.GetOperationId()})
			return err == nil && now.GetOperation().GetEndTime() != nil && now.GetOperation().GetDone() == op.GetMatched()
		})
		f.Logf("discarded %d of %s", op.GetMatched(), op.GetService())
	}
}
