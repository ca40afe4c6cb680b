package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const (
	// scanEvery is how soon an owner notices a live saga that nobody told it of.
	scanEvery = 10 * time.Second
	// resignLimit is how long handing over may take when the process stops.
	resignLimit = 3 * time.Second
)

// engine drives the live sagas of the shards that this replica owns. Each is in memory, and at any moment in one pair
// of hands, which pass it on: it is read, waits for a time, waits in a lane for its call, is called for, or written.
type engine struct {
	pool   *pgxpool.Pool
	outbox *outbox.Outbox
	log    *slog.Logger
	tracer trace.Tracer
	// slow is how long an order may take before it is traced whatever was decided when it came.
	slow        time.Duration
	metrics     engineMetrics
	definitions *definitions
	watchers    *watch.Watchers
	orders      *watch.Hub[orderAt]
	transitions *transitions
	shards      *shards
	waker       *waker
	backlog     *shed.Backlog
	// databaseIsAway says whether nothing can be written at present.
	databaseIsAway func() bool
	lanes          map[string]*lane // by call
	reader         *reader
	timers         *timers
	stopping       <-chan struct{} // closes before the servers of this process are drained
	rescan         periodic.Bell   // shards were taken
	running        sync.WaitGroup  // what is under way for sagas
	lastStep       atomic.Int64    // when a step of an order was last about to be sent, in Unix nanoseconds

	mu      sync.Mutex
	halted  bool // nothing more is begun
	asleep  int  // how many of the live wait for a time
	live    map[SagaID]*live
	pending map[uuid.UUID]*live // those that wait for a participant to tell, by what they are for
}

// live is a saga in memory.
type live struct {
	// Of whoever holds the saga.
	driven
	term     *term
	failures int      // to read or write it, in a row
	notSent  int      // calls that were not sent, in a row
	pendings int      // answers, in a row, that say no more than the history does: it is pending
	asked    bool     // what it waits for may have come: ask now
	counted  standing // what shown was set to
	trace    sagaTrace

	// Guarded by the engine's mu.
	nudged  bool     // somebody else has written to it: it is read again before anything else is done
	waiting bool     // it is with the timers
	shown   standing // what the metrics tell of it

	alarm alarm // the timers'
}

// prepare completes an engine; it does nothing until it runs.
func (e *engine) prepare(actions map[string]action) {
	e.live, e.pending = map[SagaID]*live{}, map[uuid.UUID]*live{}
	e.rescan, e.lanes = periodic.NewBell(), map[string]*lane{}
	for name, do := range actions {
		e.lanes[name] = &lane{engine: e, call: name, do: do, limit: maxBatch, yields: name == callChargeRecurring, within: isWithin(name)}
	}
	e.reader, e.timers = &reader{engine: e}, newTimers(e.due)
}

// run drives until the process begins to stop, and then hands over at once: what is under way is left to whoever
// owns the shards next, who asks again under the same keys.
func (e *engine) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.shards.parent = ctx
	unsubscribe, err := e.waker.listen(hearers{
		woken: e.woken, moved: func(orderID OrderID) { e.orders.Notify(orderID.UUID()) }, paid: e.paid,
	})
	if err != nil {
		return err
	}
	defer unsubscribe()
	go func() {
		select {
		case <-e.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	var duties sync.WaitGroup
	for _, duty := range []periodic.Duty{
		{Name: "shard lease", Every: e.shards.lease / 3, RunOnce: e.renew, Wake: e.waker.free},
		{Name: "saga scan", Every: scanEvery, RunOnce: e.scan, Wake: e.rescan},
	} {
		duty.Log = e.log
		duties.Go(func() { _ = duty.Run(ctx) }) // its only error is a duty that cannot run
	}
	duties.Go(func() { e.timers.run(ctx) })
	duties.Wait()
	e.halt()
	e.running.Wait()
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), resignLimit)
	defer cancel()
	return e.shards.resign(ctx)
}

func (e *engine) renew(ctx context.Context) (again bool, err error) {
	taken, err := e.shards.renew(ctx)
	if taken {
		e.rescan.Ring()
	}
	return false, err
}

// scan finds the live sagas that nobody told this replica of: those of shards it has just taken, and those whose
// wake-up was lost. In the steady state it finds none.
func (e *engine) scan(ctx context.Context) (again bool, err error) {
	ours := e.shards.ours()
	if len(ours) == 0 {
		return false, nil
	}
	found, err := newStore(e.pool).liveSagas(ctx, ours)
	if err != nil {
		return false, err
	}
	for _, sagaID := range found {
		e.adopt(sagaID, nil)
	}
	return false, nil
}

// adopt takes a saga into memory, if its shard is this replica's and it is not there. Known is the saga where it was
// just taken in, nil where it has to be read. It reports whether this replica drives the saga.
func (e *engine) adopt(sagaID SagaID, known *driven) bool {
	t := e.shards.of(shardOf(sagaID))
	if t == nil {
		return false
	}
	e.mu.Lock()
	if held := e.live[sagaID]; held != nil {
		e.mu.Unlock()
		if held.term != t {
			e.timers.fire(held) // it is in memory from an earlier term, and drops out
		}
		return true
	}
	l := &live{term: t}
	l.view.id = sagaID
	if known != nil {
		l.driven = *known
	}
	e.live[sagaID] = l
	e.mu.Unlock()
	if known == nil {
		e.reader.push(l)
	} else {
		e.advance(l)
	}
	return true
}

