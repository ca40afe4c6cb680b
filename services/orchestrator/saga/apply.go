package saga

import (
	"fmt"
	"slices"
	"time"
)

// Start is the first event of a saga.
func Start(def Definition, now time.Time) Event {
	return Event{Seq: 1, Type: Started, At: now, Detail: Detail{Deadline: now.Add(def.Deadline)}}
}

// ParkUnreadable is the event with which a saga is parked that cannot be folded, because its history or its definition
// cannot be read. LastSeq is the number of its last event.
func ParkUnreadable(lastSeq int, cause string, now time.Time) Event {
	return Event{Seq: lastSeq + 1, Type: SagaParked, At: now, Detail: Detail{Cause: cause}}
}

// legal says in which phases each type of event can happen; phase 0 is a saga that does not exist yet. What can
// happen to a parked saga is only what a person does.
var legal = map[EventType][]Phase{
	Started:             {0},
	StepDone:            {Running},
	StepRefused:         {Running},
	StepUnknown:         {Running},
	StepPending:         {Running},
	StepNotFound:        {Running},
	SagaCompleted:       {Running},
	CompensationDecided: {Running, Parked},
	StepCompensated:     {Compensating},
	CompensationUnknown: {Compensating},
	CompensationPending: {Compensating},
	SagaCompensated:     {Compensating},
	SagaParked:          {Running, Compensating},
	SagaPaused:          {Running, Compensating},
	SagaResumed:         {Running, Compensating},
	SagaRetried:         {Running, Compensating, Parked},
	StepResolved:        {Running, Compensating, Parked},
	StepRuledOut:        {Running, Parked},
	StepSkipped:         {Running, Compensating, Parked},
}

// Apply gives the state after an event. An event that cannot follow on the state is an error: the history is
// damaged, belongs to another definition, or a person wants what is not possible.
func Apply(def Definition, s State, e Event) (State, error) {
	illegal := func(why string) (State, error) {
		return State{}, fmt.Errorf("event %d %s of step %q cannot follow in phase %s: %s", e.Seq, e.Type, e.Step, s.Phase, why)
	}
	if e.Seq != s.Seq+1 {
		return illegal(fmt.Sprintf("the last event was %d", s.Seq))
	}
	if !slices.Contains(legal[e.Type], s.Phase) {
		return illegal("not in this phase")
	}
	s = s.clone()
	s.Seq, s.NextAt = e.Seq, time.Time{}
	if e.Type == Started {
		if len(def.Steps) == 0 {
			return illegal("the definition has no steps")
		}
		s.Phase, s.Deadline = Running, e.Deadline
		s.Steps = make([]StepState, len(def.Steps))
		s.Steps[0].Execution = Open
		return s, nil
	}
	if len(s.Steps) != len(def.Steps) {
		return illegal("the state is one of another definition")
	}
	if !e.Type.ofStep() {
		if why := s.refuses(def, e); why != "" {
			return illegal(why)
		}
		return s.applyToSaga(def, e), nil
	}
	i := def.index(e.Step)
	if i < 0 {
		return illegal("there is no such step")
	}
	if i != s.At() || (s.direction() == Compensating && s.Steps[i].Compensation != Owed) {
		return illegal("it is not the step's turn")
	}
	if why := s.refusesFor(def.Steps[i], i, e); why != "" {
		return illegal(why)
	}
	s.applyToStep(def.Steps[i], i, e)
	return s, nil
}

