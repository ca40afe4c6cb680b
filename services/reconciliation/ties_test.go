package reconciliation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

func TestFacts_TieWhatWentWellWithoutAskingAnybody(t *testing.T) {
	f := setupTies(t)
	declined := f.place(100).reserve().decline().release().end("compensated")
	billed, refused := f.bill(300).capture().end("completed"), f.bill(300).decline().end("compensated")
	stories := []*story{f.sell(500), f.undo(250), declined, billed, refused}
	for _, s := range stories {
		f.tell(s.events...)
	}
	f.look(0)
	for _, s := range stories {
		f.wantState(s, "waits")
	}
	f.look(2 * time.Minute)
	for _, s := range stories {
		f.wantState(s, "tied")
	}
	if f.asked > 0 || f.healed() > 0 {
		t.Errorf("%d orders were asked about, and %d gaps healed", f.asked, f.healed())
	}
	want := []string{"charge booked 300", "charge booked 500", "charge refused 100", "charge refused 250", "charge refused 300"}
	if diff := cmp.Diff(want, f.movements()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	f.wantClean()
}

// Whatever comes first, and however often, the facts and movements are the same; and the database joins as Join does.
func TestFacts_AreTheSameInEveryOrderOfEvents(t *testing.T) {
	f := setupTies(t)
	kinds := []func() *story{
		func() *story { return f.sell(500) }, func() *story { return f.undo(250) },
		func() *story { return f.sell(700).refund(200).refund(100).dispute(400, 15) },
		func() *story {
			return f.place(90).reserve().doubt().resolve().ship().cancelShipment().refund(90).release().end("compensated")
		},
		func() *story { s := f.sell(10); s.reserve().ship(); return s }, // two of a kind
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(kinds).Draw(t, "story")()
		want, err := foldOf(s.events)
		if err != nil {
			t.Fatal(err)
		}
		events := slices.Concat(s.events, s.events[:rapid.IntRange(0, len(s.events)).Draw(t, "twice")])
		events = rapid.Permutation(events).Draw(t, "order")
		for len(events) > 0 {
			n := rapid.IntRange(1, len(events)).Draw(t, "batch")
			f.tell(events[:n]...)
			events = events[n:]
		}
		var got known
		err = pg.InTx(f.Context(), f.pool, func(tx *pg.Tx) error {
			got, _, err = newStore(tx).factsOf(f.Context(), subjectOf(s.subject))
			return err
		})
		if diff := cmp.Diff(want, got.facts); diff != "" || err != nil {
			t.Fatalf("facts: %v (-want +got):\n%s", err, diff)
		}
	})
	f.wantClean()
}

// foldOf joins what events tell, each once.
func foldOf(events []bus.Event) (tieout.Facts, error) {
	var told []telling
	var movements []ourMovement
	for _, e := range events {
		one, err := tellingFrom(e)
		if err != nil {
			return tieout.Facts{}, err
		}
		told, movements = append(told, one), append(movements, one.movements...)
	}
	all, err := joinTold(told, distinct(movements))
	for _, facts := range all {
		return facts, err
	}
	return tieout.Facts{}, err
}

func TestLook_LeavesAloneWhatIsInFlight(t *testing.T) {
	f := setupTies(t)
	running := f.place(500).reserve().authorize().ship() // shipped, and not paid
	f.tell(running.events...)
	for range 5 {
		f.look(2 * time.Minute)
	}
	f.wantState(running, "waits")
	if f.asked > 0 {
		t.Errorf("%d orders were asked about", f.asked)
	}
	f.look(time.Hour) // overdue: the orchestrator says that it still runs
	f.wantState(running, "waits")
	if f.asked != 1 || len(f.open) > 0 || f.healed() > 0 {
		t.Errorf("asked %d times, and sighted %v", f.asked, f.open)
	}
	running.capture().commit().end("completed")
	f.tell(running.events...)
	f.look(2 * time.Hour)
	f.wantState(running, "tied")
}

func TestLook_HealsWhatNoEventHasTold(t *testing.T) {
	tests := []struct {
		lost []string
		owed string // the owners whose gaps are told
	}{
		{[]string{"payment.captured"}, "ledger"}, {[]string{"order.placed"}, "orchestrator"}, {[]string{"shipment.scheduled"}, "shipment"},
		{[]string{"reservation.committed"}, "inventory"}, {[]string{"reservation.held", "reservation.committed"}, "inventory"},
		{[]string{"payment.authorized", "payment.captured", "shipment.scheduled"}, "ledger shipment"},
	}
	f := setupTies(t)
	for _, tt := range tests {
		s := f.sell(500)
		f.tell(s.without(tt.lost...)...)
		f.look(2 * time.Minute)
		f.wantState(s, "tied")
		owners := pgtest.Column[string](t, f.db, `SELECT convert_from(data, 'UTF8') FROM outbox WHERE entity = 'gap' AND subject = $1`, s.subject)
		for owner := range strings.FieldsSeq(tt.owed) {
			if !slices.ContainsFunc(owners, func(told string) bool { return strings.Contains(told, owner) }) {
				t.Errorf("%v was lost, and %q healed; want %s", tt.lost, owners, owner)
			}
		}
		// The event comes after all, and changes nothing.
		before := f.snapshot()
		f.tell(s.events...)
		if diff := cmp.Diff(before, f.snapshot()); diff != "" {
			t.Errorf("%v came late (-before +after):\n%s", tt.lost, diff)
		}
	}
	if len(f.open) > 0 {
		t.Errorf("sighted %v", f.open)
	}
	f.wantClean()
}

