package saga

import (
	"encoding/json"
	"time"
)

// Phase is where a saga stands.
type Phase uint8

// The phases. The last three are at rest: nothing happens by itself any more.
const (
	// Running goes forward.
	Running Phase = iota + 1
	// Compensating goes back; it never turns forward again.
	Compensating
	// Completed has done every step.
	Completed
	// Compensated has undone every step that may have been done.
	Compensated
	// Parked waits for a person.
	Parked
)

var phaseNames = [...]string{"", "running", "compensating", "completed", "compensated", "parked"}

// String is the name of the phase.
func (p Phase) String() string { return phaseNames[p] }

// Resting tells whether nothing happens by itself any more.
func (p Phase) Resting() bool { return p >= Completed }

// Execution is how far the execution of a step has come.
type Execution uint8

// The states of an execution.
const (
	// Waiting: it is not its turn.
	Waiting Execution = iota
	// Open: it is its turn; it may have been sent, and its outcome is not known.
	Open
	// Done: it took effect.
	Done
	// Refused: it was refused, and nothing happened.
	Refused
)

var executionNames = [...]string{"waiting", "open", "done", "refused"}

// String is the name of the execution's state.
func (e Execution) String() string { return executionNames[e] }

// Compensation is how far the compensation of a step has come.
type Compensation uint8

// The states of a compensation.
const (
	// NotOwed: there is nothing to undo.
	NotOwed Compensation = iota
	// Owed: it was decided to undo what may have been done.
	Owed
	// Undone: nothing of the step is left.
	Undone
)

var compensationNames = [...]string{"none", "owed", "done"}

// String is the name of the compensation's state.
func (c Compensation) String() string { return compensationNames[c] }

// State is a saga at one moment: the fold of its events up to Seq.
type State struct {
	// Seq is the number of the last event.
	Seq   int
	Phase Phase
	// Current is the index of the step that is open, or was when the saga turned back.
	Current int
	Steps   []StepState
	// Cause says why the saga compensates or is parked.
	Cause string
	// Direction is the phase that a parked saga was in, and goes on in when it is retried.
	Direction Phase
	// Paused: a person has stopped it; nothing is sent until it is resumed.
	Paused bool
	// Deadline is when it compensates if it has not come to its pivot.
	Deadline time.Time
	// NextAt is when to try again; zero means now.
	NextAt time.Time
}

// StepState is one step of a saga at one moment.
type StepState struct {
	Execution Execution
	// Attempts is how many executions, and look-ups of them, have come to an outcome, an unknown one included, since
	// somebody last looked. One that is pending, or was not found, costs none.
	Attempts int
	// Pending: the last answer, to the execution or to the compensation, was that the participant has taken it over.
	Pending bool
	// Doubt: an execution came to an unknown outcome, and is to be looked up before it is tried again.
	Doubt bool
	// Result is what the step's execution answered, as JSON, for later steps.
	Result json.RawMessage
	// Info is what was said with its refusal.
	Info         Info
	Compensation Compensation
	// BackAttempts is the same of compensations.
	BackAttempts int
}

// Cancellable tells whether a client may still have the saga compensated: it goes forward and its pivot has
// not been opened.
func (s State) Cancellable(def Definition) bool {
	return s.Phase == Running && def.Steps[s.Current].Kind == Compensatable
}

// MoneyAtRisk tells whether the customer's money may be held for nothing: it may be held, and the saga turns back or waits
// for a person.
func (s State) MoneyAtRisk(def Definition) bool {
	return (s.Phase == Compensating || s.Phase == Parked) && s.MoneyHeld(def)
}

// MoneyHeld tells whether the customer's money may be held: a step that takes it or sets it aside may have done so, and that
// is not undone.
func (s State) MoneyHeld(def Definition) bool {
	for i, step := range def.Steps {
		if st := s.Steps[i]; step.Money && st.mayHaveHappened() && st.Compensation != Undone {
			return true
		}
	}
	return false
}

// InDoubt tells whether the saga is at a step that came to an unknown outcome, or at such a compensation.
func (s State) InDoubt() bool {
	if i, owed := s.owed(); owed {
		return s.Steps[i].BackAttempts > 0
	}
	return !s.Phase.Resting() && s.Steps[s.Current].Attempts > 0
}

// mayHaveHappened tells whether the step took effect, or nobody knows that it did not.
func (s StepState) mayHaveHappened() bool { return s.Execution == Done || s.Execution == Open }

// direction is the phase the saga is in, or goes on in.
func (s State) direction() Phase {
	if s.Phase == Parked {
		return s.Direction
	}
	return s.Phase
}

// At is the index of the step that the saga is at: the open one, or the one that is compensated next.
func (s State) At() int {
	if i, owed := s.owed(); owed {
		return i
	}
	return s.Current
}

// owed is the index of the step to compensate next: the last one owed.
func (s State) owed() (int, bool) {
	for i := len(s.Steps) - 1; i >= 0; i-- {
		if s.Steps[i].Compensation == Owed {
			return i, true
		}
	}
	return 0, false
}

// clone copies the state, so that folding never changes a state somebody holds.
func (s State) clone() State {
	s.Steps = append([]StepState(nil), s.Steps...)
	return s
}
