package saga

import (
	"fmt"
	"time"
)

// Start is the first event of a saga.
func Start(def Definition, now time.Time) Event {
	return Event{Seq: 1, Type: Started, At: now, Detail: Detail{Deadline: now.Add(def.Deadline)}}
}

// Apply gives the state after an event. An event that cannot follow on the state is an error: the history is
// damaged, or belongs to another definition.
func Apply(def Definition, s State, e Event) (State, error) {
	illegal := func(why string) (State, error) {
		return State{}, fmt.Errorf("event %d %s of step %q cannot follow in phase %s: %s", e.Seq, e.Type, e.Step, s.Phase, why)
	}
	if e.Seq != s.Seq+1 {
		return illegal(fmt.Sprintf("the last event was %d", s.Seq))
	}
	if !legal[s.Phase][e.Type] {
		return illegal("not in this phase")
	}
	s = s.clone()
	s.Seq, s.NextAt = e.Seq, time.Time{}
	if e.Type == Started {
		s.Phase, s.Deadline = Running, e.Deadline
		s.Steps = make([]StepState, len(def.Steps))
		s.Steps[0].Execution = Open
		return s, nil
	}
	if e.Step == "" {
		return s.applyToSaga(def, e), nil
	}
	i := def.index(e.Step)
	if i < 0 {
		return illegal("there is no such step")
	}
	if back, owed := s.owed(); (s.Phase == Running && i != s.Current) || (s.Phase == Compensating && (!owed || i != back)) {
		return illegal("it is not the step's turn")
	}
	s.applyToStep(i, e)
	return s, nil
}

// legal is the events that can happen in each phase; phase 0 is a saga that does not exist yet.
var legal = map[Phase]map[EventType]bool{
	0: {Started: true},
	Running: {
		StepDone: true, StepRefused: true, StepUnknown: true,
		CompensationDecided: true, SagaCompleted: true, SagaParked: true,
	},
	Compensating: {StepCompensated: true, CompensationUnknown: true, SagaCompensated: true, SagaParked: true},
}

func (s *State) applyToStep(i int, e Event) {
	step := &s.Steps[i]
	switch e.Type {
	case StepDone:
		step.Execution, step.Result = Done, e.Result
		if i+1 < len(s.Steps) {
			s.Current, s.Steps[i+1].Execution = i+1, Open
		}
	case StepRefused:
		step.Execution = Refused
	case StepUnknown:
		step.Attempts++
		s.NextAt = e.RetryAt
	case StepCompensated:
		step.Compensation = Undone
	case CompensationUnknown:
		step.BackAttempts++
		s.NextAt = e.RetryAt
	}
}

func (s State) applyToSaga(def Definition, e Event) State {
	switch e.Type {
	case CompensationDecided:
		s.Phase, s.Cause = Compensating, e.Cause
		for i, step := range def.Steps[:s.Current+1] {
			if x := s.Steps[i].Execution; step.Compensate != "" && (x == Done || x == Open) {
				s.Steps[i].Compensation = Owed
			}
		}
	case SagaCompleted:
		s.Phase = Completed
	case SagaCompensated:
		s.Phase = Compensated
	case SagaParked:
		s.Phase, s.Cause = Parked, e.Cause
	}
	return s
}

// Fold gives the state after a history.
func Fold(def Definition, events []Event) (State, error) {
	var s State
	for _, e := range events {
		var err error
		if s, err = Apply(def, s, e); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

func (d Definition) index(step string) int {
	for i := range d.Steps {
		if d.Steps[i].Name == step {
			return i
		}
	}
	return -1
}
