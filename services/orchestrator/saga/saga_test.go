package saga

import (
	"maps"
	"slices"
	"strings"
	"testing"
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
