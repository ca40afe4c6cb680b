package money_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tieout/tieout/pkg/money"
)

func TestParsePastCurrency_KnowsWhatTheEuroReplacedAndWhatIsInUse(t *testing.T) {
	t.Parallel()
	for code, exponent := range map[string]int{"DEM": 2, "HRK": 2, "ITL": 0, "EUR": 2, "JPY": 0, "KWD": 3} {
		c, err := money.ParsePastCurrency(code)
		if err != nil || string(c) != code || c.Exponent() != exponent {
			t.Errorf("ParsePastCurrency(%q) = %q, %v; want it with exponent %d", code, c, err, exponent)
		}
	}
	for _, code := range []string{"", "dem", "XAU", "ABC", "BEF"} {
		if c, err := money.ParsePastCurrency(code); !errors.Is(err, money.ErrUnknownCurrency) || c != "" {
			t.Errorf("ParsePastCurrency(%q) = %q, %v; want ErrUnknownCurrency", code, c, err)
		}
	}
}

func TestPastCurrency_IsShownAndCountedButNotAcceptedForAPayment(t *testing.T) {
	t.Parallel()
	if c, err := money.ParseCurrency("DEM"); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("ParseCurrency(DEM) = %q, %v; want ErrUnknownCurrency", c, err)
	}
	if a, err := money.Parse("1.00", "DEM"); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("Parse in DEM = %v, %v; want ErrUnknownCurrency", a, err)
	}
	var a money.Amount
	if err := json.Unmarshal([]byte(`{"currency_code":"DEM","minor_units":1}`), &a); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("JSON in DEM = %v, %v; want ErrUnknownCurrency", a, err)
	}
	sum, err := money.Sum("DEM", money.Amount{Currency: "DEM", Minor: 250}, money.Amount{Currency: "DEM", Minor: -5})
	if err != nil || sum.String() != "2.45 DEM" {
		t.Errorf("2.50 DEM - 0.05 DEM = %v, %v; want 2.45 DEM", sum, err)
	}
}