// takeIn has sagas driven that were just written, by whoever owns their shards.
func (e *engine) takeIn(def saga.Definition, begun []transition, subjects []subject) {
	var others []SagaID
	for i, t := range begun {
		if !e.adopt(t.after.id, &driven{run: run{view: t.after, def: def, state: t.state}, subject: subjects[i]}) {
			others = append(others, t.after.id)
		}
	}
	e.waker.wake(others)
	e.metrics.began(def.Name, begun, subjects)
}

// changed has sagas looked at again, because somebody else than their owner wrote to them.
func (e *engine) changed(sagaIDs ...SagaID) {
	var others []SagaID
	for _, sagaID := range sagaIDs {
		if !e.nudge(sagaID) {
			others = append(others, sagaID)
		}
	}
	e.waker.wake(others)
}

// woken is changed, as another replica tells it.
func (e *engine) woken(sagaIDs []SagaID) {
	for _, sagaID := range sagaIDs {
		e.nudge(sagaID)
	}
}

// nudge has a saga read again, if its shard is this replica's, which it reports.
func (e *engine) nudge(sagaID SagaID) bool {
	e.mu.Lock()
	l := e.live[sagaID]
	if l == nil {
		e.mu.Unlock()
		return e.adopt(sagaID, nil)
	}
	l.nudged = true
	waits := l.waiting
	e.mu.Unlock()
	if waits {
		e.timers.fire(l)
	}
	return true
}

// due is called with a saga whose time has come.
func (e *engine) due(l *live) {
	e.mu.Lock()
	if l.waiting {
		l.waiting = false
		e.asleep--
	}
	delete(e.pending, l.view.subject)
	e.mu.Unlock()
	e.advance(l)
}

// wait puts a saga down until a time, or until it is nudged.
func (e *engine) wait(l *live, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.isPending() {
		e.pending[l.view.subject] = l
	}
	l.waiting = true
	if e.asleep++; l.nudged {
		until = time.Time{}
	}
	e.timers.add(l, until)
}

// drop forgets a saga that is at rest or not this replica's any more. One that was nudged meanwhile stays.
func (e *engine) drop(l *live) {
	e.mu.Lock()
	over := l.term.over()
	again := l.nudged && !over
	if !again && e.live[l.view.id] == l {
		delete(e.live, l.view.id)
	}
	e.mu.Unlock()
	switch {
	case again:
		e.advance(l)
	case over:
		e.adopt(l.view.id, nil) // the shard may be this replica's again, in another epoch
	}
}

// isNudged takes note of a nudge.
func (e *engine) isNudged(l *live) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	nudged := l.nudged
	l.nudged = false
	return nudged
}

// advance passes a saga on to what is next.
func (e *engine) advance(l *live) {
	switch {
	case l.term.over():
		e.drop(l)
		return
	case len(l.state.Steps) == 0 || e.isNudged(l):
		e.reader.push(l)
		return
	}
	e.next(l)
}

// next does what the saga's state says.
func (e *engine) next(l *live) {
	defer func() {
		if p := recover(); p != nil {
			e.undriveable(l, fmt.Errorf("deciding what is next: panic: %v\n%s", p, debug.Stack()))
		}
	}()
	s := l.state
	if l.asked {
		s.NextAt, l.asked = time.Time{}, false
	}
	commands := saga.Next(l.def, s, clock())
	if len(commands) == 0 {
		e.drop(l)
		return
	}
	e.show(l)
	switch c := commands[0]; c.Op {
	case saga.Wait:
		e.wait(l, c.Until)
	case saga.Record:
		e.begin(func() { e.write([]*live{l}, [][]saga.Event{{c.Event}}) })
	default:
		e.lanes[callOf(l.def.Steps[c.Step], c.Op)].push(waiting{live: l, command: c})
	}
}

// begin does something for sagas on a goroutine of its own, unless the engine has stopped.
func (e *engine) begin(do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.halted {
		e.running.Go(do)
	}
}

func (e *engine) halt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.halted = true
}

// isStopping tells whether the sagas are being handed over.
func (e *engine) isStopping() bool { return e.shards.parent.Err() != nil }

// again has a saga that could not be read or written read again after a while.
func (e *engine) again(l *live, why error) {
	if l.term.over() {
		e.drop(l)
		return
	}
	l.failures++
	e.log.ErrorContext(l.view.logged(l.term.ctx), "saga cannot be driven for now",
		slog.Any("error", why), slog.Int("failures", l.failures))
	l.state.Steps = nil // read it
	e.wait(l, time.Now().Add(reloadWait.Wait(l.failures, fraction())))
}

// ordersFlow tells whether a step of an order came up lately.
func (e *engine) ordersFlow(now time.Time) bool {
	return now.Sub(time.Unix(0, e.lastStep.Load())) < yieldFor
}

// callOf is the call that carries out an operation of a step.
func callOf(s saga.Step, op saga.Op) string {
	switch op {
	case saga.Compensate:
		return s.Compensate
	case saga.LookUp:
		return s.Lookup
	case saga.Execute:
		return s.Execute
	}
	panic(fmt.Sprintf("orchestrator: %s is no call", op))
}
