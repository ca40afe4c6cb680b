package saga

import "time"

// Op is what a command asks for.
type Op uint8

// The operations.
const (
	// Execute: call the step's Execute under its key.
	Execute Op = iota + 1
	// Compensate: call the step's Compensate under its key.
	Compensate
	// LookUp: call the step's Lookup under its key, to learn what became of its execution.
	LookUp
	// Wait: do nothing until a time.
	Wait
	// Record: make an event durable.
	Record
)

var opNames = [...]string{"", "execute", "compensate", "look up", "wait", "record"}

// String is the name of the operation.
func (o Op) String() string { return opNames[o] }

// Command is one thing to do.
type Command struct {
	Op Op
	// Step is the index of the step: Execute, Compensate, LookUp.
	Step int
	// Until is when to look again: Wait.
	Until time.Time
	// Event is what to record: Record.
	Event Event
}

// Next says what to do. A saga at rest, or paused by a person, has nothing to do.
func Next(def Definition, s State, now time.Time) []Command {
	switch {
	case s.Paused:
		return nil
	case s.Phase == Running:
		return []Command{forward(def, s, now)}
	case s.Phase == Compensating:
		if i, owed := s.owed(); owed {
			return []Command{unlessWaiting(s, now, Command{Op: Compensate, Step: i})}
		}
		return []Command{{Op: Record, Event: Event{Seq: s.Seq + 1, Type: SagaCompensated, At: now}}}
	}
	return nil
}

func forward(def Definition, s State, now time.Time) Command {
	step, st := def.Steps[s.Current], s.Steps[s.Current]
	switch st.Execution {
	case Done:
		return Command{Op: Record, Event: Event{Seq: s.Seq + 1, Type: SagaCompleted, At: now}}
	case Refused: // ruled out by a person; a refusal is recorded together with what follows from it
		if step.Kind == Retriable {
			return Command{Op: Record, Event: Event{Seq: s.Seq + 1, Type: SagaParked, At: now,
				Detail: Detail{Cause: "step " + step.Name + " was refused"}}}
		}
		return Command{Op: Record, Event: Event{Seq: s.Seq + 1, Type: CompensationDecided, At: now,
			Detail: Detail{Cause: "step " + step.Name + " was ruled out"}}}
	}
	if st.Doubt {
		return unlessWaiting(s, now, Command{Op: LookUp, Step: s.Current})
	}
	if step.Kind != Compensatable {
		return unlessWaiting(s, now, Command{Op: Execute, Step: s.Current})
	}
	if !now.Before(s.Deadline) {
		return Command{Op: Record, Event: Event{Seq: s.Seq + 1, Type: CompensationDecided, At: now,
			Detail: Detail{Cause: "deadline passed at step " + step.Name}}}
	}
	c := unlessWaiting(s, now, Command{Op: Execute, Step: s.Current})
	if c.Op == Wait && s.Deadline.Before(c.Until) {
		c.Until = s.Deadline
	}
	return c
}

func unlessWaiting(s State, now time.Time, c Command) Command {
	if now.Before(s.NextAt) {
		return Command{Op: Wait, Until: s.NextAt}
	}
	return c
}
