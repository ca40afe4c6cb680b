package saga

import (
	"strings"
	"testing"
	"time"
)

// at plays a script as a transcript does, and gives the state it leads to.
func at(t *testing.T, script string) (Definition, State) {
	t.Helper()
	def, now := testDefinition(), epoch
	s, err := Fold(def, []Event{Start(def, now)})
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(script) {
		var events []Event
		for c := Next(def, s, now)[0]; len(events) == 0; c = Next(def, s, now)[0] {
			switch c.Op {
			case Wait:
				now = c.Until
			case Record:
				events = []Event{c.Event}
			default:
				events = Observe(def, s, c, Outcome{Kind: kindOf(t, word), Cause: "because"}, now, 0.5)
			}
		}
		for _, e := range events {
			if s, err = Apply(def, s, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	return def, s
}

// The states from which the tests below operate, as the outcomes that lead to them.
const (
	running, shipOpen, shipped  = "success", "success success unknown", "success success success"
	turned                      = "success refusal"
	parkedAtShip                = "success success unknown unknown unknown"
	parkedAtCommit              = "success success success refusal"
	parkedCompensating          = "success refusal refusal"
	parkedDenied                = "success denied"
	completed, compensatedAtAll = "success success success success", "refusal"
)

const yes, no = true, false

var operations = []struct {
	state, name string
	in          Instruction
	allowed     bool
	phase       Phase // afterwards
}{
	{running, "running", Instruction{Verb: TurnBack}, yes, Compensating},
	{running, "running", Instruction{Verb: RetryNow}, yes, Running},
	{running, "running", Instruction{Verb: Pause}, yes, Running},
	{running, "running", Instruction{Verb: Resume}, no, 0},
	{running, "running", Instruction{Verb: Resolve, Step: "charge"}, yes, Running},
	{running, "running", Instruction{Verb: Resolve, Step: "reserve"}, no, 0},
	{running, "running", Instruction{Verb: RuleOut, Step: "charge"}, yes, Running},
	{running, "running", Instruction{Verb: Skip, Step: "charge"}, no, 0},
	{shipOpen, "pivot in doubt", Instruction{Verb: TurnBack}, no, 0},
	{shipOpen, "pivot in doubt", Instruction{Verb: Resolve, Step: "ship"}, yes, Running},
	{shipOpen, "pivot in doubt", Instruction{Verb: RuleOut, Step: "ship"}, yes, Running},
	{shipped, "past the pivot", Instruction{Verb: TurnBack}, no, 0},
	{shipped, "past the pivot", Instruction{Verb: Skip, Step: "commit"}, yes, Running},
	{turned, "compensating", Instruction{Verb: TurnBack}, no, 0},
	{turned, "compensating", Instruction{Verb: Resolve, Step: "reserve"}, yes, Compensating},
	{turned, "compensating", Instruction{Verb: RuleOut, Step: "reserve"}, no, 0},
	{turned, "compensating", Instruction{Verb: Skip, Step: "charge"}, no, 0},
	{parkedAtShip, "parked at the pivot", Instruction{Verb: TurnBack}, no, 0},
	{parkedAtShip, "parked at the pivot", Instruction{Verb: RetryNow}, yes, Running},
	{parkedAtShip, "parked at the pivot", Instruction{Verb: Resolve, Step: "ship"}, yes, Running},
	{parkedAtCommit, "parked past the pivot", Instruction{Verb: Skip, Step: "commit"}, yes, Running},
	{parkedAtCommit, "parked past the pivot", Instruction{Verb: RetryNow}, yes, Running},
	{parkedAtCommit, "parked past the pivot", Instruction{Verb: TurnBack}, no, 0},
	{shipped, "past the pivot", Instruction{Verb: RuleOut, Step: "commit"}, no, 0},
	{parkedCompensating, "parked compensating", Instruction{Verb: RetryNow}, yes, Compensating},
	{parkedCompensating, "parked compensating", Instruction{Verb: Skip, Step: "reserve"}, yes, Compensating},
	{parkedCompensating, "parked compensating", Instruction{Verb: TurnBack}, no, 0},
	{parkedDenied, "parked, denied", Instruction{Verb: TurnBack}, yes, Compensating},
	{parkedDenied, "parked, denied", Instruction{Verb: Pause}, no, 0},
	{completed, "completed", Instruction{Verb: RetryNow}, no, 0},
	{completed, "completed", Instruction{Verb: TurnBack}, no, 0},
	{compensatedAtAll, "compensated", Instruction{Verb: RetryNow}, no, 0},
	{running, "running", Instruction{Verb: "explode"}, no, 0},
}

func TestOperate_AllowsWhatIsSafeAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, tt := range operations {
		def, s := at(t, tt.state)
		tt.in.Actor, tt.in.Reason, tt.in.Evidence = "ann", "because", "ticket 7"
		e, err := Operate(def, s, tt.in, epoch)
		if (err == nil) != tt.allowed {
			t.Errorf("%s: %s %s: got %v, want it allowed: %v", tt.name, tt.in.Verb, tt.in.Step, err, tt.allowed)
			continue
		}
		if err != nil {
			continue
		}
		after, err := Apply(def, s, e)
		if err != nil || after.Phase != tt.phase || e.Actor != "ann" {
			t.Errorf("%s: %s %s: phase %s by %q (%v), want %s", tt.name, tt.in.Verb, tt.in.Step, after.Phase, e.Actor, err, tt.phase)
		}
	}
}

func TestOperate_LeadsToTheEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		state string
		in    Instruction
		rest  string
		ends  Phase
	}{
		"ship found to have happened":       {"success success unknown unknown unknown", Instruction{Verb: Resolve, Step: "ship"}, "success", Completed},
		"ship found not to have happened":   {"success success unknown unknown unknown", Instruction{Verb: RuleOut, Step: "ship"}, "success success success", Compensated},
		"commit left out":                   {"success success success refusal", Instruction{Verb: Skip, Step: "commit"}, "success", Completed},
		"commit mended and retried":         {"success success success refusal", Instruction{Verb: RetryNow}, "success", Completed},
		"release retried":                   {"success refusal unknown unknown unknown", Instruction{Verb: RetryNow}, "success", Compensated},
		"release left out":                  {"success refusal refusal", Instruction{Verb: Skip, Step: "reserve"}, "success", Compensated},
		"charge found not to have happened": {"success unknown", Instruction{Verb: RuleOut, Step: "charge"}, "success success", Compensated},
	}
	for name, tt := range tests {
		def, s := at(t, tt.state)
		e, err := Operate(def, s, tt.in, epoch)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s, err = Apply(def, s, e); err != nil {
			t.Fatal(err)
		}
		now := epoch.Add(time.Minute)
		for outcomes := strings.Fields(tt.rest); len(Next(def, s, now)) > 0; {
			c := Next(def, s, now)[0]
			events := []Event{c.Event}
			if c.Op == Execute || c.Op == Compensate {
				if len(outcomes) == 0 {
					t.Fatalf("%s: wants to %s step %d more", name, c.Op, c.Step)
				}
				events = Observe(def, s, c, Outcome{Kind: kindOf(t, outcomes[0])}, now, 0.5)
				outcomes = outcomes[1:]
			}
			for _, e := range events {
				if s, err = Apply(def, s, e); err != nil {
					t.Fatal(err)
				}
			}
		}
		if s.Phase != tt.ends {
			t.Errorf("%s: ends as %s, want %s", name, s.Phase, tt.ends)
		}
	}
}

