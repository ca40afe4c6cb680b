package saga

import (
	"testing"
	"time"
)

// at is the state of an order after the last outcome of a script.
func at(t *testing.T, script string) (Definition, State) {
	t.Helper()
	l := live(t, testDefinition(), script)
	return l.def, l.s
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
	chargePending, shipPending  = "success pending pending", "success success pending"
	refundPending               = "success success refusal pending"
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
	{chargePending, "pending", Instruction{Verb: TurnBack}, yes, Compensating},
	{chargePending, "pending", Instruction{Verb: RetryNow}, yes, Running},
	{chargePending, "pending", Instruction{Verb: Resolve, Step: "charge"}, yes, Running},
	{chargePending, "pending", Instruction{Verb: RuleOut, Step: "charge"}, yes, Running},
	{shipPending, "pivot pending", Instruction{Verb: TurnBack}, no, 0},
	{shipPending, "pivot pending", Instruction{Verb: RuleOut, Step: "ship"}, yes, Running},
	{refundPending, "compensation pending", Instruction{Verb: Resolve, Step: "charge"}, yes, Compensating},
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
		"ship found not to have happened":   {"success success unknown unknown unknown", Instruction{Verb: RuleOut, Step: "ship"}, "success success", Compensated},
		"commit left out":                   {"success success success refusal", Instruction{Verb: Skip, Step: "commit"}, "", Completed},
		"commit mended and retried":         {"success success success refusal", Instruction{Verb: RetryNow}, "success", Completed},
		"release retried":                   {"success refusal unknown unknown unknown", Instruction{Verb: RetryNow}, "success", Compensated},
		"release left out":                  {"success refusal refusal", Instruction{Verb: Skip, Step: "reserve"}, "", Compensated},
		"ship in doubt retried":             {"success success unknown unknown unknown", Instruction{Verb: RetryNow}, "not-found success success", Completed},
		"ship pending, found done":          {"success success pending", Instruction{Verb: Resolve, Step: "ship"}, "success", Completed},
		"charge pending, turned back":       {"success pending", Instruction{Verb: TurnBack}, "pending success success", Compensated},
		"charge found not to have happened": {"success unknown", Instruction{Verb: RuleOut, Step: "charge"}, "success", Compensated},
	}
	for name, tt := range tests {
		l := live(t, testDefinition(), tt.state)
		e, err := Operate(l.def, l.s, tt.in, l.now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l.record(e)
		l.hear(tt.rest)
		if c, wants := l.rest(); wants || l.s.Phase != tt.ends {
			t.Errorf("%s: is %s, and wants to make a call: %v %+v; want it %s:\n%s", name, l.s.Phase, wants, c, tt.ends, l.text.String())
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
		"success pending":                         {"until 2026-01-02T03:04:05Z to ask Charge again", "Charge was taken over, and is not done yet", "word that it is done, or time, or retry"},
		"success success unknown":                 {"until 2026-01-02T03:04:05Z to find out what became of ship", "the outcome of attempt 1 is not known", "time, or retry"},
		"success success unknown pending":         {"until 2026-01-02T03:04:06Z to find out what became of ship", "Schedule was taken over, and is not done yet", "word that it is done, or time, or retry"},
		"success success refusal pending":         {"until 2026-01-02T03:04:05Z to ask Refund again", "Refund was taken over, and is not done yet", "word that it is done, or time, or retry"},
	} {
		def, s := at(t, script)
		if got := Explain(def, s, epoch); got != want {
			t.Errorf("%s: got %+v, want %+v", script, got, want)
		}
	}
}

func TestExplain_SaysWhatIsAskedWhenTheTimeHasCome(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]Explanation{
		"success unknown":         {"the answer of Charge", "", "its answer, or its timeout"},
		"success pending":         {"the answer of Charge", "Charge was taken over, and is not done yet", "word that it is done, or its answer, or its timeout"},
		"success success unknown": {"the answer of LookUp, to find out what became of ship", "the outcome of attempt 1 is not known", "its answer, or its timeout"},
	} {
		def, s := at(t, script)
		if got := Explain(def, s, epoch.Add(time.Hour)); got != want {
			t.Errorf("%s: got %+v, want %+v", script, got, want)
		}
	}
}
