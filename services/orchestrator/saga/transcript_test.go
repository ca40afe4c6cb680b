package saga

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A transcript is a saga's life as a reviewer can read it: its script says what each call came to – an outcome, with
// "@" the time that it took – or that the client cancelled, and the rest is what the engine commanded and recorded.
var transcripts = []struct {
	def     Definition
	scripts map[string]string
}{
	{testDefinition(), map[string]string{
		"happy":                          "success success success success",
		"refused at reserve":             "refusal",
		"refused at charge":              "success refusal success",
		"refused at ship":                "success success refusal success success",
		"charge unknown then done":       "success unknown success success success",
		"charge unknown to the end":      "success unknown unknown unknown success success",
		"charge was never heard of":      "success not-found success",
		"cancelled while charge is open": "success cancel success success",
		"charge pending then done":       "success pending pending unknown pending success success success",
		"charge pending then refused":    "success pending refusal success",
		"charge pending past the deadline, its refund pending too":        "success pending@29m59s pending pending pending success success",
		"cancelled while charge is pending":                               "success pending cancel success success",
		"ship unknown, looked up: done":                                   "success success unknown success success",
		"ship unknown, looked up: not found, executed again":              "success success unknown not-found success success",
		"ship unknown, looked up: refused":                                "success success unknown refusal success success",
		"ship unknown, looked up: pending, then done":                     "success success unknown pending success success",
		"ship unknown, looked up: denied":                                 "success success unknown denied",
		"ship unknown, looked up: unknown to the end":                     "success success unknown unknown unknown",
		"ship unknown, looked up: not found and unknown again to the end": "success success unknown not-found unknown not-found unknown",
		"ship pending past the deadline is not compensated":               "success success pending@1h pending",
		"commit unknown, then done":                                       "success success success unknown success",
		"commit refused after the pivot":                                  "success success success refusal",
		"compensation unknown then done":                                  "success refusal unknown success",
		"compensation unknown to the end":                                 "success refusal unknown unknown unknown",
		"compensation refused":                                            "success refusal refusal",
		"denied":                                                          "denied",
		"compensation denied":                                             "success success refusal denied",
		"deadline passes while reserve asks":                              "unknown@1h success",
	}},
	{authorizingDefinition(), map[string]string{
		"happy":                                        "success success success success success",
		"refused at authorize":                         "success refusal success",
		"refused at ship":                              "success success refusal success success",
		"authorize unknown to the end":                 "success unknown unknown unknown success success",
		"cancelled while authorize is open":            "success cancel success success",
		"void unknown then done":                       "success success refusal unknown success success",
		"capture unknown then done":                    "success success success unknown success success",
		"capture unknown to the end":                   "success success success unknown unknown unknown",
		"capture refused after the pivot":              "success success success refusal",
		"capture denied":                               "success success success denied",
		"capture pending past the deadline, then done": "success success success pending@1h pending success success",
	}},
	{recurringDefinition(), map[string]string{
		"happy":                                "success success",
		"charge refused":                       "refusal",
		"charge unknown, executed again: done": "unknown success success",
		"charge unknown to the end":            "unknown unknown unknown",
		"charge pending for days":              "pending@24h pending@24h pending@24h success success",
		"settle refused after the pivot":       "success refusal",
	}},
}

var update = flag.Bool("update", false, "rewrite testdata/transcripts.txt")