// snapshot is everything that is known.
func (f *tiesFixture) snapshot() []string {
	f.Helper()
	return slices.Concat(
		pgtest.Column[string](f.T, f.db, `SELECT f::text FROM order_fact f ORDER BY id`),
		pgtest.Column[string](f.T, f.db, `SELECT m::text FROM movement m ORDER BY id`),
		pgtest.Column[string](f.T, f.db, `SELECT m::text FROM ledger_minute m ORDER BY minute, currency, kind`))
}

func TestLook_SightsWhatTheOwnersConfirm(t *testing.T) {
	tests := []struct {
		name, rule string
		story      func(*business) *story
		amount     int64
	}{
		{"paid, not shipped", "paid-not-shipped", func(b *business) *story {
			return b.place(500).reserve().authorize().capture().commit().end("completed")
		}, 500},
		{"parked", "paid-not-shipped", func(b *business) *story { return b.place(500).reserve().capture().end("parked") }, 500},
		{"shipped, not paid", "shipped-not-paid", func(b *business) *story { return b.place(500).reserve().authorize().ship().end("parked") }, -500},
		{"still reserved", "reserved-never-released", func(b *business) *story { return b.place(500).reserve().end("compensated") }, 0},
		{"money kept", "compensated-with-net-effect", func(b *business) *story { return b.place(500).reserve().capture().release().end("compensated") }, 500},
		{"money set aside", "compensated-with-net-effect", func(b *business) *story { return b.place(500).reserve().authorize().release().end("compensated") }, 500},
		{"shipped all the same", "compensated-with-net-effect", func(b *business) *story { return b.place(500).ship().end("compensated") }, -500},
		{"not paid", "completed-not-paid", func(b *business) *story { return b.place(500).reserve().commit().end("completed") }, -500},
		{"charged twice", "done-twice", func(b *business) *story { s := b.sell(500); s.payment = nil; return s.capture() }, 500},
		{"refused and paid", "compensated-with-net-effect", func(b *business) *story { return b.bill(500).capture().end("compensated") }, 500},
		{"parked and paid", "paid-and-parked", func(b *business) *story { return b.bill(500).capture().end("parked") }, 500},
	}
	f := setupTies(t)
	for _, tt := range tests {
		s := tt.story(f.business)
		f.tell(s.events...)
		f.look(2 * time.Minute)
		f.wantState(s, "sighted")
		got := f.sighted(s.subject)
		if got.code != breaks.SagaDivergence || got.orderID != s.subject || got.amount.Minor != tt.amount || !strings.Contains(got.detail, `"rule":"`+tt.rule+`"`) {
			t.Errorf("%s: sighted %+v", tt.name, got)
		}
	}
	if n := f.healed(); n > 0 {
		t.Errorf("%d gaps were healed, and there were none", n)
	}
	f.wantClean()
}

func TestLook_VanishesWhenItTiesAgain(t *testing.T) {
	f := setupTies(t)
	told, silent := f.place(500).reserve().capture().end("parked"), f.place(500).reserve().capture().end("parked")
	f.tell(told.events...)
	f.tell(silent.events...)
	f.look(2 * time.Minute)
	f.wantState(told, "sighted")
	f.wantState(silent, "sighted")
	told.ship().commit().end("completed")
	silent.ship().commit().end("completed")
	f.tell(told.events...) // the events of the other one are lost
	f.look(2 * time.Minute)
	f.wantState(told, "tied")
	f.look(time.Hour)
	f.wantState(silent, "tied")
	if len(f.open) > 0 || f.vanished != 2 {
		t.Errorf("sighted %v, and %d have vanished", f.open, f.vanished)
	}
}

// What is sighted becomes a break, one an order, and is closed when it ties again.
func TestLook_OpensABreakAndClosesIt(t *testing.T) {
	f := setupTies(t)
	f.report = f.reconciliation.sight
	s := f.place(500).reserve().capture().end("parked")
	f.tell(s.events...)
	states := func() string {
		return fmt.Sprint(pgtest.Column[string](t, f.db, `SELECT concat_ws(' ', code, subject, amount_minor, currency, state) FROM break`))
	}
	for range 2 {
		f.look(2 * time.Hour)
		wantWords(t, "breaks", states(), fmt.Sprintf("[SAGA_DIVERGENCE %s 500 GBP %d]", s.subject, breaks.Open))
	}
	f.tell(s.ship().commit().end("completed").events...)
	f.look(2 * time.Minute)
	f.wantState(s, "tied")
	wantWords(t, "breaks", states(), fmt.Sprintf("[SAGA_DIVERGENCE %s 500 GBP %d]", s.subject, breaks.Resolved))
	f.wantClean()
}

