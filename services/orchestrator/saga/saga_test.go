package saga

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func kindOf(t testing.TB, word string) OutcomeKind {
	t.Helper()
	i := slices.Index(outcomeNames[:], strings.ReplaceAll(word, "-", " "))
	if i < 1 {
		t.Fatalf("no outcome %q", word)
	}
	return OutcomeKind(i)
}

func TestCheck_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Definition)
		want   string
	}{
		"no pivot":                 {func(d *Definition) { d.Steps[2].Kind = Compensatable }, "0 pivots"},
		"two pivots":               {func(d *Definition) { d.Steps[3].Kind = Pivot }, "2 pivots"},
		"compensatable after it":   {func(d *Definition) { d.Steps[3].Kind = Compensatable }, "cannot follow"},
		"name used twice":          {func(d *Definition) { d.Steps[1].Name = "reserve" }, "used twice"},
		"nothing to execute":       {func(d *Definition) { d.Steps[0].Execute = "" }, "nothing to execute"},
		"retriable is compensated": {func(d *Definition) { d.Steps[3].Compensate = "X" }, "cannot be compensated"},
		"no deadline":              {func(d *Definition) { d.Deadline = 0 }, "deadline"},
		"no attempt":               {func(d *Definition) { d.Steps[0].Forward.Attempts = 0 }, "attempt"},
		"endless deadline":         {func(d *Definition) { d.Deadline = 1 << 62 }, "deadline of at most"},
		"endless wait":             {func(d *Definition) { d.Steps[0].Forward.Max = 1 << 62 }, "above"},
		"no such kind":             {func(d *Definition) { d.Steps[3].Kind = 9 }, "no kind"},
		"no kind":                  {func(d *Definition) { d.Steps[0].Kind = 0 }, "cannot follow"},
		"reserve is looked up":     {func(d *Definition) { d.Steps[0].Lookup = "X" }, "only a pivot"},
		"commit is looked up":      {func(d *Definition) { d.Steps[3].Lookup = "X" }, "only a pivot"},
		"money for ever":           {func(d *Definition) { d.Steps[1].Compensate = "" }, "give it back"},
		"no patience back":         {func(d *Definition) { d.Steps[0].Back = Retry{} }, "back"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testDefinition()
			tt.change(&d)
			if err := d.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestApply_RefusesEventsThatCannotFollow(t *testing.T) {
	t.Parallel()
	def := testDefinition()
	running, err := Fold(def, []Event{Start(def, epoch)})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Event{
		"gap":                    {Seq: 3, Type: StepDone, Step: "reserve"},
		"again":                  {Seq: 1, Type: StepDone, Step: "reserve"},
		"not its turn":           {Seq: 2, Type: StepDone, Step: "charge"},
		"no such step":           {Seq: 2, Type: StepDone, Step: "x"},
		"compensation undecided": {Seq: 2, Type: StepCompensated, Step: "reserve"},
		"started twice":          {Seq: 2, Type: Started},
		"compensated":            {Seq: 2, Type: SagaCompensated},
		"completed half-way":     {Seq: 2, Type: SagaCompleted},
		"not looked up":          {Seq: 2, Type: StepNotFound, Step: "reserve"},
		"compensation pending":   {Seq: 2, Type: CompensationPending, Step: "reserve"},
		"done without a step":    {Seq: 2, Type: StepDone},
		"parked at a step":       {Seq: 2, Type: SagaParked, Step: "reserve", Detail: Detail{Cause: "because"}},
		"parked without a cause": {Seq: 2, Type: SagaParked},
		"turned without a cause": {Seq: 2, Type: CompensationDecided},
		"of no known type":       {Seq: 2, Type: "exploded"},
	} {
		if _, err := Apply(def, running, e); err == nil {
			t.Errorf("%s: event %+v was applied to a running saga", name, e)
		}
	}
}

func TestApply_RefusesTheEndBeforeAllIsUndone(t *testing.T) {
	t.Parallel()
	def, s := at(t, "success refusal")
	if _, err := Apply(def, s, Event{Seq: s.Seq + 1, Type: SagaCompensated}); err == nil {
		t.Error("a saga that has still to release its stock was applied to have ended")
	}
	if _, err := Apply(recurringDefinition(), s, Event{Seq: s.Seq + 1, Type: SagaPaused}); err == nil {
		t.Error("an event was applied to the state of another definition")
	}
	if _, err := Apply(Definition{}, State{}, Start(Definition{}, epoch)); err == nil {
		t.Error("a definition without steps was started")
	}
}

func TestApply_RefusesNewsOfAStepThatIsSettled(t *testing.T) {
	t.Parallel()
	news := []EventType{StepDone, StepRefused, StepUnknown, StepPending, StepNotFound, StepRuledOut}
	ruledOut := live(t, testDefinition(), "success")
	ruledOut.record(Event{Seq: 3, Type: StepRuledOut, Step: "charge"})
	done := live(t, recurringDefinition(), "success")
	done.record(Event{Seq: 3, Type: StepDone, Step: "settle"})
	for step, l := range map[string]*life{"charge": ruledOut, "settle": done} {
		for _, what := range news {
			if _, err := Apply(l.def, l.s, Event{Seq: 4, Type: what, Step: step}); err == nil {
				t.Errorf("%s followed on:\n%s", what, l.text.String())
			}
		}
	}
}

func TestRetry_WaitsLonger(t *testing.T) {
	t.Parallel()
	r := Retry{Initial: time.Second, Factor: 3, Max: 10 * time.Second}
	for n, want := range map[int]time.Duration{
		1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 4: 10 * time.Second, 9: 10 * time.Second, 1000: 10 * time.Second,
	} {
		if got := r.Wait(n, 1); got != want {
			t.Errorf("after %d unknown outcomes it waits %s, want %s", n, got, want)
		}
		if got := r.Wait(n, 0.25); got != want/4 {
			t.Errorf("a quarter of %s is %s", want, got)
		}
	}
}

func TestParkUnreadable_StandsInAHistoryThatCanBeReadAgain(t *testing.T) {
	t.Parallel()
	for script, direction := range map[string]Phase{"success success unknown": Running, "success refusal": Compensating} {
		def, s := at(t, script)
		e := ParkUnreadable(s.Seq, "there is no definition order v9", epoch)
		s, err := Apply(def, s, e)
		if err != nil || s.Phase != Parked || s.Direction != direction || s.Cause != "there is no definition order v9" {
			t.Errorf("%s: parked unread it is %+v (%v)", script, s, err)
		}
		retry, err := Operate(def, s, Instruction{Verb: RetryNow, Actor: "ann"}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Apply(def, s, retry); err != nil || s.Phase != direction || len(Next(def, s, epoch)) != 1 {
			t.Errorf("%s: retried it is %+v (%v), want it to go on", script, s, err)
		}
	}
}

func TestMoneyAtRisk_IsWhatMayBeHeldForNothing(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]bool{
		"":                                   false, // it has begun
		"denied":                             false, // parked, and charge was not opened
		"success":                            false, // running, and may be charged
		"success denied":                     true,  // parked, and may be charged
		"success refusal":                    false, // compensating, and was not charged
		"success pending@1h":                 true,  // compensating, and may be charged
		"success pending@1h pending":         true,  // the refund is not done
		"success pending@1h success":         false, // the refund is done, reserve is not released
		"success pending@1h success denied":  false, // parked, and refunded
		"success success success":            false, // past the pivot
		"success success success refusal":    true,  // parked past the pivot
		"success success success success":    false, // completed
		"success pending@1h success success": false, // compensated
	} {
		l := live(t, testDefinition(), script)
		l.rest()
		if got := l.s.MoneyAtRisk(l.def); got != want {
			t.Errorf("%q, %s: money at risk is %v, want %v", script, l.s.Phase, got, want)
		}
	}
}

// TestVersions_RunSideBySide plays two versions of a definition at once: each saga goes through the steps of the version
// that it started with, and its history cannot be read with the other.
func TestVersions_RunSideBySide(t *testing.T) {
	t.Parallel()
	v1 := testDefinition()
	v2 := testDefinition()
	v2.Version = 2
	v2.Steps = slices.Insert(v2.Steps, 1, Step{
		Name: "screen", Kind: Compensatable, Execute: "Screen", Compensate: "Clear", Forward: v1.Steps[0].Forward, Back: v1.Steps[0].Back,
	})
	tests := []struct {
		of      Definition
		outcome map[string]OutcomeKind // by call; those that are not named succeed
		want    string
	}{
		{v1, nil, "Reserve Charge Schedule Commit"},
		{v2, nil, "Reserve Screen Charge Schedule Commit"},
		{v1, map[string]OutcomeKind{"Schedule": Refusal}, "Reserve Charge Schedule Refund Release"},
		{v2, map[string]OutcomeKind{"Schedule": Refusal}, "Reserve Screen Charge Schedule Refund Clear Release"},
	}
	states, histories, calls := make([]State, len(tests)), make([][]Event, len(tests)), make([][]string, len(tests))
	record := func(i int, events ...Event) {
		for _, e := range events {
			var err error
			if states[i], err = Apply(tests[i].of, states[i], e); err != nil {
				t.Fatal(err)
			}
			histories[i] = append(histories[i], e)
		}
	}
	for i, tt := range tests {
		record(i, Start(tt.of, epoch))
	}
	for live := true; live; {
		live = false
		for i, tt := range tests { // a command of each in turn
			for _, c := range Next(tt.of, states[i], epoch) {
				call := callName(tt.of.Steps[c.Step], c.Op)
				live, calls[i] = true, append(calls[i], call)
				record(i, Observe(tt.of, states[i], c, Outcome{Kind: max(Success, tt.outcome[call]), Cause: "because"}, epoch, 0)...)
			}
		}
	}
	for i, tt := range tests {
		if got := strings.Join(calls[i], " "); got != tt.want {
			t.Errorf("v%d: called %s, want %s", tt.of.Version, got, tt.want)
		}
		other := v1
		if tt.of.Version == 1 {
			other = v2
		}
		if s, err := Fold(other, histories[i]); err == nil {
			t.Errorf("the history of a saga of v%d was read with v%d, as %+v", tt.of.Version, other.Version, s)
		}
	}
}
