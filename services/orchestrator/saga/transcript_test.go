package saga

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A transcript is a saga's life as a reviewer can read it: `<outcome>` lines say what each call came to, and the
// rest is what the engine commanded and recorded. Outcomes: success, refusal, unknown, denied, cancel.
var transcripts = map[string]string{
	"happy":                              "success success success success",
	"refused at reserve":                 "refusal",
	"refused at charge":                  "success refusal success",
	"refused at ship":                    "success success refusal success success",
	"charge unknown then done":           "success unknown success success success",
	"charge unknown to the end":          "success unknown unknown unknown success success",
	"cancelled while charge is open":     "success cancel success success",
	"ship unknown, asked again":          "success success unknown success success",
	"ship unknown to the end":            "success success unknown unknown unknown",
	"commit refused after the pivot":     "success success success refusal",
	"compensation unknown then done":     "success refusal unknown success",
	"compensation unknown to the end":    "success refusal unknown unknown unknown",
	"compensation refused":               "success refusal refusal",
	"denied":                             "denied",
	"compensation denied":                "success refusal denied",
	"deadline passes while reserve asks": "unknown@1h success",
}

var update = flag.Bool("update", false, "rewrite testdata/transcripts.txt")

func TestTranscripts(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, name := range sortedKeys(transcripts) {
		fmt.Fprintf(&got, "## %s\n%s\n", name, transcript(t, transcripts[name]))
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

// testDefinition is the shape of the order saga with little patience.
func testDefinition() Definition {
	r := Retry{Timeout: time.Second, Initial: time.Second, Factor: 2, Max: 10 * time.Second, Attempts: 3}
	return Definition{Name: "order", Version: 1, Deadline: 30 * time.Minute, Steps: []Step{
		{Name: "reserve", Kind: Compensatable, Execute: "Reserve", Compensate: "Release", Forward: r, Back: r},
		{Name: "charge", Kind: Compensatable, Execute: "Charge", Compensate: "Refund", Forward: r, Back: r},
		{Name: "ship", Kind: Pivot, Execute: "Schedule", Compensate: "Cancel", Forward: r, Back: r},
		{Name: "commit", Kind: Retriable, Execute: "Commit", Forward: r},
	}}
}

// transcript plays outcomes against the engine and writes down what it does.
func transcript(t *testing.T, script string) string {
	t.Helper()
	def, now := testDefinition(), epoch
	if err := def.Check(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var s State
	record := func(events ...Event) {
		for _, e := range events {
			var err error
			if s, err = Apply(def, s, e); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "  %d %s %s %s\n", e.Seq, e.Type, e.Step, e.Cause)
		}
	}
	record(Start(def, now))
	for outcomes := strings.Fields(script); ; {
		commands := Next(def, s, now)
		if len(commands) == 0 || (len(outcomes) == 0 && commands[0].Op <= Compensate) {
			if len(outcomes) > 0 {
				t.Fatalf("outcomes left over: %v\n%s", outcomes, out.String())
			}
			fmt.Fprintf(&out, "= %s after %s\n", s.Phase, now.Sub(epoch))
			return out.String()
		}
		switch c := commands[0]; c.Op {
		case Wait:
			fmt.Fprintf(&out, "wait %s\n", c.Until.Sub(now))
			now = c.Until
		case Record:
			record(c.Event)
		default:
			word, later, _ := strings.Cut(outcomes[0], "@")
			outcomes = outcomes[1:]
			if word == "cancel" {
				fmt.Fprintln(&out, "cancel")
				record(Event{Seq: s.Seq + 1, Type: CompensationDecided, At: now, Detail: Detail{Cause: "cancelled"}})
				continue
			}
			fmt.Fprintf(&out, "%s %s -> %s\n", c.Op, def.Steps[c.Step].Name, word)
			if later != "" {
				d, err := time.ParseDuration(later)
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(d)
			}
			record(Observe(def, s, c, Outcome{Kind: kindOf(t, word), Cause: "because"}, now, 0.5)...)
		}
	}
}
