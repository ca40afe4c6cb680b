package rules_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

func day(t testing.TB, text string) match.Day {
	t.Helper()
	var d breaks.Day
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return match.Day(d)
}

func text(d match.Day) string { return breaks.Day(d).Time().Format(time.DateOnly) }

func TestDefault_IsADocument(t *testing.T) {
	t.Parallel()
	document, err := rules.Default().Document()
	if err != nil {
		t.Fatal(err)
	}
	again, err := rules.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules.Default(), again); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if none, err := rules.Parse([]byte(`{"due": [{"stage": "bank"}], "fees": [], "holidays": []}`)); err != nil || len(none.Due) != 1 || none.Due[0].BusinessDays != 0 {
		t.Errorf("a list took over what was there by default: %+v, %v", none, err)
	}
	if empty, err := rules.Parse([]byte(`{}`)); err != nil || cmp.Diff(rules.Default(), empty) != "" {
		t.Errorf("an empty document is %+v, %v; want the default", empty, err)
	}
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for document, field := range map[string]string{
		`{`:                            "unexpected EOF",
		`[]`:                           "array",
		`{} {}`:                        "follows",
		`{"due": [{"stag": "bank"}]}`:  `"stag"`,
		`{"due": [{"stage": "moon"}]}`: "due[0].stage",
		`{"due": [{"stage": "bank", "business_days": -1}]}`:                                                 "due[0].business_days",
		`{"due": [{"stage": "bank", "business_days": 1.5}]}`:                                                "business_days",
		`{"due": [{"stage": "bank"}, {"stage": "bank", "kind": "gift"}]}`:                                   "gift",
		`{"fees": [{"currency": "XYZ", "rounding": "down"}]}`:                                               "fees[0].currency",
		`{"fees": [{"rate_ppm": 1000001, "rounding": "down"}]}`:                                             "fees[0].rate_ppm",
		`{"fees": [{"rate_ppm": 15000, "rounding": "sideways"}]}`:                                           "fees[0].rounding",
		`{"fees": [{"rate_ppm": 15000}]}`:                                                                   "fees[0].rounding",
		`{"fees": [{"fixed_minor": 20, "rounding": "down"}]}`:                                               "fees[0].currency",
		`{"fees": [{"fixed_minor": -1, "currency": "EUR", "rounding": "down"}]}`:                            "fees[0].fixed_minor",
		`{"rates": [{"from": "USD", "to": "XYZ", "rate": "0.92"}]}`:                                         "rates[0].to",
		`{"rates": [{"from": "USD", "to": "USD", "rate": "0.92"}]}`:                                         "rates[0].to",
		`{"rates": [{"from": "USD", "to": "EUR", "rate": "9e-1"}]}`:                                         "rates[0].rate",
		`{"rates": [{"from": "USD", "to": "EUR", "rate": 0.92}]}`:                                           "rate",
		`{"rates": [{"from": "USD", "to": "EUR", "rate": "1", "within_ppm": -1}]}`:                          "rates[0].within_ppm",
		`{"rates": [{"from": "USD", "to": "EUR", "rate": "1"}, {"from": "USD", "to": "EUR", "rate": "2"}]}`: "rates[1].from_day",
		`{"breaks": {"write_off_limit": 7}}`:                                                                `"write_off_limit"`,
		`{"breaks": {"write_off_limit_minor": -1}}`:                                                         "breaks: write_off_limit_minor",
		`{"breaks": {"holidays": ["2026-12-25"]}}`:                                                          "breaks.holidays",
		`{"provider": {"windo": {}}}`:                                                                       `"windo"`,
		`{"bank": {"stage": "provider"}}`:                                                                   "bank.stage",
		`{"bank": {"similarity": 0}}`:                                                                       "bank: similarity",
		`{"holidays": ["2026-12-25", "2026-12-25"]}`:                                                        "holidays",
		`{"holidays": ["2026-02-30"]}`:                                                                      "2026-02-30",
	} {
		_, err := rules.Parse([]byte(document))
		if !errors.Is(err, rules.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v; want ErrInvalid that names %s", document, err, field)
		}
	}
}

