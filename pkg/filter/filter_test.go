package filter_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// colour is a kind that has names.
type colour uint8

const (
	red colour = iota + 1
	dark
)

// String implements fmt.Stringer.
func (c colour) String() string { return map[colour]string{red: "red", dark: "dark_green"}[c] }

var fields = filter.Fields{
	"colour":   filter.Named("t.colour", "COLOUR_", filter.SameLessOrMore, red, dark),
	"note":     filter.Text("t.note"),
	"paused":   filter.Truth("t.paused"),
	"amount":   filter.Valued("t.minor", "bigint", filter.SameLessOrMore, filter.WholeNumber),
	"currency": filter.Valued("t.currency", "text", filter.SameOrNot, filter.CurrencyValue),
	"at":       filter.Valued("t.at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
	"age":      filter.Valued("now() - t.at", "interval", filter.LessOrMore, filter.DurationValue),
}

func TestParse_WritesWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]filter.Filter{
		"":                             {Where: "true"},
		" \t ":                         {Where: "true"},
		" colour = red ":               {Text: "colour = red", Where: "t.colour = 1"},
		"colour>=COLOUR_DARK_GREEN":    {Text: "colour>=COLOUR_DARK_GREEN", Where: "t.colour >= 2"},
		`note = "x' OR true --"`:       {Where: "t.note = $1::text", Args: []any{"x' OR true --"}},
		"note : x":                     {Where: "strpos(lower(t.note), lower($1::text)) > 0", Args: []any{"x"}},
		"note : *":                     {Where: "t.note <> ''"},
		"paused = true":                {Where: "(t.paused)"},
		"paused != true":               {Where: "NOT (t.paused)"},
		"paused != false":              {Where: "(t.paused)"},
		"amount > -5 AND currency=eur": {Where: "(t.minor > $1::bigint AND t.currency = $2::text)", Args: []any{int64(-5), "EUR"}},
		"NOT amount = 1":               {Where: "NOT (t.minor = $1::bigint)", Args: []any{int64(1)}},
		`at < "2026-01-31T12:00:00Z"`:  {Where: "t.at < $1::timestamptz", Args: []any{time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}},
		`age > "15m"`:                  {Where: "now() - t.at > $1::interval", Args: []any{15 * time.Minute}},
		"amount=1 AND amount=2 OR note:x": {
			Where: "(t.minor = $1::bigint AND (t.minor = $2::bigint OR strpos(lower(t.note), lower($3::text)) > 0))", Args: []any{int64(1), int64(2), "x"},
		},
	} {
		if want.Text == "" {
			want.Text = strings.TrimSpace(text)
		}
		got, err := filter.Parse(text, fields)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestParse_RefusesNonsenseAndSaysWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		position int
		says     string
	}{
		"size = 5":                   {1, "no field size"},
		"colour":                     {1, "a comparison is missing"},
		"colour = blue":              {10, "is one of red, dark_green"},
		"colour : red":               {1, "only with = != < <= > >="},
		"note = 5":                   {8, "put the number in quotes"},
		`note = "a\x00"`:             {8, "no text"},
		"paused = 1":                 {10, "is true or false"},
		"amount = 1.5":               {10, "minor units"},
		"amount = many":              {10, "whole number"},
		"currency = pounds":          {12, "ISO 4217"},
		`at > "noon"`:                {6, "RFC 3339"},
		`age > "-5m"`:                {7, "a duration"},
		`age = "5m"`:                 {1, "only with < <= > >="},
		"paused = true amount = 1":   {15, "AND or OR is missing"},
		"(paused = true":             {15, "expected )"},
		"paused = ":                  {9, "too early"},
		"note = f(x)":                {8, "a value is missing"},
		"pg_sleep(10)":               {1, "no function"},
		`note : "éé" AND colour = x`: {26, "is one of"},
	} {
		_, err := filter.Parse(text, fields)
		e := rpcerrtest.Want(t, err, rpcerr.FilterInvalid, "filter")
		if e.Metadata["position"] != strconv.Itoa(want.position) || !strings.Contains(e.Message, want.says) {
			t.Errorf("%s: got position %s, want %d: %s, want %q in it", text, e.Metadata["position"], want.position, e.Message, want.says)
		}
		if !strings.HasSuffix(e.Message, "the fields are age, amount, at, colour, currency, note, paused") {
			t.Errorf("%s: the fields are not named: %s", text, e.Message)
		}
	}
}

func TestPageBehind_KnowsTheFilterThatTheTokenBelongsTo(t *testing.T) {
	t.Parallel()
	parsed := func(text string) filter.Filter {
		f, err := filter.Parse(text, fields)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := parsed("colour = red")
	token := rpc.PageToken(f.PageKey("17"))
	for text, want := range map[string]int{"": -1, token: 17} {
		if got, err := filter.PageBehind(f, text, -1, strconv.Atoi); err != nil || got != want {
			t.Errorf("token %q: got %d, %v; want %d", text, got, err, want)
		}
	}
	if got, err := filter.PageBehind(parsed(" colour = red "), token, -1, strconv.Atoi); err != nil || got != 17 {
		t.Errorf("space around the filter: got %d, %v", got, err)
	}
	for name, of := range map[string]struct {
		filter filter.Filter
		token  string
	}{
		"another filter":  {parsed("colour != red"), token},
		"no filter":       {filter.Filter{}, token},
		"no base64":       {f, "%"},
		"a key alone":     {f, rpc.PageToken("17")},
		"another's key":   {f, rpc.PageToken(f.PageKey("x"))},
		"nothing but key": {f, rpc.PageToken(" ")},
	} {
		_, err := filter.PageBehind(of.filter, of.token, -1, strconv.Atoi)
		if e := rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token"); e == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

var (
	notWord  = regexp.MustCompile(`(\$[0-9]+|[^a-zA-Z0-9])+`)
	ourWords = strings.Fields("true NOT AND OR t colour note paused minor currency at now strpos lower text bigint timestamptz interval 0 1 2") // of the fields above
)

// FuzzParse: whatever is written is either refused with a place in it, or is SQL with an argument for each number and
// nothing of the text in it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "colour = red", `note : "x" AND age > "15m"`, "NOT (amount >= 5 OR currency = JPY)", "a.b.c(d, (e)) = -0x7f",
		`"\xff" : '\0'`, "((((", "-paused=true", "\x00", `at < "2026-01-01T00:00:00Z" OR note:*`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := filter.Parse(text, fields)
		if err != nil {
			e, ok := rpcerr.FromError(err)
			if !ok || e.Reason != rpcerr.FilterInvalid {
				t.Fatalf("refused with %v", err)
			}
			if at, err := strconv.Atoi(e.Metadata["position"]); err != nil || at < 1 || at > len(text)+1 {
				t.Errorf("position %q in a text of %d bytes", e.Metadata["position"], len(text))
			}
			return
		}
		if n := strings.Count(got.Where, "$"); n != len(got.Args) {
			t.Errorf("%d places for %d arguments: %s", n, len(got.Args), got.Where)
		}
		for _, piece := range notWord.Split(got.Where, -1) {
			if piece != "" && !slices.Contains(ourWords, piece) {
				t.Errorf("%q of %q is in the SQL: %s", piece, text, got.Where)
			}
		}
	})
}
