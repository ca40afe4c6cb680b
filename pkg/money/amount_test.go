package money_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
)

func gbp(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }

func TestParse_ReadsPlainDecimals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in       string
		currency money.Currency
		want     int64
	}{
		{"2.55", "GBP", 255},
		{"2.5", "GBP", 250},
		{"2", "GBP", 200},
		{"0", "GBP", 0},
		{"-0", "GBP", 0},
		{"-0.05", "GBP", -5},
		{"007.10", "GBP", 710},
		{"255", "JPY", 255},
		{"1.234", "KWD", 1234},
		{"1.2", "IQD", 1200},
		{"0.0001", "CLF", 1},
		{"3.1415", "UYW", 31415},
		{"92233720368547758.07", "GBP", math.MaxInt64},
		{"-92233720368547758.08", "GBP", math.MinInt64},
		{"-9223372036854775808", "JPY", math.MinInt64},
		{strings.Repeat("0", 100) + "1", "GBP", 100},
	}
	for _, tt := range tests {
		got, err := money.Parse(tt.in, tt.currency)
		want := money.Amount{Currency: tt.currency, Minor: tt.want}
		if err != nil || got != want {
			t.Errorf("Parse(%q, %s) = %v, %v; want %v", tt.in, tt.currency, got, err, want)
		}
	}
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		currency money.Currency
		want     error
		in       []string
	}{
		{"GBP", money.ErrSyntax, []string{
			"", "-", ".", "-.", ".5", "5.", "+1", " 1", "1 ", "1e3", "1_000", "1,000.00", "1.000,00", "--1", "1-",
			"1.2.3", "1.-2", "0x10", "NaN", "Inf", "٣", "£2.55", "2.55 GBP", "1\x00", "\xff",
		}},
		{"GBP", money.ErrTooManyDecimals, []string{"2.555", "2.550", "0.000", "-1.001"}},
		{"JPY", money.ErrTooManyDecimals, []string{"1.0", "0.5"}},
		{"GBP", money.ErrOverflow, []string{
			"92233720368547758.08", "-92233720368547758.09", "92233720368547759", strings.Repeat("9", 1000),
		}},
		{"XAU", money.ErrUnknownCurrency, []string{"1"}},
		{"", money.ErrUnknownCurrency, []string{"1"}},
	}
	for _, tt := range tests {
		for _, in := range tt.in {
			got, err := money.Parse(in, tt.currency)
			if !errors.Is(err, tt.want) || got != (money.Amount{}) {
				t.Errorf("Parse(%q, %q) = %v, %v; want %v", in, tt.currency, got, err, tt.want)
			}
			if err != nil && len(err.Error()) > 250 {
				t.Errorf("Parse of %d bytes has an error of %d bytes", len(in), len(err.Error()))
			}
		}
	}
}

