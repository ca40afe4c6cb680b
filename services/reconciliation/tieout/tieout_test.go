package tieout_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

var update = flag.Bool("update", false, "rewrite the table in docs/tie-out.md")

func gbp(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }

// sold is an order that went well, and undone one that was taken back after it was paid.
func sold() tieout.Order {
	return tieout.Order{
		Phase: tieout.PhaseCompleted, Total: gbp(500), Payments: []tieout.Payment{{Currency: "GBP", Captured: 500}},
		Reservations: []tieout.Reservation{tieout.ReservationCommitted}, Shipments: []tieout.Shipment{tieout.ShipmentScheduled},
	}
}

func undone() tieout.Order {
	return tieout.Order{
		Phase: tieout.PhaseCompensated, Total: gbp(500), Payments: []tieout.Payment{{Currency: "GBP", Captured: 500, Refunded: 500}},
		Reservations: []tieout.Reservation{tieout.ReservationReleased}, Shipments: []tieout.Shipment{tieout.ShipmentCancelled},
	}
}

// paid is a recurring payment that went well.
func paid() tieout.Order {
	return tieout.Order{
		Recurring: true, Phase: tieout.PhaseCompleted, Total: gbp(500), Payments: []tieout.Payment{{Currency: "GBP", Captured: 500}},
	}
}

// divergence is an order that is changed, and what does not tie in it then: rule, what, remedy and amount.
type divergence struct {
	name   string
	order  tieout.Order
	change func(*tieout.Order)
	want   []string
}

func tied() []divergence {
	return []divergence{
		{"sold", sold(), func(*tieout.Order) {}, nil},
		{"sold, and refunded by a person", sold(), func(o *tieout.Order) { o.Payments[0].Refunded = 500 }, nil},
		{"sold, and charged back", sold(), func(o *tieout.Order) { o.Payments[0].ChargedBack = 500 }, nil},
		{"sold, and brought back", sold(), func(o *tieout.Order) { o.Shipments[0] = tieout.ShipmentReturned }, nil},
		{"sold, after another shipment was cancelled", sold(), func(o *tieout.Order) { o.Shipments = append(o.Shipments, tieout.ShipmentCancelled) }, nil},
		{"undone", undone(), func(*tieout.Order) {}, nil},
		{"undone before anything", tieout.Order{Phase: tieout.PhaseCompensated, Total: gbp(500)}, func(*tieout.Order) {}, nil},
		{"undone by the customer's bank", undone(), func(o *tieout.Order) {
			o.Payments[0] = tieout.Payment{Currency: "GBP", Captured: 500, ChargedBack: 500}
		}, nil},
		{"paid", paid(), func(*tieout.Order) {}, nil},
		{"running with effects of all kinds", sold(), func(o *tieout.Order) { o.Phase = tieout.PhaseRunning }, nil},
		{"a refund in doubt", sold(), func(o *tieout.Order) { o.Payments, o.Unsettled = nil, true }, nil},
		{"parked before anything", tieout.Order{Phase: tieout.PhaseParked, Total: gbp(500)}, func(*tieout.Order) {}, nil},
		{"no such order, and nothing was done", tieout.Order{}, func(*tieout.Order) {}, nil},
	}
}