func TestPause_StopsSendingAndKeepsWhatComesIn(t *testing.T) {
	t.Parallel()
	def, s := at(t, "success")
	open := Next(def, s, epoch)[0]
	pause, err := Operate(def, s, Instruction{Verb: Pause, Actor: "ann"}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Apply(def, s, pause); err != nil {
		t.Fatal(err)
	}
	if next := Next(def, s, epoch.Add(time.Hour)); len(next) != 0 {
		t.Errorf("a paused saga wants to %s", next[0].Op)
	}
	for _, e := range Observe(def, s, open, Outcome{Kind: Success}, epoch, 0) { // the answer to what was under way
		if s, err = Apply(def, s, e); err != nil {
			t.Fatal(err)
		}
	}
	resume, err := Operate(def, s, Instruction{Verb: Resume, Actor: "ann"}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Apply(def, s, resume); err != nil {
		t.Fatal(err)
	}
	if next := Next(def, s, epoch); len(next) != 1 || def.Steps[next[0].Step].Name != "ship" {
		t.Errorf("after resuming: %+v, want ship", next)
	}
}

func TestExplain_SaysWhatItWaitsForAndWhatHelps(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]Explanation{
		"success":         {"the answer of Charge", "", "its answer, or its timeout"},
		"success unknown": {"until 2026-01-02T03:04:05Z to try Charge again", "the outcome of attempt 1 is not known", "time, or retry"},
		"success success unknown unknown unknown": {"a person", "ship unknown after 3 attempts: because", "retry, or find out whether ship happened: resolve ship, or rule it out"},
		"success success success refusal":         {"a person", "commit refused: because", "retry, or resolve commit if it took effect, or skip commit"},
		"success refusal refusal":                 {"a person", "compensation of reserve refused: because", "retry, or resolve reserve if its compensation took effect, or skip reserve"},
		"success success success success":         {"nothing: it is completed", "", ""},
	} {
		def, s := at(t, script)
		if got := Explain(def, s, epoch); got != want {
			t.Errorf("%s: got %+v, want %+v", script, got, want)
		}
	}
}
