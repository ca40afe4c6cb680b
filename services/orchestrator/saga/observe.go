package saga

import (
	"encoding/json"
	"fmt"
	"time"
)

// OutcomeKind is what is known of a call after it.
type OutcomeKind uint8

// The kinds of outcomes. A call that was never sent has none.
const (
	// Success: it took effect.
	Success OutcomeKind = iota + 1
	// Refusal: it was refused, and nothing happened.
	Refusal
	// Unknown: it may have taken effect or not.
	Unknown
	// Denied: the caller is not let in. It is a mistake in the configuration and must not loop.
	Denied
	// Pending: the participant has taken it over and will tell by event, or when asked again; costs no attempt.
	Pending
	// NotFound: the participant, looked up, has never seen it. Of another call it is a refusal.
	NotFound
)

var outcomeNames = [...]string{"", "success", "refusal", "unknown", "denied", "pending", "not found"}

// String is the name of the kind.
func (k OutcomeKind) String() string { return outcomeNames[k] }

// Outcome is what came of a call.
type Outcome struct {
	Kind OutcomeKind
	// Result is what a success answered, as JSON; may be empty.
	Result json.RawMessage
	// Cause says why it was no success, for people.
	Cause string
	// Info is the same for machines: Refusal.
	Info Info
	// RetryAfter is how long the other side asked to be left alone: Unknown, Pending.
	RetryAfter time.Duration
}

// Observe says what the outcome of an Execute, LookUp or Compensate command means, as the events to be recorded, all
// or none. That a step is still pending is none: when to ask about it again is the caller's to say. Jitter is drawn from
// [0, 1).
func Observe(def Definition, s State, c Command, o Outcome, now time.Time, jitter float64) []Event {
	r := recorder{def: def, state: s, now: now}
	step := def.Steps[c.Step]
	if o.Kind == NotFound && c.Op != LookUp {
		o.Kind = Refusal
	}
	switch {
	case o.Kind == Denied:
		r.park(fmt.Sprintf("%s denied: %s", callName(step, c.Op), o.Cause))
	case c.Op == Compensate:
		r.compensated(step, s.Steps[c.Step], o, jitter)
	default:
		r.executed(step, s.Steps[c.Step], o, jitter)
	}
	return r.events
}

// recorder numbers the events of one observation.
type recorder struct {
	def    Definition
	state  State
	now    time.Time
	events []Event
}

func (r *recorder) add(t EventType, step string, d Detail) {
	r.events = append(r.events, Event{Seq: r.state.Seq + 1 + len(r.events), Type: t, Step: step, At: r.now, Detail: d})
}

func (r *recorder) park(cause string) { r.add(SagaParked, "", Detail{Cause: cause}) }

// unknown records an outcome that is not known, with when to ask again; it reports whether the patience is at its end.
func (r *recorder) unknown(t EventType, step string, p Retry, attempts int, o Outcome, jitter float64) (exhausted bool) {
	d := Detail{Cause: o.Cause}
	if attempts < p.Attempts {
		d.RetryAt = r.now.Add(max(p.Wait(attempts, jitter), o.RetryAfter))
	}
	r.add(t, step, d)
	return attempts >= p.Attempts
}

// pending records that the participant is at it, with when to ask again, unless that is known.
func (r *recorder) pending(t EventType, step string, st StepState, p Retry, o Outcome, jitter float64) {
	if !st.Pending {
		r.add(t, step, Detail{Cause: o.Cause, RetryAt: r.now.Add(max(p.Wait(1, jitter), o.RetryAfter))})
	}
}

func (r *recorder) executed(step Step, st StepState, o Outcome, jitter float64) {
	switch o.Kind {
	case Success:
		r.add(StepDone, step.Name, Detail{Result: o.Result})
		if r.def.index(step.Name) == len(r.def.Steps)-1 {
			r.add(SagaCompleted, "", Detail{})
		}
		return
	case Refusal:
		r.add(StepRefused, step.Name, Detail{Cause: o.Cause, Info: o.Info})
		r.turn(step.Kind != Retriable, fmt.Sprintf("%s refused: %s", step.Name, o.Cause))
		return
	case NotFound:
		r.add(StepNotFound, step.Name, Detail{Cause: o.Cause})
		return
	case Pending:
		r.pending(StepPending, step.Name, st, step.Forward, o, jitter)
		return
	}
	if attempts := st.Attempts + 1; r.unknown(StepUnknown, step.Name, step.Forward, attempts, o, jitter) {
		r.turn(step.Kind == Compensatable, fmt.Sprintf("%s unknown after %d attempts: %s", step.Name, attempts, o.Cause))
	}
}

// turn turns the saga back where that is possible, and parks it where it is not.
func (r *recorder) turn(possible bool, cause string) {
	if !possible {
		r.park(cause)
		return
	}
	r.add(CompensationDecided, "", Detail{Cause: cause})
	r.endIfUndone()
}

func (r *recorder) compensated(step Step, st StepState, o Outcome, jitter float64) {
	switch o.Kind {
	case Success:
		r.add(StepCompensated, step.Name, Detail{})
		r.endIfUndone()
		return
	case Refusal:
		r.park(fmt.Sprintf("compensation of %s refused: %s", step.Name, o.Cause))
		return
	case Pending:
		r.pending(CompensationPending, step.Name, st, step.Back, o, jitter)
		return
	}
	if attempts := st.BackAttempts + 1; r.unknown(CompensationUnknown, step.Name, step.Back, attempts, o, jitter) {
		r.park(fmt.Sprintf("compensation of %s unknown after %d attempts: %s", step.Name, attempts, o.Cause))
	}
}

// endIfUndone ends the saga together with the event that leaves nothing to undo.
func (r *recorder) endIfUndone() {
	s := r.state
	for _, e := range r.events {
		var err error
		if s, err = Apply(r.def, s, e); err != nil {
			return // recording the events says so
		}
	}
	if _, owed := s.owed(); !owed {
		r.add(SagaCompensated, "", Detail{})
	}
}

func callName(s Step, op Op) string {
	switch op {
	case Compensate:
		return s.Compensate
	case LookUp:
		return s.Lookup
	}
	return s.Execute
}
