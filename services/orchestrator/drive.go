package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// run is a saga at one moment.
type run struct {
	view  sagaView
	def   saga.Definition
	state saga.State
	// events is its history, where it was read for somebody to see.
	events []saga.Event
}

// driven is a run with what it is for.
type driven struct {
	run
	subject subject
}

// reloadWait is how long to wait before a saga that could not be read or written is read again.
var reloadWait = saga.Retry{Initial: 200 * time.Millisecond, Factor: 2, Max: 30 * time.Second}

// pendingWait is how long to wait before a participant that has taken a step over is asked about it again.
var pendingWait = saga.Retry{Initial: 200 * time.Millisecond, Factor: 2, Max: 5 * time.Second}

const (
	// maxFailures is how often in a row a saga that cannot be understood is read before it is parked.
	maxFailures = 5
	// maxAwaited is the same where this build does not have the saga's definition: a replica that has it may be about to
	// take the shard over, as in an upgrade.
	maxAwaited = untilSomeoneLooks
)

// call carries out the commands of a batch, which are all of one lane, in one call. NotSent is why nothing of the batch
// was sent, if nothing was.
func (e *engine) call(l *lane, batch []waiting) (outcomes []saga.Outcome, notSent error) {
	calls, now := make([]stepCall, len(batch)), clock()
	var timeout time.Duration
	for i, w := range batch {
		step := w.def.Steps[w.command.Step]
		calls[i] = stepCall{
			key: stepKey(w.view.id, step.Name), sagaID: w.view.id, subject: w.subject, result: w.result, epoch: w.term.epoch,
			traceparent: w.trace.ask(w.view, w.command.Op, now, e.slow),
		}
		timeout = max(timeout, patienceOf(step, w.command.Op).Timeout)
	}
	ctx, cancel := context.WithTimeout(shed.WithClass(e.shards.parent, classOf(l.call)), timeout)
	defer cancel()
	begun, sent := time.Now(), false
	answers, err := l.do(ctx, calls)
	outcomes = make([]saga.Outcome, len(batch))
	counts := map[saga.OutcomeKind]int{}
	for i := range batch {
		a := answer{err: err}
		if err == nil {
			a = answers[i]
		}
		var itemSent bool
		outcomes[i], itemSent = classify(a.result, a.err)
		if batch[i].command.Op == saga.LookUp {
			outcomes[i] = lookedUp(outcomes[i], a.err)
		}
		if sent = sent || itemSent; !itemSent {
			outcomes[i].Kind = 0
		}
		counts[outcomes[i].Kind]++
		if !sent {
			notSent = a.err
		}
	}
	e.metrics.called(ctx, l.call, counts, time.Since(begun))
	if sent {
		return outcomes, nil
	}
	return outcomes, notSent
}

func patienceOf(s saga.Step, op saga.Op) saga.Retry {
	if op == saga.Compensate {
		return s.Back
	}
	return s.Forward
}

// conclude makes durable what came of a batch, and passes its sagas on.
func (e *engine) conclude(batch []waiting, outcomes []saga.Outcome) {
	sagas, events := make([]*live, 0, len(batch)), make([][]saga.Event, 0, len(batch))
	for i, w := range batch {
		if outcomes[i].Kind == 0 { // not sent, while others of the batch were
			w.notSent++
			e.wait(w.live, time.Now().Add(notSentWait.Wait(w.notSent, fraction())))
			continue
		}
		w.notSent = 0
		happened, err := observe(w, outcomes[i])
		if err != nil {
			e.undriveable(w.live, err)
			continue
		}
		if len(happened) == 0 { // it is still pending
			w.pendings++
			e.wait(w.live, time.Now().Add(max(pendingWait.Wait(w.pendings, fraction()), outcomes[i].RetryAfter)))
			continue
		}
		w.pendings = 0
		sagas, events = append(sagas, w.live), append(events, happened)
	}
	e.write(sagas, events)
}

