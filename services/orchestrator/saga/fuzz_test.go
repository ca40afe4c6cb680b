package saga

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// FuzzApply reads histories that nobody wrote.
func FuzzApply(f *testing.F) {
	for _, of := range transcripts {
		for _, script := range of.scripts {
			text, err := json.Marshal(live(f, of.def, script).history)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte(`[{"Seq":1,"Type":"started"},{"Seq":2,"Type":"parked","cause":"x"},{"Seq":3,"Type":"step_ruled_out","Step":"reserve"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var history []Event
		if err := json.Unmarshal(text, &history); err != nil {
			return
		}
		for _, def := range []Definition{testDefinition(), authorizingDefinition(), recurringDefinition(), {}} {
			_, _ = Fold(def, history) // does not panic; whether it can be read is not known
			goThrough(t, def, history)
		}
	})
}

// TestApply_TakesNothingThatTheEngineCannotGoOnFrom is the same with events that are more often possible.
func TestApply_TakesNothingThatTheEngineCannotGoOnFrom(t *testing.T) {
	t.Parallel()
	types := slices.Sorted(maps.Keys(legal))
	rapid.Check(t, func(t *rapid.T) {
		def := drawDefinition(t)
		names := []string{""}
		for _, s := range def.Steps {
			names = append(names, s.Name)
		}
		history := []Event{Start(def, epoch)}
		for range evenly(200).Draw(t, "events") {
			history = append(history, Event{
				Type: one(t, "type", types...), Step: one(t, "step", names...),
				At: epoch, Detail: Detail{Cause: "drawn"},
			})
		}
		goThrough(t, def, history)
	})
}

// goThrough applies, of a history, the events that can follow, in their order, and fails if the engine cannot go on from
// any of the states.
func goThrough(t rapid.TB, def Definition, history []Event) {
	t.Helper()
	var s State
	for _, e := range history {
		e.Seq = s.Seq + 1
		next, err := Apply(def, s, e)
		if err != nil {
			continue
		}
		s = next
		goOn(t, def, s)
	}
}

// goOn fails if something that the engine wants to do, or lets a person do, in a state cannot follow on it.
func goOn(t rapid.TB, def Definition, s State) {
	t.Helper()
	follow := func(what string, events ...Event) {
		after := s
		for _, e := range events {
			var err error
			if after, err = Apply(def, after, e); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for _, c := range Next(def, s, epoch) {
		switch c.Op {
		case Record:
			follow("recorded", c.Event)
		case Execute, Compensate, LookUp:
			for kind := Success; kind <= NotFound; kind++ {
				follow(c.Op.String()+": "+kind.String(), Observe(def, s, c, Outcome{Kind: kind}, epoch, 0.5)...)
			}
		}
	}
	Explain(def, s, epoch)
	s.MoneyAtRisk(def)
	for verb := range eventOf {
		in := Instruction{Verb: verb, Step: def.Steps[s.At()].Name, Actor: "ann", Reason: "because"}
		if e, err := Operate(def, s, in, epoch); err == nil {
			follow(string(verb), e)
		}
	}
}