func TestTerms_TakeTheFirstEntryThatFits(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse([]byte(`{
		"due": [
			{"stage": "provider", "account": "slow", "kind": "refund", "business_days": 10},
			{"stage": "provider", "kind": "refund", "business_days": 5},
			{"stage": "provider", "business_days": 1},
			{"stage": "bank", "currency": "GBP", "business_days": 2}],
		"fees": [
			{"currency": "EUR", "kind": "charge", "rate_ppm": 15000, "fixed_minor": 20, "rounding": "down", "within_amount": true},
			{"kind": "charge", "rate_ppm": 29000, "rounding": "half_even"},
			{"kind": "refund", "rate_ppm": 0, "rounding": "down"}],
		"holidays": ["2026-12-25"]}`))
	if err != nil {
		t.Fatal(err)
	}
	thursday := day(t, "2026-12-24")
	for _, c := range []struct {
		stage             match.Stage
		account, currency string
		kind              match.Kind
		due               string
	}{
		{"provider", "slow", "EUR", match.KindRefund, "2027-01-08"},
		{"provider", "default", "EUR", match.KindRefund, "2027-01-01"},
		{"provider", "default", "EUR", match.KindCharge, "2026-12-28"},
		{"bank", "default", "GBP", match.KindPayout, "2026-12-29"},
		{"bank", "default", "EUR", match.KindPayout, "2026-12-24"},
	} {
		terms := set.Terms(c.stage, c.account, c.currency)
		for range 2 { // the second time it is remembered
			if got := text(terms.Due(c.kind, thursday)); got != c.due {
				t.Errorf("%v: due on %s, want %s", c, got, c.due)
			}
		}
	}
	for _, c := range []struct {
		stage       match.Stage
		currency    string
		kind        match.Kind
		amount, fee int64
		known       bool
	}{
		{"provider", "EUR", match.KindCharge, 510, 27, true},
		{"provider", "EUR", match.KindCharge, 15, 15, true},  // no more than all
		{"provider", "JPY", match.KindCharge, 500, 14, true}, // 14.5
		{"provider", "EUR", match.KindRefund, -510, 0, true},
		{"provider", "EUR", match.KindPayout, 510, 0, false},
		{"bank", "EUR", match.KindCharge, 510, 0, false},
	} {
		fee, known, err := set.Terms(c.stage, "default", c.currency).Fee(c.kind, c.amount)
		if fee != c.fee || known != c.known || err != nil {
			t.Errorf("%v: got %d, %v, %v", c, fee, known, err)
		}
	}
}

// TestFee_IsExact compares fees with those of exact arithmetic.
func TestFee_IsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64().Draw(t, "amount")
		rate := rapid.Int64Range(0, 1_000_000).Draw(t, "rate")
		fixed := rapid.Int64Range(0, 1000).Draw(t, "fixed")
		rounding := rapid.SampledFrom([]rules.Rounding{rules.Down, rules.Up, rules.HalfUp, rules.HalfEven}).Draw(t, "rounding")
		set := rules.Default()
		set.Fees = []rules.Fee{{About: rules.About{Currency: "EUR"}, RatePPM: rate, FixedMinor: fixed, Rounding: rounding}}
		if err := set.Validate(); err != nil {
			t.Fatal(err)
		}
		million := big.NewInt(1_000_000)
		size := new(big.Int).Abs(big.NewInt(amount))
		want, rest := new(big.Int).QuoRem(new(big.Int).Mul(size, big.NewInt(rate)), million, new(big.Int))
		half := rest.Cmp(big.NewInt(500_000))
		if rounding == rules.Up && rest.Sign() > 0 || rounding == rules.HalfUp && half >= 0 ||
			rounding == rules.HalfEven && (half > 0 || half == 0 && want.Bit(0) == 1) {
			want.Add(want, big.NewInt(1))
		}
		want.Add(want, big.NewInt(fixed))
		got, known, err := set.Terms("provider", "a", "EUR").Fee(match.KindCharge, amount)
		if want.Cmp(big.NewInt(math.MaxInt64)) > 0 {
			if err == nil {
				t.Fatalf("got %d, want an overflow of %s", got, want)
			}
			return
		}
		if err != nil || !known || big.NewInt(got).Cmp(want) != 0 {
			t.Fatalf("got %d, %v, %v; want %s", got, known, err, want)
		}
	})
}

func TestCalendar_SkipsWeekendsAndHolidays(t *testing.T) {
	t.Parallel()
	set := rules.Default()
	set.Holidays = []breaks.Day{breaks.Day(day(t, "2026-01-01"))}
	calendar := set.Calendar()
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2025-12-31", 0, "2025-12-31"},
		{"2025-12-31", 1, "2026-01-02"},
		{"2025-12-31", 2, "2026-01-05"},
		{"2026-01-03", 0, "2026-01-03"}, // a Saturday
		{"2026-01-03", 1, "2026-01-05"},
		{"1969-12-26", 1, "1969-12-29"},
	} {
		if got := text(calendar.Add(day(t, c.from), c.n)); got != c.want {
			t.Errorf("%d business days after %s: got %s, want %s", c.n, c.from, got, c.want)
		}
	}
}

// FuzzParse holds that a document that is taken is one that can be written and read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{}`, `{"rates":[{"from":"USD","to":"EUR","from_day":"2026-11-01","rate":"0.92","within_ppm":7}]}`, `{"holidays":["2026-12-25"]}`, `{"due":[{"stage":"bank","kind":"payout","business_days":2}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := rules.Parse(document)
		if err != nil {
			return
		}
		text, err := set.Document()
		if err != nil {
			t.Fatal(err)
		}
		again, err := rules.Parse(text)
		if err != nil || cmp.Diff(set, again) != "" {
			t.Errorf("%s became %s: %v", document, text, err)
		}
	})
}