// refuses says why an event of the whole saga is not possible, or "".
func (s State) refuses(def Definition, e Event) string {
	step := s.Steps[s.Current]
	switch {
	case e.Step != "":
		return "it is not of a step"
	case e.Cause == "" && (e.Type == SagaParked || e.Type == CompensationDecided):
		return "it has no cause"
	case e.Type == SagaPaused && s.Paused:
		return "it is paused already"
	case e.Type == SagaResumed && !s.Paused:
		return "it is not paused"
	case e.Type == SagaCompleted && (s.Current < len(s.Steps)-1 || step.Execution != Done):
		return "not every step is done"
	case e.Type == SagaCompensated && s.Steps[s.At()].Compensation == Owed:
		return "not every step is undone"
	case e.Type != CompensationDecided:
		return ""
	case s.direction() == Compensating:
		return "it compensates already"
	case step.Execution == Done, def.Steps[s.Current].Kind == Retriable:
		return "its pivot is done, there is no way back"
	case def.Steps[s.Current].Kind == Pivot && step.Execution == Open:
		return "its pivot is open and may have happened: find out, and resolve it or rule it out"
	}
	return ""
}

// refusesFor says why what happened to a step, or what a person wants of it, is not possible, or "".
func (s State) refusesFor(step Step, i int, e Event) string {
	open := s.Steps[i].Execution == Open
	switch {
	case s.direction() == Compensating:
		if e.Type == StepRuledOut {
			return "the saga compensates; resolve the compensation"
		}
	case e.Type == StepSkipped && step.Kind != Retriable:
		return "only a step behind the pivot can be left out"
	case !open && (s.Steps[i].Execution != Refused || e.Type != StepResolved && e.Type != StepSkipped):
		return "it is not open"
	case e.Type == StepRuledOut && step.Kind == Retriable:
		return "behind the pivot there is no way back: skip it"
	case e.Type == StepNotFound && !s.Steps[i].Doubt:
		return "it was not looked up"
	}
	return ""
}

func (s *State) applyToStep(step Step, i int, e Event) {
	st := &s.Steps[i]
	before := *st
	st.Pending, st.Doubt, s.NextAt = false, false, e.RetryAt
	switch e.Type {
	case StepDone:
		st.Attempts++
		s.done(i, e)
	case StepRefused:
		st.Attempts++
		st.Execution, st.Info = Refused, e.Info
	case StepRuledOut:
		st.Execution = Refused
		s.unpark()
	case StepUnknown:
		st.Attempts++
		st.Doubt = step.Lookup != ""
	case StepPending, CompensationPending:
		st.Pending, st.Doubt = true, before.Doubt
	case StepCompensated:
		st.BackAttempts++
		st.Compensation = Undone
	case CompensationUnknown:
		st.BackAttempts++
	case StepResolved, StepSkipped:
		if s.direction() == Compensating {
			st.Compensation = Undone
		} else {
			s.done(i, e)
		}
		s.unpark()
	}
}

// done closes a step and opens the next one.
func (s *State) done(i int, e Event) {
	s.Steps[i].Execution, s.Steps[i].Result = Done, e.Result
	if i+1 < len(s.Steps) {
		s.Current, s.Steps[i+1].Execution = i+1, Open
	}
}

func (s State) applyToSaga(def Definition, e Event) State {
	switch e.Type {
	case CompensationDecided:
		s.Phase, s.Cause, s.Direction = Compensating, e.Cause, 0
		s.Steps[s.Current].Pending = false
		for i, step := range def.Steps[:s.Current+1] {
			if step.Compensate != "" && s.Steps[i].mayHaveHappened() {
				s.Steps[i].Compensation = Owed
			}
		}
	case SagaCompleted:
		s.Phase = Completed
	case SagaCompensated:
		s.Phase = Compensated
	case SagaParked:
		s.Direction, s.Phase, s.Cause = s.Phase, Parked, e.Cause
	case SagaPaused:
		s.Paused = true
	case SagaResumed:
		s.Paused = false
	case SagaRetried:
		s.unpark()
		at := &s.Steps[s.At()]
		at.Attempts, at.BackAttempts, at.Pending = 0, 0, false
		if s.Phase == Running && at.Execution == Refused {
			at.Execution = Open // a person has mended what refused it
		}
	}
	return s
}

// unpark lets a parked saga go on in its direction.
func (s *State) unpark() {
	if s.Phase != Parked {
		return
	}
	s.Phase, s.Direction = s.Direction, 0
	if s.Phase == Running {
		s.Cause = ""
	}
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
