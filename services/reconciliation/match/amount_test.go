package match_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

func TestComposite(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"reference in another place":   {rows: "ours a 500 ref:INV1\n theirs x 500 key:INV1 day:40", want: "composite a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"key in another place":         {rows: "ours a 500 key:INV1\n theirs x 500 id:INV1", want: "composite a=x"},
		"not with another amount":      {rows: "ours a 500 ref:INV1\n theirs x 501 key:INV1", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 501"},
		"not when another id differs":  {rows: "ours a 500 ref:INV1 id:1\n theirs x 500 key:INV1 id:2", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500"},
		"not of two":                   {rows: "ours a 500 ref:INV1\n ours b 500 ref:INV1\n theirs x 500 key:INV1", want: "AMBIGUOUS a,b|x -500"},
		"not of two, days apart":       {rows: "ours a 500 ref:INV1 day:1\n ours b 500 ref:INV1\n theirs x 500 key:INV1 day:99", want: "MISSING_AT_BANK a| -500\n MISSING_AT_BANK b| -500\n MISSING_INTERNALLY |x 500"},
		"amount and day":               {rows: "ours a 500\n theirs x 500\n ours b 600\n theirs y 600", want: "composite a=x\n composite b=y"},
		"not of two on a day":          {rows: "ours a 500\n theirs x 500\n theirs y 500", want: "AMBIGUOUS a|x,y 500"},
		"not with one on another day":  {rows: "ours a 500\n theirs x 500\n theirs y 500 day:25", want: "AMBIGUOUS a|x,y 500"},
		"nor one before":               {rows: "ours a 500\n theirs x 500\n ours b 500 day:15", want: "AMBIGUOUS a,b|x -500"},
		"but with one out of reach":    {rows: "ours a 500\n theirs x 500\n theirs y 500 day:26\n ours b 500 day:22 ref:1", want: "composite a=x\n window b=y"},
		"and the closest on demand":    {rows: "ours a 500\n theirs x 500\n theirs y 500 day:25", want: "composite a=x\n MISSING_INTERNALLY |y 500", rules: closest},
		"not when references differ":   {rows: "ours a 500 ref:1\n theirs x 500 ref:2", want: "REFERENCE_MISMATCH a|x 0"},
		"not when ids differ":          {rows: "ours a 500 id:1\n theirs x 500 id:2", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500"},
		"one without id":               {rows: "ours a 500 id:1\n theirs x 500", want: "composite a=x"},
		"mismatch in the window":       {rows: "ours a 500 ref:1\n theirs x 500 ref:2 day:25", want: "REFERENCE_MISMATCH a|x 0"},
		"not beyond it":                {rows: "ours a 500 ref:1\n theirs x 500 ref:2 day:26", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500"},
		"not of several":               {rows: "ours a 500 ref:1\n ours b 500 ref:3\n theirs x 500 ref:2", want: "MISSING_AT_BANK a| -500\n MISSING_AT_BANK b| -500\n MISSING_INTERNALLY |x 500"},
		"id differs, the key does not": {rows: "ours a 500 id:1 key:7\n theirs x 500 id:2 key:7", want: "REFERENCE_MISMATCH a|x 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func closest(r *match.Rules) { r.Closest = true }

func TestWindow(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"the only candidate":      {rows: "ours a 500\n theirs x 500 day:22", want: "window a=x"},
		"the window's last day":   {rows: "ours a 500\n theirs x 500 day:25", want: "window a=x"},
		"not the day after":       {rows: "ours a 500\n theirs x 500 day:26", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500"},
		"the window's first day":  {rows: "ours a 500\n theirs x 500 day:19", want: "window a=x"},
		"not the day before":      {rows: "ours a 500\n theirs x 500 day:18", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500"},
		"one of two whose id":     {rows: "ours a 500 id:1\n theirs x 500 id:2 day:21\n theirs y 500 day:21", want: "window a=y\n MISSING_INTERNALLY |x 500"},
		"not two that could swap": {rows: "ours a 500\n ours b 500 day:21\n theirs x 500 day:22\n theirs y 500 day:23", want: "AMBIGUOUS a,b|x,y 0"},
		"not a chain":             {rows: "ours a 500 day:10\n ours b 500 day:14\n theirs x 500 day:15\n theirs y 500 day:19", want: "AMBIGUOUS a,b|x,y 0"},
		"what is missing cannot make another": {
			// a and x belong together; o and m have nothing to do with each other. All four could be given to each other only crosswise.
			rows: "ours a 500\n theirs x 500\n ours o 500 id:1\n theirs m 500 id:2", want: "AMBIGUOUS a,o|m,x 0",
		},
		"the closest on demand": {
			rows: "ours a 500 day:10\n ours b 500 day:14\n theirs x 500 day:11\n theirs y 500 day:15", want: "window a=x\n window b=y", rules: closest,
		},
		"not when two are": {
			rows: "ours a 500 day:10\n ours b 500 day:11\n theirs x 500 day:12\n theirs y 500 day:13", want: "AMBIGUOUS a,b|x,y 0", rules: closest,
		},
		"the closest of two": {rows: "ours a 500\n theirs x 500 day:21\n theirs y 500 day:22", want: "window a=x\n MISSING_INTERNALLY |y 500", rules: closest},
		"the exact of two": {
			rows: "ours a 500\n theirs x 500 day:25\n theirs y 501 day:21", want: "window a=x\n MISSING_INTERNALLY |y 501",
			rules: func(r *match.Rules) { r.Closest, r.Tolerance.Minor = true, 1 },
		},
		"within the tolerance": {
			rows: "ours a 500\n theirs x 498 day:21\n ours b 10000\n theirs y 10011", want: "window a=x\n AMOUNT_UNDER* a|x -2\n window b=y\n AMOUNT_OVER* b|y 11",
			rules: func(r *match.Rules) { r.Tolerance = match.Tolerance{Minor: 2, BasisPoints: 9} },
		},
		"not beyond it": {
			rows: "ours a 500\n theirs x 497\n ours b -10000\n theirs y -10012", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 497\n MISSING_AT_BANK b| 10000\n MISSING_INTERNALLY |y -10012",
			rules: func(r *match.Rules) { r.Tolerance = match.Tolerance{Minor: 2, BasisPoints: 9} },
		},
		"two that carry the same, by their days": {
			rows: "ours a 500 ref:1\n ours b 500 ref:1 day:50\n theirs x 500 ref:1 day:22\n theirs y 500 ref:1 day:52", want: "window a=x\n window b=y",
		},
		"too many": {
			rows: "ours a 500\n theirs x 500\n theirs y 500", want: "AMBIGUOUS a| -500\n AMBIGUOUS |x 500\n AMBIGUOUS |y 500",
			rules: func(r *match.Rules) { r.ComponentLimit = 2 },
		},
		"off": {
			rows: "ours a 500\n theirs x 500 day:21", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 500",
			rules: func(r *match.Rules) { r.Passes = []match.Pass{match.PassStrongID} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func TestFuzzy(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"a number in the text": {
			rows: "ours a 500 text:INV-0042\n ours b 500 text:INV-0043\n theirs x 500 text:payment_of_inv_43\n theirs y 500 text:inv42/thanks",
			want: "fuzzy a=y\n fuzzy b=x",
		},
		"what is left is the only one": {
			rows: "ours a 500 text:INV-0142\n ours b 500 text:INV-0143\n theirs x 500 text:payment_of_inv_143\n theirs y 500", want: "window a=y\n fuzzy b=x",
		},
		"a name with a wrong letter": {
			rows: "ours a 500 text:Schneider\n ours b 500 text:Meierhofer\n theirs x 500 text:from_schnieder\n theirs y 500 text:from_nobody",
			want: "AMBIGUOUS a,b|x,y 0",
		},
		"a name with one letter wrong": {
			rows: "ours a 500 text:Schneider\n ours b 500 text:Meierhofer\n theirs x 500 text:from_schneyder\n theirs y 500 text:from_nobody",
			want: "fuzzy a=x\n window b=y",
		},
		"nothing is like nothing": {rows: "ours a 500\n theirs x 500\n theirs y 500 text:INV-0042", want: "AMBIGUOUS a|x,y 500"},
		"a number that differs":   {rows: "ours a 500 text:payment_of_invoice_1042\n theirs x 500 text:payment_of_invoice_1043\n theirs y 500", want: "AMBIGUOUS a|x,y 500"},
		"two that are alike":      {rows: "ours a 500 text:INV-1042\n theirs x 500 text:inv_1042\n theirs y 500 text:INV1042", want: "AMBIGUOUS a|x,y 500"},
		"only among candidates":   {rows: "ours a 500 text:INV-1042\n theirs x 501 text:inv_1042", want: "MISSING_AT_BANK a| -500\n MISSING_INTERNALLY |x 501"},
		"off": {
			rows: "ours a 500 text:INV-0142\n theirs x 500 text:INV-0142\n theirs y 500", want: "AMBIGUOUS a|x,y 500",
			rules: func(r *match.Rules) { r.Passes = []match.Pass{match.PassStrongID, match.PassWindow} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func TestSubset(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"two of ours in one":  {rows: "ours a 60000\n ours b 40000\n ours c 33333\n theirs x 100000", want: "subset a,b=x\n MISSING_AT_BANK c| -33333"},
		"one of ours in two":  {rows: "ours a 100000\n theirs x 60000\n theirs y 40000 day:22", want: "subset a=x,y"},
		"not out of the days": {rows: "ours a 100000\n theirs x 60000\n theirs y 40000 day:26", want: "MISSING_AT_BANK a| -100000\n MISSING_INTERNALLY |x 60000\n MISSING_INTERNALLY |y 40000"},
		"not where ids differ": {
			rows: "ours a 100000 id:1\n theirs x 60000 id:2\n theirs y 40000", want: "MISSING_AT_BANK a| -100000\n MISSING_INTERNALLY |x 60000\n MISSING_INTERNALLY |y 40000",
		},
		"not by chance": {rows: "ours a 1000\n theirs x 600\n theirs y 400", want: "MISSING_AT_BANK a| -1000\n MISSING_INTERNALLY |x 600\n MISSING_INTERNALLY |y 400"},
		"two ways": {
			rows: "ours a 100000\n theirs x 60000\n theirs y 40000\n theirs z 40000 day:21\n theirs w 70000",
			want: "AMBIGUOUS a| -100000\n MISSING_INTERNALLY |x 60000\n MISSING_INTERNALLY |y 40000\n MISSING_INTERNALLY |z 40000\n MISSING_INTERNALLY |w 70000",
		},
		"one for two": {
			rows: "ours a 100000\n ours b 90000\n theirs x 60000\n theirs y 40000\n theirs z 30000",
			want: "AMBIGUOUS a|x,y 0\n AMBIGUOUS b|x,z 0",
		},
		"by reference": {
			rows: "ours a 50 ref:1\n theirs x 20 ref:1\n theirs y 30 ref:1\n theirs z 7 ref:1", want: "subset a=x,y\n MISSING_INTERNALLY |z 7",
		},
		"by reference, two ways": {
			rows: "ours a 50 ref:1\n theirs x 20 ref:1\n theirs y 30 ref:1\n theirs z 10 ref:1\n theirs w 40 ref:1", want: "AMBIGUOUS a|w,x,y,z 50",
		},
		"with what was given back": {
			rows: "ours a 50 ref:1\n theirs x 70 ref:1\n theirs y -20 ref:1\n theirs z 7 ref:1", want: "subset a=x,y\n MISSING_INTERNALLY |z 7",
		},
		"over the budget": {
			rows: "ours a 50 ref:1\n theirs x 20 ref:1\n theirs y 30 ref:1\n theirs z 7 ref:1", want: "AMBIGUOUS a|x,y,z 7",
			rules: func(r *match.Rules) { r.Subset.Budget = 5 },
		},
		"more than are searched": {
			rows: "ours a 50 ref:1\n theirs x 20 ref:1\n theirs y 30 ref:1\n theirs z 7 ref:1", want: "SPLIT_INCOMPLETE a|x,y,z 7",
			rules: func(r *match.Rules) { r.Subset.Rows = 2 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func TestWindow_LooksAtNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	const n = 3000 // each may be each other's: nine million pairs
	var rows, want strings.Builder
	for i := range n {
		fmt.Fprintf(&rows, "ours a%d 500 day:%d\n theirs x%d 500 day:%d\n", i, 20+i%3, i, 20+i%5)
		fmt.Fprintf(&want, "AMBIGUOUS a%d| -500\n AMBIGUOUS |x%d 500\n", i, i)
	}
	_, result := example{rows: rows.String(), want: want.String()}.check(t, match.DefaultBank())
	if found := findingsOf(result, breaks.Ambiguous); found[0].Nearest != `{"why":"6000 rows may be each other's"}` {
		t.Error(found[0].Nearest)
	}
}

func TestStrongID_OfManyRowsTakesWhatIsAloneWithItsAmount(t *testing.T) {
	t.Parallel()
	var rows, want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&rows, "ours a%d %d ref:1\n theirs x%d %d ref:1\n", i, 100+i, i, 100+i)
		fmt.Fprintf(&want, "strong_id a%d=x%d\n", i, i)
	}
	rows.WriteString("ours b 500 ref:1\n ours c 500 ref:1\n theirs y 500 ref:1\n theirs z 500 ref:1\n ours d 600 ref:1\n theirs w 601 ref:1")
	want.WriteString("AMBIGUOUS b,c|y,z 0\n AMOUNT_OVER d|w 1")
	example{rows: rows.String(), want: want.String()}.check(t, match.DefaultBank())
}

func TestStrongID_OfTwoAndTwoOutOfTheWindowIsAmbiguous(t *testing.T) {
	t.Parallel()
	example{
		rows: "ours a 500 ref:1\n ours b 500 ref:1\n theirs x 500 ref:1 day:40\n theirs y 500 ref:1 day:41", want: "AMBIGUOUS a,b|x,y 0",
	}.check(t, match.DefaultBank())
}