func TestLook_AsksAgainWhenAnOwnerDoesNotAnswer(t *testing.T) {
	f := setupTies(t)
	s := f.sell(500)
	f.tell(s.without("shipment.scheduled")...)
	f.trouble = func(method string, _ bool) error {
		if method == "ListShipments" {
			return lost()
		}
		return nil
	}
	f.look(2 * time.Minute)
	f.look(2 * time.Minute)
	f.wantState(s, "waits")
	if len(f.open) > 0 {
		t.Errorf("sighted %v, and nobody has confirmed it", f.open)
	}
	f.trouble = nil
	f.look(time.Hour)
	f.wantState(s, "tied")
}

// While many events wait, what is missing is late.
func TestLook_AsksNobodyWhileEventsWait(t *testing.T) {
	f := setupTies(t)
	s := f.sell(500)
	f.tell(s.without("payment.captured")...)
	for _, waits := range []func() (uint64, error){
		func() (uint64, error) { return manyWaiting + 1, nil }, func() (uint64, error) { return 0, lost() },
	} {
		f.waiting = waitsFor(waits)
		f.look(2 * time.Minute)
		f.wantState(s, "waits")
	}
	if f.asked > 0 {
		t.Errorf("%d orders were asked about", f.asked)
	}
	f.look(time.Hour) // and what is overdue is asked about all the same
	f.wantState(s, "tied")
}

// An order of which a person knows more than one reservation is asked about, and not judged by what is left of them.
func TestLook_AsksAboutWhatIsThereTwice(t *testing.T) {
	f := setupTies(t)
	s := f.sell(500)
	s.tell("inventory", "reservation", "held", newID("res"), nil) // by somebody else, who released it
	f.tell(s.events...)
	f.look(2 * time.Minute)
	f.wantState(s, "tied")
	if f.asked == 0 {
		t.Error("nobody was asked")
	}
}

func TestTakeIn_EventsOfAnotherVersionAreNoHarm(t *testing.T) {
	f := setupTies(t)
	s := f.place(500)
	s.tell("inventory", "reservation", "moved", newID("res"), nil)
	s.tell("payment", "payment", "blessed", newID("pay"), nil)
	s.events = append(s.events, f.strange()...)
	f.tell(s.events...)
	if got := f.movements(); len(got) > 0 {
		t.Errorf("movements %v", got)
	}
	f.wantClean()
}

// strange are events about nothing that is tied out.
func (f *tiesFixture) strange() []bus.Event {
	f.Helper()
	other := f.begin("xyz", 5)
	other.subject = "a customer's own words"
	return other.reserve().events
}

func TestMovements_AreInDoubtUntilItIsKnown(t *testing.T) {
	f := setupTies(t)
	s := f.place(500).reserve().doubt()
	f.tell(s.events...)
	if diff := cmp.Diff([]string{"charge in doubt 500"}, f.movements()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	s.resolve().ship().commit().end("completed")
	f.tell(s.events...)
	if diff := cmp.Diff([]string{"charge booked 500", "charge in doubt 500"}, f.movements()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	late := f.place(500).reserve().doubt()
	unknown := late.events[len(late.events)-1]
	f.tell(late.resolve().without("payment.unknown")...)
	f.tell(unknown) // when it is known already: runs see that it is settled
	want := []string{"charge booked 500", "charge booked 500", "charge in doubt 500", "charge in doubt 500"}
	if open := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM doubt WHERE NOT resolved`)[0]; open > 0 {
		t.Errorf("%d payments are in doubt", open)
	}
	if diff := cmp.Diff(want, f.movements()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	f.wantClean()
}

func TestMovements_AreAcceptedInOneDeliveryAfterAnother(t *testing.T) {
	f := setupTies(t)
	deliveries := func() string {
		return fmt.Sprint(pgtest.Column[string](t, f.db, `
SELECT d.state || ':' || d.rows || '=' || (SELECT count(*) FROM movement m WHERE m.id >> 32 = d.id) FROM delivery d ORDER BY d.id`))
	}
	f.tell(f.sell(500).events...)
	f.tell(f.sell(600).events...)
	if _, err := f.acceptOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantWords(t, "young deliveries", deliveries(), "[0:2=2]")
	f.exec(`UPDATE delivery SET created_at = created_at - interval '1 minute'`)
	if _, err := f.acceptOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.tell(f.sell(700).events...)
	wantWords(t, "deliveries", deliveries(), "[1:2=2 0:1=1]")
	ids := pgtest.Column[int64](t, f.db, `SELECT id & 4294967295 FROM movement ORDER BY id`)
	if diff := cmp.Diff([]int64{1, 2, 1}, ids); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}
