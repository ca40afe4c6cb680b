package money_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/tieout/tieout/pkg/money"
)

type row struct {
	code, numeric, exponent, name string
}

// table reads the data file by itself, so that the package is held to the file and not to its own reading of it.
func table(t testing.TB) []row {
	t.Helper()
	f, err := os.Open("iso4217.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, rec := range records[1:] {
		rows = append(rows, row{code: rec[0], numeric: rec[1], exponent: rec[2], name: rec[3]})
	}
	return rows
}

// currencies are all codes that are usable as money.
func currencies(t testing.TB) []money.Currency {
	t.Helper()
	var cs []money.Currency
	for _, r := range table(t) {
		if r.exponent != "" {
			cs = append(cs, money.Currency(r.code))
		}
	}
	return cs
}

func TestTable_IsWellFormedAndWhole(t *testing.T) {
	t.Parallel()
	rows := table(t)
	if got, want := len(rows), 178; got != want {
		t.Errorf("rows = %d, want %d", got, want)
	}
	if got, want := len(currencies(t)), 165; got != want {
		t.Errorf("codes with a minor unit = %d, want %d", got, want)
	}
	alpha, digits, exponent := regexp.MustCompile(`^[A-Z]{3}$`), regexp.MustCompile(`^\d{3}$`), regexp.MustCompile(`^[0-4]?$`)
	numerics := map[string]string{}
	for i, r := range rows {
		if !alpha.MatchString(r.code) || !digits.MatchString(r.numeric) || !exponent.MatchString(r.exponent) || r.name == "" {
			t.Errorf("malformed row %+v", r)
		}
		if i > 0 && rows[i-1].code >= r.code {
			t.Errorf("%s after %s: not in order or twice", r.code, rows[i-1].code)
		}
		if other, ok := numerics[r.numeric]; ok {
			t.Errorf("%s and %s share the number %s", other, r.code, r.numeric)
		}
		numerics[r.numeric] = r.code
	}
}

func TestExponent_IsThatOfISO4217(t *testing.T) {
	t.Parallel()
	exceptions := map[int][]money.Currency{
		0: {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"},
		3: {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"},
		4: {"CLF", "UYW"},
	}
	want := map[money.Currency]int{}
	for exponent, codes := range exceptions {
		for _, c := range codes {
			want[c] = exponent
		}
	}
	seen := currencies(t)
	for _, c := range seen {
		exponent, ok := want[c]
		if !ok {
			exponent = 2
		}
		if got := c.Exponent(); got != exponent {
			t.Errorf("%s has exponent %d, want %d", c, got, exponent)
		}
	}
	// What locale tables and older lists get wrong or lack.
	for _, c := range []money.Currency{
		"HUF", "IDR", "PKR", "LBP", "COP", "BOV", "CHE", "CHW", "COU", "MXV", "USN",
		"VES", "VED", "SLE", "ZWG", "XCD", "XCG", "XAD", "IQD", "CLF", "UYW", "UYI", "XPF",
	} {
		if !slices.Contains(seen, c) {
			t.Errorf("%s is missing from the table", c)
		}
	}
}

func TestParseCurrency_AcceptsExactlyTheCodesWithAMinorUnit(t *testing.T) {
	t.Parallel()
	for _, r := range table(t) {
		c, err := money.ParseCurrency(r.code)
		if r.exponent == "" {
			if !errors.Is(err, money.ErrUnknownCurrency) {
				t.Errorf("ParseCurrency(%q) = %q, %v; want ErrUnknownCurrency", r.code, c, err)
			}
			continue
		}
		if err != nil || string(c) != r.code || strconv.Itoa(c.Exponent()) != r.exponent {
			t.Errorf("ParseCurrency(%q) = %q, %v; want it with exponent %s", r.code, c, err, r.exponent)
		}
	}
}

func TestParseCurrency_RefusesWhatIsNotACode(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "gbp", "GB", "GBPX", " GBP", "GBP ", "826", "XAU", "XDR", "XXX", "XTS", "ZWL", "HRK", "€", "\xff\xff\xff"} {
		if c, err := money.ParseCurrency(code); !errors.Is(err, money.ErrUnknownCurrency) {
			t.Errorf("ParseCurrency(%q) = %q, %v; want ErrUnknownCurrency", code, c, err)
		}
	}
}

func TestExponent_PanicsRatherThanMisplaceThePoint(t *testing.T) {
	t.Parallel()
	for _, c := range []money.Currency{"", "XAU", "ABC"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Exponent of %q did not panic", string(c))
				}
			}()
			_ = c.Exponent()
		}()
	}
}

func TestCurrency_UnmarshalsOnlyKnownCodes(t *testing.T) {
	t.Parallel()
	var c money.Currency
	if err := json.Unmarshal([]byte(`"KWD"`), &c); err != nil || c != "KWD" {
		t.Errorf("KWD: got %q, %v", c, err)
	}
	if err := json.Unmarshal([]byte(`"XAU"`), &c); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("XAU: got %v, want ErrUnknownCurrency", err)
	}
	if c != "KWD" {
		t.Errorf("a refused code changed the currency to %q", c)
	}
}
