package saga

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// play is one saga against participants, operators and a clock that are drawn. It keeps what really happened at the
// participants, which the engine learns only from what they answer.
type play struct {
	t       *rapid.T
	def     Definition
	now     time.Time
	s       State
	history []Event
	truth   []truth
	// next looks at each command before it is carried out, outcome at what an outcome is taken to mean.
	next    func(commands []Command)
	outcome func(c Command, o Outcome, jitter float64, events []Event)
}

// truth is what became of a step at its participant.
type truth struct {
	applied bool // it is in effect
	late    bool // it was sent, and may take effect at any time
	closed  bool // it never takes effect any more: it was undone, or ruled out
	excused bool // a person has decided to leave it, or its compensation, out
}

// newPlay draws a definition and starts a saga of it.
func newPlay(t *rapid.T) *play {
	p := &play{t: t, def: drawDefinition(t), now: epoch, next: func([]Command) {}, outcome: func(Command, Outcome, float64, []Event) {}}
	if err := p.def.Check(); err != nil {
		t.Fatal(err)
	}
	p.truth = make([]truth, len(p.def.Steps))
	p.record(Start(p.def, p.now))
	return p
}

// record makes events history. The state they lead to is what the history folds to, at each of them.
func (p *play) record(events ...Event) {
	for _, e := range events {
		var err error
		if p.s, err = Apply(p.def, p.s, e); err != nil {
			p.t.Fatal(err)
		}
		p.history = append(p.history, e)
		folded, err := Fold(p.def, p.history)
		if err != nil || !reflect.DeepEqual(folded, p.s) {
			p.t.Fatalf("the history folds to %+v (%v), not to %+v", folded, err, p.s)
		}
	}
}

// decided tells whether the saga has turned back.
func (p *play) decided() bool {
	return slices.ContainsFunc(p.history, func(e Event) bool { return e.Type == CompensationDecided })
}

// evenly draws from 0 to n-1, n up to 1000, each as often: rapid's own ranges prefer small numbers, and would seldom
// come far or have things happen twice.
func evenly(n int) *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) (drawn int) {
		for range 16 {
			drawn *= 2
			if rapid.Bool().Draw(t, "bit") {
				drawn++
			}
		}
		return drawn % n
	})
}

// one draws one of some values, each as often.
func one[V any](t *rapid.T, of string, values ...V) V {
	return values[evenly(len(values)).Draw(t, of)]
}

// chance is true in so many cases of a hundred.
func (p *play) chance(percent int, of string) bool {
	return evenly(100).Draw(p.t, of) >= 100-percent
}

// trouble plays up to so many commands with participants that fail in every way and operators who step in at any
// moment.
func (p *play) trouble(commands int) {
	for range commands {
		p.land()
		if p.chance(10, "operator") {
			p.operate()
		}
		if p.chance(20, "told") {
			p.tell()
		}
		todo := Next(p.def, p.s, p.now)
		p.next(todo)
		if len(todo) == 0 {
			if p.s.Phase == Completed || p.s.Phase == Compensated {
				return
			}
			p.operate()
			continue
		}
		p.do(todo[0], false)
		p.now = p.now.Add(time.Duration(evenly(400).Draw(p.t, "ms")) * time.Millisecond)
	}
}

// calm plays on with participants that work and nobody who steps in, until there is nothing to do.
func (p *play) calm() {
	most := 6*len(p.def.Steps) + 6
	for range most {
		todo := Next(p.def, p.s, p.now)
		p.next(todo)
		if len(todo) == 0 {
			return
		}
		p.do(todo[0], true)
	}
	p.t.Fatalf("does not come to rest within %d commands although all goes well:\n%v", most, p.history)
}

// do carries out a command.
func (p *play) do(c Command, good bool) {
	switch c.Op {
	case Wait:
		if !c.Until.After(p.now) {
			p.t.Fatalf("waits until %s, at %s", c.Until, p.now)
		}
		if !good && p.chance(30, "woken early") {
			p.now = p.now.Add(c.Until.Sub(p.now) / 2)
			return
		}
		p.now = c.Until
	case Record:
		p.record(c.Event)
	default:
		if !good && p.chance(10, "not sent") {
			return
		}
		o := Outcome{Kind: p.call(c, good), Cause: "drawn"}
		if !good && p.chance(20, "asks to be left alone") {
			o.RetryAfter = 3 * time.Second
		}
		seq := p.s.Seq
		if !good && p.chance(5, "operator during the call") {
			p.operate()
		}
		if p.s.Seq == seq { // else it is stale: somebody else wrote meanwhile
			p.observe(c, o)
		}
	}
}

func (p *play) observe(c Command, o Outcome) {
	jitter := float64(evenly(1000).Draw(p.t, "jitter")) / 1000
	events := Observe(p.def, p.s, c, o, p.now, jitter)
	p.outcome(c, o, jitter, events)
	p.record(events...)
}