func diverging() []divergence {
	return []divergence{
		{"no such order", sold(), func(o *tieout.Order) { o.Phase = tieout.PhaseNone }, []string{"effect-without-order||a person decides|5.00 GBP"}},
		{"more refunded than captured", sold(), func(o *tieout.Order) { o.Payments[0].Refunded = 600 },
			[]string{"refunded-more-than-captured||a person decides|-1.00 GBP"}},
		{"charged twice", sold(), func(o *tieout.Order) { o.Payments = append(o.Payments, o.Payments[0]) },
			[]string{"done-twice||a person decides|5.00 GBP", "captured-not-as-placed||a person decides|5.00 GBP"}},
		{"shipped twice", sold(), func(o *tieout.Order) { o.Shipments = append(o.Shipments, tieout.ShipmentScheduled) },
			[]string{"done-twice||a person decides|0.00 GBP"}},
		{"paid, not shipped", sold(), func(o *tieout.Order) { o.Shipments = nil }, []string{"paid-not-shipped||a person decides|5.00 GBP"}},
		{"paid, the shipment cancelled", sold(), func(o *tieout.Order) { o.Shipments[0] = tieout.ShipmentCancelled },
			[]string{"paid-not-shipped||a person decides|5.00 GBP"}},
		{"parked, paid and not shipped", sold(), func(o *tieout.Order) {
			o.Phase, o.Shipments, o.Reservations = tieout.PhaseParked, nil, []tieout.Reservation{tieout.ReservationHeld}
		}, []string{"paid-not-shipped||retry the saga|5.00 GBP", "reserved-never-released||retry the saga|0.00 GBP"}},
		{"shipped, not paid", sold(), func(o *tieout.Order) { o.Payments = nil }, []string{"shipped-not-paid||a person decides|-5.00 GBP"}},
		{"parked, shipped and not paid", sold(), func(o *tieout.Order) {
			o.Phase, o.Payments[0], o.Reservations[0] = tieout.PhaseParked, tieout.Payment{Currency: "GBP", SetAside: 500}, tieout.ReservationHeld
		}, []string{"shipped-not-paid||retry the saga|-5.00 GBP", "reserved-never-released||retry the saga|0.00 GBP"}},
		{"completed, and nothing was done", tieout.Order{Phase: tieout.PhaseCompleted, Total: gbp(500)}, func(*tieout.Order) {},
			[]string{"completed-not-paid||a person decides|-5.00 GBP", "completed-not-taken-out||a person decides|0.00 GBP"}},
		{"a part captured", sold(), func(o *tieout.Order) { o.Payments[0].Captured = 400 }, []string{"captured-not-as-placed||a person decides|-1.00 GBP"}},
		{"captured in another currency", sold(), func(o *tieout.Order) { o.Payments[0].Currency = "EUR" },
			[]string{"shipped-not-paid||a person decides|-5.00 GBP", "captured-not-as-placed||a person decides|5.00 EUR"}},
		{"not taken out of the stock", sold(), func(o *tieout.Order) { o.Reservations[0] = tieout.ReservationHeld },
			[]string{"completed-not-taken-out||a person decides|0.00 GBP"}},
		{"sold, and the stock is back", sold(), func(o *tieout.Order) { o.Reservations[0] = tieout.ReservationReleased },
			[]string{"completed-not-taken-out||a person decides|0.00 GBP"}},
		{"undone but for the money", undone(), func(o *tieout.Order) { o.Payments[0].Refunded = 200 },
			[]string{"compensated-with-net-effect|money|refund the payment|3.00 GBP"}},
		{"undone twice", undone(), func(o *tieout.Order) { o.Payments[0].ChargedBack = 500 },
			[]string{"compensated-with-net-effect|money|refund the payment|-5.00 GBP"}},
		{"undone but for what is set aside", undone(), func(o *tieout.Order) { o.Payments[0] = tieout.Payment{Currency: "GBP", SetAside: 500} },
			[]string{"compensated-with-net-effect|money set aside|void the payment|5.00 GBP"}},
		{"undone but for the shipment", undone(), func(o *tieout.Order) { o.Shipments[0] = tieout.ShipmentScheduled },
			[]string{"compensated-with-net-effect|shipment|cancel the shipment|-5.00 GBP"}},
		{"undone but for the stock", undone(), func(o *tieout.Order) { o.Reservations[0] = tieout.ReservationCommitted },
			[]string{"compensated-with-net-effect|stock|a person decides|0.00 GBP"}},
		{"undone, and still reserved", undone(), func(o *tieout.Order) { o.Reservations[0] = tieout.ReservationHeld },
			[]string{"reserved-never-released||a person decides|0.00 GBP"}},
		{"recurring, not paid", paid(), func(o *tieout.Order) { o.Payments = nil }, []string{"completed-not-paid||a person decides|-5.00 GBP"}},
		{"recurring, refused and paid", paid(), func(o *tieout.Order) { o.Phase = tieout.PhaseCompensated },
			[]string{"compensated-with-net-effect|money|refund the payment|5.00 GBP"}},
		{"recurring, parked and paid", paid(), func(o *tieout.Order) { o.Phase = tieout.PhaseParked }, []string{"paid-and-parked||retry the saga|5.00 GBP"}},
	}
}

