package breaks_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

func keys() *rapid.Generator[[][16]byte] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [16]byte {
		return [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
	}), 0, 5)
}

func TestIdentity_DependsOnWhatItIsAboutAndNotOnTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ours, theirs := keys().Draw(t, "ours"), keys().Draw(t, "theirs")
		subject := rapid.String().Draw(t, "subject")
		id := breaks.Identity(breaks.AmountOver, subject, ours, theirs)
		if id[6]>>4 != 8 || id[8]>>6 != 2 {
			t.Fatalf("%x is no UUID of version 8", id)
		}
		shuffled := rapid.Permutation(ours).Draw(t, "shuffled")
		before := slices.Clone(shuffled)
		if breaks.Identity(breaks.AmountOver, subject, shuffled, theirs) != id {
			t.Fatal("the order of the movements counts")
		}
		if !reflect.DeepEqual(before, shuffled) {
			t.Fatal("the caller's keys are put in another order")
		}
		for what, other := range map[string][16]byte{
			"code":    breaks.Identity(breaks.AmountUnder, subject, ours, theirs),
			"subject": breaks.Identity(breaks.AmountOver, subject+"x", ours, theirs),
			"ours":    breaks.Identity(breaks.AmountOver, subject, append(slices.Clone(ours), [16]byte{1}), theirs),
			"theirs":  breaks.Identity(breaks.AmountOver, subject, ours, append(slices.Clone(theirs), [16]byte{1})),
		} {
			if other == id {
				t.Fatalf("the %s does not count", what)
			}
		}
		if len(ours) > 0 && breaks.Identity(breaks.AmountOver, subject, nil, append(slices.Clone(ours), theirs...)) == id {
			t.Fatal("the side does not count")
		}
	})
}

// Every state meets every verb.
func TestLife_IsWhatItIs(t *testing.T) {
	t.Parallel()
	const no = breaks.State(0)
	o, a, r, p, e := breaks.Open, breaks.Acknowledged, breaks.Resolving, breaks.PendingApproval, breaks.Resolved
	want := map[breaks.Verb][5]breaks.State{ // from open, acknowledged, resolving, pending approval, resolved
		breaks.Ack:     {a, no, no, no, no},
		breaks.Assign:  {a, a, no, no, no},
		breaks.Snooze:  {o, a, no, no, no},
		breaks.Resolve: {r, r, no, no, no},
		breaks.Propose: {p, p, no, no, no},
		breaks.Accept:  {e, e, no, no, no},
		breaks.Reopen:  {no, no, no, no, o},
		breaks.Approve: {no, no, no, r, no},
		breaks.Reject:  {no, no, no, a, no},
		breaks.See:     {o, a, r, p, o},
		breaks.Match:   {e, e, r, e, e},
		breaks.Vanish:  {e, e, r, e, e},
		breaks.Finish:  {no, no, e, no, no},
		breaks.Fail:    {no, no, a, no, no},
	}
	if len(want) != len(breaks.Verbs()) {
		t.Errorf("%d verbs, want %d", len(breaks.Verbs()), len(want))
	}
	for _, v := range breaks.Verbs() {
		for i, s := range breaks.States() {
			to, ok := breaks.Next(s, breaks.Matched, v)
			if ok != (want[v][i] != no) || ok && to != want[v][i] {
				t.Errorf("%s, %s: got %s, %t; want %s", s, v, to, ok, want[v][i])
			}
		}
	}
	for by, reopens := range map[breaks.Resolution]bool{
		breaks.Matched: true, breaks.Vanished: true, breaks.Repaired: true, breaks.Accepted: false, breaks.WrittenOff: false, breaks.Reposted: false,
	} {
		if to, ok := breaks.Next(e, by, breaks.See); !ok || (to == o) != reopens {
			t.Errorf("%s and seen again: %s, %t", by, to, ok)
		}
	}
	if why := breaks.Refusal(breaks.Resolved, breaks.Ack); !strings.Contains(why, "resolved") || !strings.Contains(why, "ack") {
		t.Errorf("refusal: %s", why)
	}
}

func TestTaxonomy_SaysEverythingOfEveryCode(t *testing.T) {
	t.Parallel()
	seen := map[breaks.Code]bool{}
	for _, k := range breaks.Taxonomy() {
		if seen[k.Code] || k.Meaning == "" || k.Action == "" || k.Severity < breaks.Low || k.Severity > breaks.Critical {
			t.Errorf("%+v", k)
		}
		seen[k.Code] = true
		if got, ok := breaks.Describe(k.Code); !ok || got.Code != k.Code {
			t.Errorf("%s is not described", k.Code)
		}
		if slices.Contains(k.Resolutions, breaks.Reposted) != (k.Against != "") {
			t.Errorf("%s: what may be reposted says against what", k.Code)
		}
	}
	if _, ok := breaks.Describe("NONE"); ok || len(seen) != 26 {
		t.Errorf("%d codes, want 26", len(seen))
	}
}