// call has the participant of a step do something, and gives its answer, which is never a lie.
func (p *play) call(c Command, good bool) OutcomeKind {
	w := &p.truth[c.Step]
	answer := Success
	switch {
	case good:
	case p.s.Steps[c.Step].Pending && p.chance(50, "still at it"):
		answer = Pending
	default:
		answer = one(p.t, "answer", Success, Success, Success, Success, Refusal, Unknown, Unknown, Pending, Pending, Denied)
	}
	if c.Op == Compensate {
		if answer == Success || (answer == Unknown || answer == Pending) && p.chance(50, "undone") {
			*w = truth{closed: true, excused: w.excused}
		}
		return answer
	}
	switch answer {
	case Success, Refusal:
		switch {
		case w.applied:
			return Success
		case c.Op == LookUp && answer == Success:
			return NotFound // and an execution on its way may still land
		case w.closed || answer == Refusal:
			w.late = false
			return Refusal
		}
		w.applied, w.late = true, false
	case Unknown, Pending:
		w.late = w.late || c.Op == Execute && !w.applied && !w.closed && p.chance(60, "on its way")
	}
	return answer
}

// land lets executions that are on their way take effect.
func (p *play) land() {
	for i := range p.truth {
		if w := &p.truth[i]; w.late && p.chance(40, "lands") {
			w.applied, w.late = true, false
		}
	}
}

// tell has a participant say, unasked, that what it took over is done.
func (p *play) tell() {
	i := p.s.At()
	if p.s.Paused || p.s.Phase.Resting() || !p.s.Steps[i].Pending {
		return
	}
	switch w := &p.truth[i]; {
	case p.decided():
		*w = truth{closed: true, excused: w.excused}
		p.observe(Command{Op: Compensate, Step: i}, Outcome{Kind: Success})
	case w.applied:
		p.observe(Command{Op: Execute, Step: i}, Outcome{Kind: Success})
	}
}

// operate has an operator, who tells the truth, give some instruction, which is refused or recorded.
func (p *play) operate() {
	in := Instruction{
		Verb:  one(p.t, "verb", RetryNow, RetryNow, RetryNow, Resume, Resume, Pause, Resolve, Resolve, RuleOut, Skip, TurnBack),
		Actor: "ann", Reason: "because",
	}
	i, back := p.s.At(), p.decided()
	if p.chance(10, "another step") {
		i = evenly(len(p.def.Steps)).Draw(p.t, "step")
	}
	w := &p.truth[i]
	switch in.Verb {
	case Resolve:
		if !back && !w.applied {
			return
		}
		in.Step = p.def.Steps[i].Name
	case RuleOut:
		if w.applied {
			return
		}
		in.Step = p.def.Steps[i].Name
	case Skip:
		in.Step = p.def.Steps[i].Name
	}
	e, err := Operate(p.def, p.s, in, p.now)
	if err != nil {
		return
	}
	switch {
	case in.Verb == RuleOut, in.Verb == Resolve && back:
		*w = truth{closed: true, excused: w.excused}
	case in.Verb == Skip:
		w.excused = true
	}
	p.record(e)
}

func drawDefinition(t *rapid.T) Definition {
	d := Definition{Name: "random", Version: 1, Deadline: time.Duration(1+evenly(60).Draw(t, "deadline")) * time.Second}
	steps := 1 + evenly(6).Draw(t, "steps")
	pivot := evenly(steps).Draw(t, "pivot")
	for i := range steps {
		s := Step{Name: string(rune('a' + i)), Execute: "do", Forward: drawRetry(t)}
		switch {
		case i < pivot:
			s.Kind, s.Compensate = Compensatable, one(t, "compensate", "undo", "undo", "")
		case i == pivot:
			s.Kind, s.Compensate, s.Lookup = Pivot, one(t, "compensate", "undo", ""), one(t, "lookup", "look", "look", "")
		default:
			s.Kind = Retriable
		}
		if s.Compensate != "" {
			s.Back = drawRetry(t)
		}
		s.Money = (s.Kind != Compensatable || s.Compensate != "") && rapid.Bool().Draw(t, "money")
		d.Steps = append(d.Steps, s)
	}
	return d
}

func drawRetry(t *rapid.T) Retry {
	initial := time.Duration(1+evenly(500).Draw(t, "initial")) * time.Millisecond
	return Retry{
		Timeout: time.Second, Initial: initial, Factor: 1 + float64(evenly(100).Draw(t, "factor"))/50,
		Max: initial * time.Duration(1+evenly(8).Draw(t, "max")), Attempts: 1 + evenly(4).Draw(t, "attempts"),
	}
}

// plays has a test play the same saga with trouble, then calmly, with whatever it has set up looking on.
func plays(t *testing.T, setUp func(*play) (atRest func())) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay(t)
		atRest := setUp(p)
		p.trouble(evenly(60).Draw(t, "trouble"))
		p.calm()
		atRest()
		for p.s.Phase != Completed && p.s.Phase != Compensated {
			verb := RetryNow
			if p.s.Paused && p.s.Phase != Parked {
				verb = Resume
			}
			e, err := Operate(p.def, p.s, Instruction{Verb: verb, Actor: "ann", Reason: "because"}, p.now)
			if err != nil {
				t.Fatalf("%s cannot be let go on by a person: %v", p.s.Phase, err)
			}
			p.record(e)
			p.calm()
		}
		atRest()
	})
}