// observe is saga.Observe, with a panic as an error of the saga.
func observe(w waiting, o saga.Outcome) (events []saga.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("observing %s: panic: %v\n%s", w.command.Op, p, debug.Stack())
		}
	}()
	return saga.Observe(w.def, w.state, w.command, o, clock(), fraction()), nil
}

// write makes events of sagas durable, and passes the sagas on.
func (e *engine) write(sagas []*live, events [][]saga.Event) {
	good, writes := sagas[:0:0], make([]transition, 0, len(sagas))
	for i, l := range sagas {
		t, err := l.transit(events[i])
		if err != nil {
			e.undriveable(l, err)
			continue
		}
		t.epoch, t.isTraced = l.term.epoch, l.trace.recorded
		good, writes = append(good, l), append(writes, t)
	}
	if len(writes) > 0 {
		e.commit(good, writes)
	}
}

// commit makes transitions of sagas durable, and passes the sagas on.
func (e *engine) commit(sagas []*live, writes []transition) {
	ctx := context.WithoutCancel(e.shards.parent)
	durable := writes[:0:0]
	results := e.transitions.DoAll(ctx, writes)
	for i, r := range results {
		if r.Err == nil {
			durable = append(durable, writes[i])
		}
	}
	e.metrics.recorded(ctx, durable)
	e.metrics.ended(ctx, sagas, writes, results)
	for i, r := range results {
		e.written(ctx, sagas[i], writes[i], r.Err)
	}
}

// written goes on with a saga after its transition was written, or was not.
func (e *engine) written(ctx context.Context, l *live, t transition, err error) {
	switch {
	case err == nil:
		e.announce(ctx, t)
		e.trace(l.trace.take(t.after, l.subject.reference, t.events, e.slow))
		if l.failures, l.state, l.view = 0, t.state, t.after; t.after.phase.Resting() {
			e.drop(l)
			return
		}
		e.advance(l)
	case errors.Is(err, errStale):
		e.reader.push(l)
	case errors.Is(err, errFenced):
		e.shards.lost(l.term)
		e.drop(l)
	default:
		e.again(l, err)
	}
}

// undriveable has a saga that cannot be understood read again, and parks it when that does not help: the others of
// its shard go on.
func (e *engine) undriveable(l *live, why error) {
	most := maxFailures
	if errors.Is(why, errNoDefinition) {
		most = maxAwaited
	}
	if l.failures < most {
		e.again(l, why)
		return
	}
	l.failures = 0
	parked := saga.ParkUnreadable(l.view.seq, fmt.Sprintf("cannot be driven: %v", why), clock())
	t := transition{view: l.view, events: []saga.Event{parked}, after: l.view, epoch: l.term.epoch}
	t.after.phase, t.after.cause, t.after.seq, t.after.nextAt = saga.Parked, parked.Cause, parked.Seq, time.Time{}
	t.after.atRisk = true // as far as anybody knows
	e.begin(func() { e.commit([]*live{l}, []transition{t}) })
}

// fraction draws from [0, 1).
func fraction() float64 { return rand.Float64() }

// stepKey is the idempotency key of a step: the same at every attempt, and for execute and compensate.
func stepKey(sagaID SagaID, step string) string { return "saga/" + sagaID.String() + "/" + step }

// result is what a step that is done answered; nil for one that is not.
func (r run) result(step string) json.RawMessage {
	for i, s := range r.state.Steps {
		if r.def.Steps[i].Name == step && s.Execution == saga.Done {
			return s.Result
		}
	}
	return nil
}

// become makes the view that of a state, which the saga came to at a time.
func (v *sagaView) become(def saga.Definition, s saga.State, at time.Time) {
	v.phase, v.step, v.cause, v.seq = s.Phase, stepOf(def, s), s.Cause, s.Seq
	v.paused, v.nextAt, v.atRisk, v.updatedAt = s.Paused, s.NextAt, s.MoneyAtRisk(def), at
}
