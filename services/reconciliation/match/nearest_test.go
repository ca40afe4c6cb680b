package match_test

import (
	"fmt"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

func TestFinding_NamesTheNearest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows, of     string
		want         string // the name of the nearest; empty for none
		failed       string
		amount, days int
	}{
		"none":                    {rows: "ours a 500", of: "a"},
		"another amount":          {rows: "ours a 500 day:2\n theirs x 600", of: "a"},
		"the same amount, late":   {"ours a 500\n theirs x 500 day:40\n theirs y 500 day:45", "a", "x", `"day"`, 0, 20},
		"the same amount, before": {"ours a 500\n theirs x 500 day:3\n theirs y 500 day:45", "a", "x", `"day"`, 0, -17},
		"of theirs":               {"ours a 500 id:1\n theirs x 500 id:2", "x", "a", `"id"`, 0, 0},
		"by reference, late":      {"ours a 500 ref:1\n theirs x 500 ref:1 day:200\n theirs y 500 day:40", "a", "x", `"day"`, 0, 180},
		"by reference, taken": {
			"ours a 500 id:1 ref:1\n theirs x 500 id:1 ref:1\n theirs y 700 id:2 ref:1 day:30", "y", "a", `"id","amount","day","taken"`, 200, 10,
		},
		"the nearest amount": {
			"ours a 500 id:1 ref:1\n ours b 800 id:2 ref:1\n theirs x 500 id:1\n theirs z 800 id:2\n theirs y 690 id:3 ref:1",
			"y", "b", `"id","amount","taken"`, -110, 0,
		},
		"in doubt":   {"ours a 500 ref:1 doubt\n theirs x 400 ref:1", "x", "a", `"amount","standing"`, -100, 0},
		"references": {"ours a 500 ref:1\n ours b 500 ref:2\n theirs x 500 ref:3", "a", "x", `"reference"`, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, names := partition(t, c.rows)
			result, err := match.Run(in, match.DefaultBank())
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if c.want != "" {
				want = fmt.Sprintf(`{"row":"%x","failed":[%s],"amount":%d,"days":%d}`, matchtest.Line{Name: c.want}.Key(), c.failed, c.amount, c.days)
			}
			found := false
			for _, f := range result.Findings {
				if names.of(in.Ours, f.Ours)+names.of(in.Theirs, f.Theirs) == c.of {
					found = true
					if f.Nearest != want {
						t.Errorf("nearest %s, want %s", f.Nearest, want)
					}
				}
			}
			if !found {
				t.Errorf("no finding about %s: %q", c.of, names.say(in, &result))
			}
		})
	}
}

func TestMatch_SaysHowItWasProven(t *testing.T) {
	t.Parallel()
	for rows, want := range map[string]string{
		"ours a 500 key:1\n theirs x 500 key:1":                                                  "strong_id key key 1000 ",
		"ours a 500 id:1\n theirs x 500 parent:1":                                                "strong_id id parent 1000 ",
		"ours a 500 id:1\n theirs x 500 id:1 day:50":                                             "strong_id id id 950 ",
		"ours a 500 id:1 fee:3\n theirs x 500 id:1":                                              "strong_id id id 980 ",
		"ours a 500 ref:1\n theirs x 500 key:1":                                                  `composite reference key 950 {"by":"reference and amount"}`,
		"ours a 500\n theirs x 500":                                                              `composite id id 900 {"by":"amount and day"}`,
		"ours a 500\n theirs x 500 day:21":                                                       "window id id 900 ",
		"ours a 500\n theirs x 500\n theirs y 500 settled":                                       `composite id id 900 {"by":"amount and day"}`,
		"ours a 500 ref:1\n theirs x 300 ref:1\n theirs y 200 ref:1\n theirs z 1 ref:1":          `subset reference reference 900 {"of":3}`,
		"ours a 500 text:INV1042\n theirs x 500 text:inv_1042\n theirs y 500 text:inv_1 day:120": `composite id id 900 {"by":"amount and day"}`,
		"ours a 500 text:INV1042\n theirs x 500 text:inv_1042\n theirs y 500 text:inv_1":         `fuzzy id id 900 {"similarity":1000,"next":0}`,
		"ours a 500 text:Schneider\n theirs x 500 text:Schneyder\n theirs y 500":                 `fuzzy id id 799 {"similarity":888,"next":0}`,
		"theirs x -5 fee": `own id id 1000 {"own":"fee"}`,
	} {
		in, _ := partition(t, rows)
		result, err := match.Run(in, match.DefaultProvider())
		if err != nil {
			t.Fatal(err)
		}
		for m := range result.Matches() {
			if got := fmt.Sprintf("%s %s %s %d %s", m.Pass, m.OursBy, m.TheirsBy, m.Score, m.Evidence); got != want {
				t.Errorf("of %q: %s, want %s", rows, got, want)
			}
		}
		if result.Len() != 1 {
			t.Errorf("of %q: %d matches", rows, result.Len())
		}
	}
}

func TestResult_IsInTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 8, Cases: 2000, Breaks: 100}
	provider, _ := stages(t, c, 1)
	last, alone := int32(-1), false
	for m := range provider.result.Matches() {
		if len(m.Ours) == 0 && !alone {
			last, alone = -1, true
		}
		first := append(m.Ours, m.Theirs...)[0]
		if alone != (len(m.Ours) == 0) || first <= last {
			t.Fatalf("%d is after %d", first, last)
		}
		last = first
	}
	taken := 0
	for range provider.result.Matches() {
		if taken++; taken == 3 {
			break
		}
	}
	if taken != 3 || !alone {
		t.Errorf("%d matches were taken", taken)
	}
}