func TestDecimal_HasAllDecimalsOfTheCurrency(t *testing.T) {
	t.Parallel()
	tests := []struct {
		currency money.Currency
		minor    int64
		want     string
	}{
		{"GBP", 255, "2.55"},
		{"GBP", 0, "0.00"},
		{"GBP", -5, "-0.05"},
		{"GBP", -100, "-1.00"},
		{"JPY", 255, "255"},
		{"JPY", 0, "0"},
		{"JPY", -7, "-7"},
		{"KWD", 1, "0.001"},
		{"CLF", 12345, "1.2345"},
		{"GBP", math.MaxInt64, "92233720368547758.07"},
		{"GBP", math.MinInt64, "-92233720368547758.08"},
		{"XOF", math.MinInt64, "-9223372036854775808"},
	}
	for _, tt := range tests {
		a := money.Amount{Currency: tt.currency, Minor: tt.minor}
		if got := a.Decimal(); got != tt.want {
			t.Errorf("%d %s: Decimal() = %q, want %q", tt.minor, tt.currency, got, tt.want)
		}
		if got, want := a.String(), tt.want+" "+string(tt.currency); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestString_NeverPanics(t *testing.T) {
	t.Parallel()
	if got, want := (money.Amount{Currency: "XAU", Minor: 3}).String(), `3 minor units of "XAU"`; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := (money.Amount{}).String(), `0 minor units of ""`; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestArithmetic_AtTheEdges(t *testing.T) {
	t.Parallel()
	const lowest, highest = math.MinInt64, math.MaxInt64
	type result func() (money.Amount, error)
	add := func(a, b int64) result { return func() (money.Amount, error) { return gbp(a).Add(gbp(b)) } }
	sub := func(a, b int64) result { return func() (money.Amount, error) { return gbp(a).Sub(gbp(b)) } }
	mul := func(a, n int64) result { return func() (money.Amount, error) { return gbp(a).Mul(n) } }
	neg := func(a int64) result { return func() (money.Amount, error) { return gbp(a).Neg() } }
	tests := []struct {
		name     string
		do       result
		want     int64
		overflow bool
	}{
		{"add", add(255, 45), 300, false},
		{"add to highest", add(highest-1, 1), highest, false},
		{"add past highest", add(highest, 1), 0, true},
		{"add past lowest", add(lowest, -1), 0, true},
		{"add lowest twice", add(lowest, lowest), 0, true},
		{"add extremes", add(lowest, highest), -1, false},
		{"sub", sub(100, 255), -155, false},
		{"sub lowest from -1", sub(-1, lowest), highest, false},
		{"sub lowest from 0", sub(0, lowest), 0, true},
		{"sub lowest from itself", sub(lowest, lowest), 0, false},
		{"sub past lowest", sub(lowest, 1), 0, true},
		{"mul", mul(255, 6), 1530, false},
		{"mul by zero", mul(lowest, 0), 0, false},
		{"mul of zero", mul(0, lowest), 0, false},
		{"mul lowest by 1", mul(lowest, 1), lowest, false},
		{"mul lowest by -1", mul(lowest, -1), 0, true},
		{"mul -1 by lowest", mul(-1, lowest), 0, true},
		{"mul to lowest", mul(-(1 << 62), 2), lowest, false},
		{"mul past highest", mul(1<<62, 2), 0, true},
		{"mul far past", mul(highest, highest), 0, true},
		{"neg", neg(-255), 255, false},
		{"neg highest", neg(highest), -highest, false},
		{"neg lowest", neg(lowest), 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.do()
			if tt.overflow {
				if !errors.Is(err, money.ErrOverflow) || got != (money.Amount{}) {
					t.Errorf("got %v, %v; want ErrOverflow", got, err)
				}
				return
			}
			if err != nil || got != gbp(tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, gbp(tt.want))
			}
		})
	}
}

func TestArithmetic_RefusesToMixCurrencies(t *testing.T) {
	t.Parallel()
	eur := money.Amount{Currency: "EUR", Minor: 1}
	_, add := gbp(1).Add(eur)
	_, sub := gbp(1).Sub(eur)
	_, sum := money.Sum("GBP", gbp(1), eur)
	_, unset := gbp(1).Add(money.Amount{})
	for name, err := range map[string]error{"Add": add, "Sub": sub, "Sum": sum, "Add of the zero Amount": unset} {
		if !errors.Is(err, money.ErrCurrencyMismatch) {
			t.Errorf("%s: got %v, want ErrCurrencyMismatch", name, err)
		}
	}
}

func TestSum_NeedsOnlyTheTotalToFit(t *testing.T) {
	t.Parallel()
	highest, lowest := gbp(math.MaxInt64), gbp(math.MinInt64)
	tests := []struct {
		xs   []money.Amount
		want money.Amount
	}{
		{nil, gbp(0)},
		{[]money.Amount{highest, highest, gbp(2), lowest, lowest}, gbp(0)},
		{[]money.Amount{lowest, lowest, highest, highest, gbp(1)}, gbp(-1)},
	}
	for _, tt := range tests {
		if got, err := money.Sum("GBP", tt.xs...); err != nil || got != tt.want {
			t.Errorf("Sum(%v) = %v, %v; want %v", tt.xs, got, err, tt.want)
		}
	}
	if got, err := money.Sum("GBP", highest, highest, gbp(2)); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("Sum past 64 bits = %v, %v; want ErrOverflow", got, err)
	}
}

func TestAmount_JSONNamesCurrencyAndMinorUnits(t *testing.T) {
	t.Parallel()
	type order struct {
		Price, Refund money.Amount
	}
	in := order{Price: gbp(255)}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Price":{"currency_code":"GBP","minor_units":255},"Refund":{"currency_code":"","minor_units":0}}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var out order
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("round trip = %+v, %v; want %+v", out, err, in)
	}
	for _, bad := range []string{
		`{"currency_code":"XXX","minor_units":1}`,
		`{"currency_code":"GBP","minor_units":2.55}`,
		`{"currency_code":"GBP","minor_units":9223372036854775808}`,
	} {
		var a money.Amount
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s was accepted as %v", bad, a)
		}
	}
}

func TestAmount_LogsReadably(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("captured", slog.Any("amount", gbp(255)))
	if !strings.Contains(buf.String(), `"amount":"2.55 GBP"`) {
		t.Errorf("log line %s does not show the amount", buf.String())
	}
}
