package saga

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDefinition_IsTheSameWhenReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		def := drawDefinition(t)
		def.Name = rapid.String().Draw(t, "name")
		def.Deadline = time.Duration(rapid.Int64Min(0).Draw(t, "deadline"))
		def.Steps[0].Forward.Timeout = time.Duration(rapid.Int64Min(0).Draw(t, "timeout"))
		written, err := json.Marshal(def)
		if err != nil {
			t.Fatal(err)
		}
		var document any // what a jsonb column keeps of it: the values, not the text
		if err := json.Unmarshal(written, &document); err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var read Definition
		if err := json.Unmarshal(kept, &read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(def, read); diff != "" {
			t.Fatalf("read back from %s it differs (-written +read):\n%s", kept, diff)
		}
	})
}

func TestDefinition_ReadsAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(recurringDefinition(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "name": "recurring",
 "version": 1,
 "steps": [
  {
   "name": "charge",
   "kind": "pivot",
   "execute": "Charge",
   "money": true,
   "forward": {
    "factor": 2,
    "attempts": 3,
    "timeout": "1s",
    "initial": "1s",
    "max": "10s"
   }
  },
  {
   "name": "settle",
   "kind": "retriable",
   "execute": "Settle",
   "forward": {
    "factor": 2,
    "attempts": 3,
    "timeout": "1s",
    "initial": "1s",
    "max": "10s"
   }
  }
 ],
 "deadline": "30m0s"
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefinition_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"steps": [{"kind": "sideways"}]}`:               `no kind "sideways"`,
		`{"steps": [{"kind": ""}]}`:                       `no kind ""`,
		`{"deadline": "soon"}`:                            "soon",
		`{"deadline": 5}`:                                 "number",
		`{"steps": [{"forward": {"max": "10 parsecs"}}]}`: "parsecs",
		`{"steps": [{"forward": {"attempts": "often"}}]}`: "string",
	} {
		var d Definition
		if err := json.Unmarshal([]byte(text), &d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
	if text, err := json.Marshal(Step{Kind: 9}); err == nil {
		t.Errorf("a step of no kind was written: %s", text)
	}
}

func TestPivot_IsNamedWithTheStepBeforeIt(t *testing.T) {
	t.Parallel()
	if pivot, before := testDefinition().Pivot(); pivot != "ship" || before != "charge" {
		t.Errorf("order: got %q after %q, want ship after charge", pivot, before)
	}
	if pivot, before := recurringDefinition().Pivot(); pivot != "charge" || before != "" {
		t.Errorf("recurring: got %q after %q, want charge after nothing", pivot, before)
	}
}

func TestCalls_NamesEachCall(t *testing.T) {
	t.Parallel()
	want := []string{"Reserve", "Release", "Charge", "Refund", "Schedule", "Cancel", "LookUp", "Commit"}
	if diff := cmp.Diff(want, slices.Collect(testDefinition().Calls())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for call := range testDefinition().Calls() {
		if call == "Refund" {
			break // whoever looks for one need not see the rest
		}
	}
}