func TestTranscripts(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, of := range transcripts {
		for _, name := range sortedKeys(of.scripts) {
			fmt.Fprintf(&got, "## %s v%d: %s\n%s\n", of.def.Name, of.def.Version, name, transcript(t, of.def, of.scripts[name]))
		}
	}
	golden := filepath.Join("testdata", "transcripts.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("transcripts changed (-committed +now); read them, then run the test with -update:\n%s", diff)
	}
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testDefinition is the shape of the first order saga with little patience.
func testDefinition() Definition {
	r := Retry{Timeout: time.Second, Initial: time.Second, Factor: 2, Max: 10 * time.Second, Attempts: 3}
	return Definition{Name: "order", Version: 1, Deadline: 30 * time.Minute, Steps: []Step{
		{Name: "reserve", Kind: Compensatable, Execute: "Reserve", Compensate: "Release", Forward: r, Back: r},
		{Name: "charge", Kind: Compensatable, Execute: "Charge", Compensate: "Refund", Money: true, Forward: r, Back: r},
		{Name: "ship", Kind: Pivot, Execute: "Schedule", Compensate: "Cancel", Lookup: "LookUp", Forward: r, Back: r},
		{Name: "commit", Kind: Retriable, Execute: "Commit", Forward: r},
	}}
}

// authorizingDefinition is the shape of the second one: it takes the money behind the pivot.
func authorizingDefinition() Definition {
	d := testDefinition()
	r := d.Steps[0].Forward
	d.Version = 2
	d.Steps[1].Name, d.Steps[1].Execute, d.Steps[1].Compensate = "authorize", "Authorize", "Void"
	d.Steps = slices.Insert(d.Steps, 3, Step{Name: "capture", Kind: Retriable, Execute: "Capture", Money: true, Forward: r})
	return d
}

// recurringDefinition is the shape of a saga whose pivot comes first, and is not looked up.
func recurringDefinition() Definition {
	r := Retry{Timeout: time.Second, Initial: time.Second, Factor: 2, Max: 10 * time.Second, Attempts: 3}
	return Definition{Name: "recurring", Version: 1, Deadline: 30 * time.Minute, Steps: []Step{
		{Name: "charge", Kind: Pivot, Execute: "Charge", Money: true, Forward: r},
		{Name: "settle", Kind: Retriable, Execute: "Settle", Forward: r},
	}}
}

// life is a saga that goes through a script.
type life struct {
	t       testing.TB
	def     Definition
	now     time.Time
	s       State
	history []Event
	text    strings.Builder
}

// live starts a saga and plays a script against it.
func live(t testing.TB, def Definition, script string) *life {
	t.Helper()
	if err := def.Check(); err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, def: def, now: epoch}
	l.record(Start(def, epoch))
	l.hear(script)
	return l
}

func (l *life) record(events ...Event) {
	l.t.Helper()
	for _, e := range events {
		var err error
		if l.s, err = Apply(l.def, l.s, e); err != nil {
			l.t.Fatal(err)
		}
		l.history = append(l.history, e)
		fmt.Fprintf(&l.text, "  %d %s %s %s\n", e.Seq, e.Type, e.Step, e.Cause)
	}
}

// rest waits and records until the saga wants to call somebody, and gives that command; false when it wants nothing.
func (l *life) rest() (Command, bool) {
	l.t.Helper()
	for {
		commands := Next(l.def, l.s, l.now)
		if len(commands) == 0 {
			return Command{}, false
		}
		switch c := commands[0]; c.Op {
		case Wait:
			if !c.Until.After(l.now) {
				l.t.Fatalf("waits until %s, at %s:\n%s", c.Until, l.now, l.text.String())
			}
			fmt.Fprintf(&l.text, "wait %s\n", c.Until.Sub(l.now))
			l.now = c.Until
		case Record:
			l.record(c.Event)
		default:
			return c, true
		}
	}
}

// hear has the calls that the saga wants to make come to the outcomes of a script.
func (l *life) hear(script string) {
	l.t.Helper()
	for said := range strings.FieldsSeq(script) {
		c, wants := l.rest()
		if !wants {
			l.t.Fatalf("%q: makes no call that could come to %s:\n%s", script, said, l.text.String())
		}
		word, later, _ := strings.Cut(said, "@")
		if word == "cancel" {
			fmt.Fprintln(&l.text, "cancel")
			l.record(Event{Seq: l.s.Seq + 1, Type: CompensationDecided, At: l.now, Detail: Detail{Cause: "cancelled"}})
			continue
		}
		fmt.Fprintf(&l.text, "%s %s -> %s\n", c.Op, l.def.Steps[c.Step].Name, word)
		if later != "" {
			took, err := time.ParseDuration(later)
			if err != nil {
				l.t.Fatal(err)
			}
			l.now = l.now.Add(took)
		}
		l.record(Observe(l.def, l.s, c, Outcome{Kind: kindOf(l.t, word), Cause: "because"}, l.now, 0.5)...)
	}
}

// transcript is what a saga does with a script, in writing.
func transcript(t *testing.T, def Definition, script string) string {
	t.Helper()
	l := live(t, def, script)
	l.rest()
	risk := ""
	if l.s.MoneyAtRisk(def) {
		risk = ", money at risk"
	}
	fmt.Fprintf(&l.text, "= %s after %s%s\n", l.s.Phase, l.now.Sub(epoch), risk)
	return l.text.String()
}