func TestDivergences_AreWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tt := range append(tied(), diverging()...) {
		tt.change(&tt.order)
		var got []string
		for _, d := range tt.order.Divergences() {
			got = append(got, fmt.Sprintf("%s|%s|%s|%s", d.Rule, d.What, d.Remedy, d.Amount))
			seen[d.Rule+d.What] = true
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, r := range tieout.Rules() {
		if !seen[r.Name+r.What] {
			t.Errorf("no order breaks rule %s %s", r.Name, r.What)
		}
	}
}

var (
	reservation, shipment, payment = tieout.ID{1}, tieout.ID{2}, tieout.ID{3}
	everything                     = tieout.Facts{
		Told:        tieout.Placed | tieout.Held | tieout.Authorized | tieout.Scheduled | tieout.Committed | tieout.Completed,
		Reservation: reservation, Shipment: shipment, Payment: payment, Currency: "GBP", Total: 500, Authorized: 500, Captured: 500,
	}
)

func TestFacts_AreJudged(t *testing.T) {
	t.Parallel()
	const overdue = time.Hour
	with := func(change func(*tieout.Facts)) tieout.Facts {
		f := everything
		change(&f)
		return f
	}
	tests := []struct {
		name  string
		facts tieout.Facts
		age   time.Duration
		want  tieout.Verdict
	}{
		{"everything", everything, 0, tieout.Tied},
		{"nothing but that it was placed", tieout.Facts{Told: tieout.Placed, Currency: "GBP", Total: 500}, time.Minute, tieout.InFlight},
		{"the same, overdue", tieout.Facts{Told: tieout.Placed, Currency: "GBP", Total: 500}, overdue, tieout.Doubtful},
		{"not ended", with(func(f *tieout.Facts) { f.Told &^= tieout.Completed }), time.Minute, tieout.InFlight},
		{"not placed", with(func(f *tieout.Facts) { f.Told &^= tieout.Placed }), 0, tieout.Doubtful},
		{"not captured", with(func(f *tieout.Facts) { f.Captured = 0 }), 0, tieout.Doubtful},
		{"not committed", with(func(f *tieout.Facts) { f.Told &^= tieout.Committed }), 0, tieout.Doubtful},
		{"not scheduled", with(func(f *tieout.Facts) { f.Told, f.Shipment = f.Told&^tieout.Scheduled, tieout.ID{} }), 0, tieout.Doubtful},
		{"several", with(func(f *tieout.Facts) { f.Told |= tieout.Several }), 0, tieout.Doubtful},
		{"completed and compensated", with(func(f *tieout.Facts) { f.Told |= tieout.Compensated }), 0, tieout.Doubtful},
		{"refunded, and the capture was not told", with(func(f *tieout.Facts) { f.Captured, f.Refunded = 0, 500 }), 0, tieout.Doubtful},
		{"parked once, and completed", with(func(f *tieout.Facts) { f.Told |= tieout.Parked }), 0, tieout.Tied},
		{"parked with effects", with(func(f *tieout.Facts) { f.Told = f.Told&^tieout.Completed&^tieout.Committed | tieout.Parked }), 0, tieout.Doubtful},
		{"parked with nothing", tieout.Facts{Told: tieout.Placed | tieout.Parked, Currency: "GBP", Total: 500}, 0, tieout.InFlight},
		{"compensated, all undone", tieout.Facts{
			Told:        tieout.Placed | tieout.Held | tieout.Released | tieout.Authorized | tieout.Voided | tieout.Compensated,
			Reservation: reservation, Payment: payment, Currency: "GBP", Total: 500, Authorized: 500,
		}, 0, tieout.Tied},
		{"recurring", tieout.Facts{Recurring: true, Told: tieout.Completed, Payment: payment, Currency: "GBP", Captured: 500}, 0, tieout.Tied},
		{"recurring, declined", tieout.Facts{Recurring: true, Told: tieout.Compensated | tieout.Declined, Payment: payment}, 0, tieout.Tied},
		{"recurring, the end not told", tieout.Facts{Recurring: true, Payment: payment, Currency: "GBP", Captured: 500}, overdue, tieout.Doubtful},
	}
	for _, tt := range tests {
		if got := tt.facts.Judge(tt.age, overdue); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Whatever comes first, and however often but for the sums, facts come to the same.
func TestFacts_JoinInAnyOrder(t *testing.T) {
	t.Parallel()
	anID := rapid.Custom(func(t *rapid.T) tieout.ID { return tieout.ID{byte(rapid.IntRange(0, 3).Draw(t, "id"))} })
	one := rapid.Custom(func(t *rapid.T) tieout.Facts {
		return tieout.Facts{
			Recurring: rapid.Bool().Draw(t, "recurring"), Told: tieout.Told(rapid.IntRange(0, int(tieout.Several)-1).Draw(t, "told")),
			Reservation: anID.Draw(t, "reservation"), Shipment: anID.Draw(t, "shipment"), Payment: anID.Draw(t, "payment"),
			Currency: rapid.SampledFrom([]money.Currency{"", "", "GBP", "EUR"}).Draw(t, "currency"),
			Total:    rapid.Int64Range(0, 5).Draw(t, "total"), Authorized: rapid.Int64Range(0, 5).Draw(t, "authorized"),
			Captured: rapid.Int64Range(0, 5).Draw(t, "captured"), ChargedBack: rapid.Int64Range(-5, 5).Draw(t, "charged back"),
		}
	})
	join := func(t *rapid.T, all []tieout.Facts) (f tieout.Facts) {
		for _, g := range all {
			var err error
			if f, err = f.Join(g); err != nil {
				t.Fatal(err)
			}
		}
		return f
	}
	rapid.Check(t, func(t *rapid.T) {
		told := rapid.SliceOfN(one, 1, 6).Draw(t, "told")
		want := join(t, told)
		again := told[0]
		again.Captured, again.Refunded, again.ChargedBack = 0, 0, 0 // its movements are known
		shuffled := rapid.Permutation(append(slices.Clone(told), again)).Draw(t, "shuffled")
		if diff := cmp.Diff(want, join(t, shuffled)); diff != "" {
			t.Fatalf("joined in another order (-want +got):\n%s", diff)
		}
		half := rapid.IntRange(0, len(told)).Draw(t, "half")
		both, err := join(t, told[:half]).Join(join(t, told[half:]))
		if diff := cmp.Diff(want, both); diff != "" || err != nil {
			t.Fatalf("joined by halves: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestFacts_SumsDoNotWrap(t *testing.T) {
	t.Parallel()
	for _, f := range []tieout.Facts{{Captured: math.MaxInt64}, {Refunded: math.MaxInt64}, {ChargedBack: math.MinInt64}} {
		g := tieout.Facts{Captured: min(f.Captured, 1), Refunded: min(f.Refunded, 1), ChargedBack: max(f.ChargedBack, -1)}
		if _, err := f.Join(g); !errors.Is(err, money.ErrOverflow) {
			t.Errorf("%+v and %+v: error %v", f, g, err)
		}
	}
}

func TestDocs_ShowTheRulesAsTheyAre(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../docs/tie-out.md", "<!-- printed from services/reconciliation/tieout; a test compares -->\n", "<!-- end of the table -->\n"
	var b strings.Builder
	b.WriteString("| rule | of | when the saga | does not tie | repaired by |\n|---|---|---|---|---|\n")
	for _, r := range tieout.Rules() {
		var phases, remedies []string
		for _, p := range r.Phases {
			phases = append(phases, map[bool]string{true: "does not exist", false: "is " + p.String()}[p == tieout.PhaseNone])
			remedies = append(remedies, string(r.RemedyIn(p)))
		}
		remedies = slices.Compact(remedies)
		name := r.Name
		if r.What != "" {
			name += ": " + r.What
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, r.Of, strings.Join(phases, ", "), r.Meaning, strings.Join(remedies, ", "))
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(committed), begin)
	table, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, b.String()); diff != "" {
		t.Errorf("%s is not what the rules say; run this test with -update (-committed +now):\n%s", path, diff)
	}
}
