package saga

import (
	"errors"
	"fmt"
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

// Definition is what a saga runs, as data.
type Definition struct {
	Name    string
	Version int
	// Deadline is how long a saga may take from its start to its pivot; past it, it compensates.
	Deadline time.Duration
	Steps    []Step
}

// Step is one step of a definition. Both of its calls carry the same idempotency key.
type Step struct {
	Name string
	Kind Kind
	// Execute names the call that does the step: "inventory.Reserve".
	Execute string
	// Compensate names the call that undoes it; empty where there is nothing to undo.
	Compensate string
	// Forward is how patiently it is executed. A compensatable step that stays unknown to the end of it is
	// compensated; another one is parked.
	Forward Retry
	// Back is how patiently it is compensated; at the end of it the saga is parked.
	Back Retry
}

// Retry is the patience with a call whose outcome stays unknown.
type Retry struct {
	// Timeout is the deadline of one attempt.
	Timeout time.Duration
	// Initial is the wait after the first attempt, multiplied by Factor after each further one, up to Max. The
	// wait is drawn evenly between zero and that ("full jitter").
	Initial time.Duration
	Factor  float64
	Max     time.Duration
	// Attempts is how often it is tried, at least once.
	Attempts int
}

// Check tells what is wrong with a definition; one that is wrong must not be started.
func (d Definition) Check() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("definition %s v%d: "+format, append([]any{d.Name, d.Version}, args...)...))
	}
	if d.Name == "" || d.Version < 1 {
		fail("needs a name and a version from 1")
	}
	if d.Deadline <= 0 {
		fail("needs a deadline")
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
		if s.Execute == "" {
			fail("step %s: has nothing to execute", s.Name)
		}
		if s.Kind == Retriable && s.Compensate != "" {
			fail("step %s: cannot be compensated after the pivot", s.Name)
		}
		if err := s.Forward.check(); err != nil {
			fail("step %s: forward: %w", s.Name, err)
		}
		if err := s.Back.check(); err != nil && s.Compensate != "" {
			fail("step %s: back: %w", s.Name, err)
		}
	}
	if pivots != 1 {
		fail("has %d pivots, not one", pivots)
	}
	return errors.Join(errs...)
}

func (r Retry) check() error {
	if r.Timeout <= 0 || r.Initial <= 0 || r.Max < r.Initial || r.Factor < 1 || r.Attempts < 1 {
		return fmt.Errorf("needs a timeout, an initial wait, a cap not below it, a factor from 1 and an attempt: %+v", r)
	}
	return nil
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