func TestBusinessDaysBetween_CountsLikeAWalkThroughTheDays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := breaks.Day(rapid.Int32Range(-30000, 30000).Draw(t, "from"))
		to := from + breaks.Day(rapid.Int32Range(-10, 60).Draw(t, "days"))
		holidays := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) breaks.Day {
			return from + breaks.Day(rapid.Int32Range(-5, 65).Draw(t, "holiday"))
		}), 0, 6, rapid.ID[breaks.Day]).Draw(t, "holidays")
		want := 0
		for d := from + 1; d <= to; d++ {
			if w := d.Time().Weekday(); w != time.Saturday && w != time.Sunday && !slices.Contains(holidays, d) {
				want++
			}
		}
		if got := breaks.BusinessDaysBetween(from, to, holidays); got != want {
			t.Fatalf("from %s to %s without %v: got %d, want %d", from.Time(), to.Time(), holidays, got, want)
		}
		p := breaks.DefaultPolicy()
		p.Holidays = holidays
		age := rapid.IntRange(0, 30).Draw(t, "age")
		last := p.OpenedBy(to, age)
		if p.Age(last, to) < age || age > 0 && p.Age(last+1, to) >= age {
			t.Fatalf("opened by %s it is %d old, and a day later %d; want %d", last.Time(), p.Age(last, to), p.Age(last+1, to), age)
		}
	})
}

func TestDay_IsThatOfUTC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]breaks.Day{
		"1970-01-01T00:00:00Z": 0, "1969-12-31T23:59:59Z": -1, "1970-01-02T00:30:00+01:00": 0, "2026-12-25T12:00:00Z": 20812,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := breaks.DayOf(at); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func TestPolicy_SeverityIsTheHighestOfCodeAmountAndAge(t *testing.T) {
	t.Parallel()
	p := breaks.DefaultPolicy()
	p.SeverityByAmount = map[money.Currency]breaks.Steps{"JPY": {Medium: 1, High: 2, Critical: 3}}
	for _, tt := range []struct {
		code   breaks.Code
		amount money.Amount
		age    int
		want   breaks.Severity
	}{
		{breaks.FeeVariance, money.Amount{}, 0, breaks.Low},
		{breaks.StateConflict, money.Amount{}, 0, breaks.Critical},
		{breaks.FeeVariance, money.Amount{Currency: "GBP", Minor: 9_999}, 2, breaks.Low},
		{breaks.FeeVariance, money.Amount{Currency: "GBP", Minor: 10_000}, 2, breaks.Medium},
		{breaks.FeeVariance, money.Amount{Currency: "GBP", Minor: -1_000_000}, 0, breaks.Critical},
		{breaks.FeeVariance, money.Amount{Currency: "GBP", Minor: math.MinInt64}, 0, breaks.Critical},
		{breaks.FeeVariance, money.Amount{Currency: "JPY", Minor: 2}, 0, breaks.High},
		{breaks.FeeVariance, money.Amount{}, 3, breaks.Medium},
		{breaks.FeeVariance, money.Amount{}, 10, breaks.Critical},
	} {
		if got := p.Severity(p.Base(tt.code, tt.amount), tt.age); got != tt.want {
			t.Errorf("%s of %d, %d days old: got %s, want %s", tt.code, tt.amount.Minor, tt.age, got, tt.want)
		}
	}
	if !p.NeedsApproval(money.Amount{Minor: -10_001}) || p.NeedsApproval(money.Amount{Minor: 10_000}) || !p.NeedsApproval(money.Amount{Minor: math.MinInt64}) {
		t.Error("the limit is not where it should be")
	}
}

func TestPolicy_SurvivesJSONAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := breaks.DefaultPolicy()
	p.Holidays = []breaks.Day{20812}
	p.SeverityByAmount = map[money.Currency]breaks.Steps{"JPY": {Medium: 1, High: 2, Critical: 3}}
	text, err := json.Marshal(p)
	if err != nil || !strings.Contains(string(text), `"2026-12-25"`) {
		t.Fatalf("%s, %v", text, err)
	}
	var again breaks.Policy
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("got %+v, %v", again, err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if json.Unmarshal([]byte(`{"holidays": ["25.12.2026"]}`), &again) == nil {
		t.Error("a day that is none is read")
	}
	for field, spoil := range map[string]func(*breaks.Policy){
		"severity_otherwise": func(p *breaks.Policy) { p.SeverityOtherwise = breaks.Steps{} },
		"severity_by_amount.GBP": func(p *breaks.Policy) {
			p.SeverityByAmount = map[money.Currency]breaks.Steps{"GBP": {Medium: 5, High: 4, Critical: 6}}
		},
		"severity_by_age":       func(p *breaks.Policy) { p.SeverityByAge.Critical = 10_001 },
		"write_off_limit_minor": func(p *breaks.Policy) { p.WriteOffLimitMinor = -1 },
		"holidays":              func(p *breaks.Policy) { p.Holidays = []breaks.Day{1, 2, 1} },
	} {
		bad := breaks.DefaultPolicy()
		spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	bad := breaks.DefaultPolicy()
	bad.SeverityByAmount = map[money.Currency]breaks.Steps{"XXL": bad.SeverityOtherwise}
	if bad.Validate() == nil {
		t.Error("a currency that is none is taken")
	}
}
