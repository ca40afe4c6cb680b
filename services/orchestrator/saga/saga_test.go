package saga

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func kindOf(t *testing.T, word string) OutcomeKind {
	t.Helper()
	i := slices.Index(outcomeNames[:], word)
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
	} {
		if _, err := Apply(def, running, e); err == nil {
			t.Errorf("%s: event %+v was applied to a running saga", name, e)
		}
	}
}

// TestSaga_AlwaysEndsAsPromised plays random outcomes against random definitions and looks at what was really
// sent: the engine's own state is not believed.
func TestSaga_AlwaysEndsAsPromised(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		def := drawDefinition(t)
		if err := def.Check(); err != nil {
			t.Fatal(err)
		}
		now := epoch
		var s State
		var history []Event
		record := func(events ...Event) {
			for _, e := range events {
				var err error
				if s, err = Apply(def, s, e); err != nil {
					t.Fatal(err)
				}
				history = append(history, e)
			}
		}
		record(Start(def, now))
		var executed, compensated []int // the steps that took, or may have taken, effect; and those undone; in order
		for range 10_000 {
			commands := Next(def, s, now)
			if len(commands) == 0 {
				checkEnd(t, def, s, history, executed, compensated)
				return
			}
			switch c := commands[0]; c.Op {
			case Wait:
				if !c.Until.After(now) {
					t.Fatalf("waits until %s, which is past", c.Until)
				}
				now = c.Until
			case Record:
				record(c.Event)
			case Execute:
				o := drawOutcome(t)
				if o.Kind != Refusal && (len(executed) == 0 || executed[len(executed)-1] != c.Step) {
					executed = append(executed, c.Step)
				}
				if o.Kind == Refusal && len(executed) > 0 && executed[len(executed)-1] == c.Step {
					executed = executed[:len(executed)-1] // the participant looked, and nothing had happened
				}
				record(Observe(def, s, c, o, now, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))...)
			case Compensate:
				if s.Phase != Compensating || !slices.ContainsFunc(history, func(e Event) bool { return e.Type == CompensationDecided }) {
					t.Fatal("compensates without a recorded decision")
				}
				o := drawOutcome(t)
				if o.Kind == Success {
					compensated = append(compensated, c.Step)
				}
				record(Observe(def, s, c, o, now, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))...)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
		}
		t.Fatal("does not end")
	})
}

func checkEnd(t *rapid.T, def Definition, s State, history []Event, executed, compensated []int) {
	folded, err := Fold(def, history)
	if err != nil || !cmp.Equal(folded, s) {
		t.Fatalf("fold of the history differs from the state: %v\n%s", err, cmp.Diff(s, folded))
	}
	switch s.Phase {
	case Completed:
		if len(executed) != len(def.Steps) || len(compensated) != 0 {
			t.Fatalf("completed with steps %v executed and %v compensated", executed, compensated)
		}
	case Compensated:
		want := []int{}
		for _, i := range slices.Backward(executed) {
			if def.Steps[i].Compensate != "" {
				want = append(want, i)
			}
		}
		// Null compensation: a step that turned out to have had no effect may be compensated as well.
		got := slices.DeleteFunc(slices.Clone(compensated), func(i int) bool { return !slices.Contains(want, i) })
		if !slices.Equal(got, want) || !slices.IsSortedFunc(compensated, func(a, b int) int { return b - a }) {
			t.Fatalf("executed %v, compensated %v, want %v in reverse", executed, compensated, want)
		}
		for _, i := range executed {
			if def.Steps[i].Kind == Retriable {
				t.Fatalf("compensated although step %d behind the pivot was executed", i)
			}
		}
	case Parked:
		if s.Cause == "" {
			t.Fatal("parked without a cause")
		}
	default:
		t.Fatalf("rests in phase %s", s.Phase)
	}
}

func drawDefinition(t *rapid.T) Definition {
	d := Definition{Name: "random", Version: 1, Deadline: time.Duration(rapid.IntRange(1, 60).Draw(t, "deadline")) * time.Second}
	before, after := rapid.IntRange(0, 3).Draw(t, "before"), rapid.IntRange(0, 3).Draw(t, "after")
	for i := range before + 1 + after {
		s := Step{Name: string(rune('a' + i)), Execute: "do", Kind: Compensatable, Forward: drawRetry(t), Back: drawRetry(t)}
		switch {
		case i == before:
			s.Kind = Pivot
		case i > before:
			s.Kind = Retriable
		}
		if s.Kind == Compensatable && rapid.IntRange(0, 4).Draw(t, "compensate") > 0 {
			s.Compensate = "undo"
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}

func drawRetry(t *rapid.T) Retry {
	return Retry{Timeout: time.Second, Initial: 100 * time.Millisecond, Factor: 2, Max: time.Second, Attempts: rapid.IntRange(1, 4).Draw(t, "attempts")}
}

func drawOutcome(t *rapid.T) Outcome {
	// Mostly success, so that sagas get far.
	kinds := []OutcomeKind{Success, Success, Success, Success, Refusal, Unknown, Unknown, Denied}
	return Outcome{Kind: rapid.SampledFrom(kinds).Draw(t, "outcome"), Cause: "drawn"}
}
