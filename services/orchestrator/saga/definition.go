package saga

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Kind says what a step may do when things go wrong.
type Kind uint8

// The kinds of steps, in the order in which they stand in a definition.
const (
	// Compensatable steps can be undone.
	Compensatable Kind = iota + 1
	// Pivot is the step after whose success there is no way back.
	Pivot
	// Retriable steps follow the pivot and succeed sooner or later.
	Retriable
)

var kindNames = [...]string{"", "compensatable", "pivot", "retriable"}

// String is the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Definition is what a saga runs, as data. As JSON it is kept with the sagas that run it.
type Definition struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	// Deadline is how long a saga may take from its start to its pivot; past it, it compensates.
	Deadline time.Duration `json:"deadline"`
	Steps    []Step        `json:"steps"`
}

// Step is one step of a definition. All of its calls carry the same idempotency key.
type Step struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Execute names the call that does the step: "inventory.Reserve".
	Execute string `json:"execute"`
	// Compensate names the call that undoes it; empty where there is nothing to undo.
	Compensate string `json:"compensate,omitempty"`
	// Lookup names the call that says what became of an execution whose outcome is not known; only a pivot has one.
	// Empty, it is executed again to find out.
	Lookup string `json:"lookup,omitempty"`
	// Money: the step takes the customer's money, or sets it aside.
	Money bool `json:"money,omitempty"`
	// Forward is how patiently it is executed, and looked up. A compensatable step that stays unknown to the end of
	// it is compensated; another one is parked.
	Forward Retry `json:"forward"`
	// Back is how patiently it is compensated; at the end of it the saga is parked.
	Back Retry `json:"back,omitzero"`
}

// Retry is the patience with a call whose outcome stays unknown.
type Retry struct {
	// Timeout is the deadline of one attempt.
	Timeout time.Duration `json:"timeout"`
	// Initial is the wait after the first attempt, multiplied by Factor after each further one, up to Max. The
	// wait is drawn evenly between zero and that ("full jitter").
	Initial time.Duration `json:"initial"`
	Factor  float64       `json:"factor"`
	Max     time.Duration `json:"max"`
	// Attempts is how often it is tried, at least once. One that is pending is none.
	Attempts int `json:"attempts"`
}

// longest is the longest deadline and wait; a longer one is a mistake in the unit.
const longest = 30 * 24 * time.Hour

// Check tells what is wrong with a definition; one that is wrong must not be started.
func (d Definition) Check() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("definition %s v%d: "+format, append([]any{d.Name, d.Version}, args...)...))
	}
	if d.Name == "" || d.Version < 1 {
		fail("needs a name and a version from 1")
	}
	if d.Deadline <= 0 || d.Deadline > longest {
		fail("needs a deadline of at most %s", longest)
	}
	names, last, pivots := map[string]bool{}, Compensatable, 0
	for _, s := range d.Steps {
		if s.Name == "" || names[s.Name] {
			fail("step name %q is empty or used twice", s.Name)
		}
		names[s.Name] = true
		if s.Kind < last {
			fail("step %s: a %s step cannot follow a %s one", s.Name, s.Kind, last)
		}
		last = max(last, s.Kind)
		if s.Kind == Pivot {
			pivots++
		}
		if err := s.check(); err != nil {
			fail("step %s: %w", s.Name, err)
		}
	}
	if pivots != 1 {
		fail("has %d pivots, not one", pivots)
	}
	return errors.Join(errs...)
}

func (s Step) check() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	wrong(s.Kind > Retriable, "has no kind")
	wrong(s.Execute == "", "has nothing to execute")
	wrong(s.Kind == Retriable && s.Compensate != "", "cannot be compensated after the pivot")
	wrong(s.Kind != Pivot && s.Lookup != "", "only a pivot is looked up")
	wrong(s.Kind == Compensatable && s.Money && s.Compensate == "", "takes money or sets it aside, and has no way to give it back")
	if err := s.Forward.check(); err != nil {
		errs = append(errs, fmt.Errorf("forward: %w", err))
	}
	if err := s.Back.check(); err != nil && s.Compensate != "" {
		errs = append(errs, fmt.Errorf("back: %w", err))
	}
	return errors.Join(errs...)
}

func (r Retry) check() error {
	if r.Timeout <= 0 || r.Initial <= 0 || r.Max < r.Initial || r.Factor < 1 || r.Attempts < 1 {
		return fmt.Errorf("needs a timeout, an initial wait, a cap not below it, a factor from 1 and an attempt: %+v", r)
	}
	if r.Timeout > longest || r.Max > longest {
		return fmt.Errorf("has a timeout or a wait above %s: %+v", longest, r)
	}
	return nil
}

// Pivot gives the names of the pivot and of the step before it; that one is empty where the pivot comes first.
func (d Definition) Pivot() (pivot, before string) {
	for _, s := range d.Steps {
		if s.Kind == Pivot {
			return s.Name, before
		}
		before = s.Name
	}
	return "", ""
}

// Calls gives every call that the definition names, a call of several steps once for each.
func (d Definition) Calls() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range d.Steps {
			for _, call := range []string{s.Execute, s.Compensate, s.Lookup} {
				if call != "" && !yield(call) {
					return
				}
			}
		}
	}
}

func (d Definition) index(step string) int {
	return slices.IndexFunc(d.Steps, func(s Step) bool { return s.Name == step })
}

// Wait is how long to wait after so many attempts; jitter is drawn from [0, 1).
func (r Retry) Wait(attempts int, jitter float64) time.Duration {
	w := float64(r.Initial)
	for range attempts - 1 {
		if w *= r.Factor; w >= float64(r.Max) {
			break
		}
	}
	return time.Duration(jitter * min(w, float64(r.Max)))
}
