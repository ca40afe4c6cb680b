package orchestrator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const (
	// maxBatch is how many sagas' steps one call carries.
	maxBatch = 256
	// maxFlights is how many calls of a lane are under way at once.
	maxFlights = 4
	// maxYielding is how many a call carries that yields to orders; then one call is under way.
	maxYielding = 8
	// yieldFor is how long a lane goes on yielding after the last step of an order: a burst that began between two
	// orders would be under way when the next one comes.
	yieldFor = 2 * time.Second
	// yieldPauses is how many times as long as its last call took a yielding lane leaves the machine to others.
	yieldPauses = 6
)

// notSentWait is how long a lane is blocked after a call that could not be sent.
var notSentWait = saga.Retry{Initial: 200 * time.Millisecond, Factor: 2, Max: 5 * time.Second}

// lane carries the sagas whose next step is one call to its participant: what waits travels together, in the order it
// came. A lane whose calls cannot be sent is blocked for a while; its sagas stay where they are, and it costs them no
// attempt. Then one is sent, and with each call that gets through twice as many, so that a participant that comes back
// is not overrun.
//
// Nobody waits for a payment of a batch as somebody does for an order: its lane yields. As long as there are orders'
// steps in other lanes, and for a moment after, it carries little at a time, and rests after each call.
type lane struct {
	engine *engine
	call   string
	do     action
	yields bool
	// within says that its participant asks nobody outside, so that the time of a call is the system's own.
	within bool
	// retries is how much of what its participant left unknown is asked again.
	retries shed.RetryBudget

	mu      sync.Mutex
	queue   []waiting
	flights int
	limit   int // of the next batch; below maxBatch while the lane comes back
	blocked int // how often in a row nothing could be sent
	// pushedBack says that nothing could be sent because the participant has too much to do.
	pushedBack bool
	timer      *time.Timer
}

// waiting is a saga in a lane with the command that is to be carried out.
type waiting struct {
	*live
	command saga.Command
	since   time.Time // when it came, or the lane came back
}

// push has a saga's command carried out.
func (l *lane) push(w waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.since = time.Now()
	l.queue = append(l.queue, w)
	if !l.yields {
		l.engine.lastStep.Store(time.Now().UnixNano())
	}
	l.launch()
}

// launch starts another flight if there is reason for one. It needs mu.
func (l *lane) launch() {
	flights := maxFlights
	if l.limit < maxBatch {
		flights = 1
	}
	if len(l.queue) > 0 && l.flights < flights && l.timer == nil {
		l.flights++
		l.engine.begin(l.fly)
	}
}

// fly carries batches until nothing waits, or the lane is blocked.
func (l *lane) fly() {
	for {
		yield := l.yields && l.engine.ordersFlow(time.Now())
		l.mu.Lock()
		if len(l.queue) == 0 || l.timer != nil || yield && l.flights > 1 || l.engine.isStopping() {
			l.flights--
			l.mu.Unlock()
			return
		}
		limit := l.limit
		if yield {
			limit = min(limit, maxYielding)
		}
		batch := l.queue[:min(len(l.queue), limit)]
		l.queue = l.queue[len(batch):]
		if len(l.queue) == 0 {
			l.queue = nil // the batch may be the whole of what it held
		}
		l.mu.Unlock()
		begun := time.Now()
		l.carry(batch)
		if yield {
			l.rest(yieldPauses * time.Since(begun))
		}
	}
}

// rest waits, unless the sagas are handed over meanwhile.
func (l *lane) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.engine.shards.parent.Done():
	}
}

// carry makes one call for a batch, and has what came of it written on a goroutine of its own.
func (l *lane) carry(batch []waiting) {
	batch = l.budgeted(l.sift(batch))
	if len(batch) == 0 {
		return
	}
	if !l.engine.shards.leased() {
		l.block(batch, nil)
		return
	}
	waited, sent := time.Since(batch[0].since), time.Now()
	outcomes, notSent := l.engine.call(l, batch)
	if l.engine.isStopping() {
		return // handing over: whoever drives next asks again
	}
	if notSent != nil {
		l.block(batch, notSent)
		return
	}
	l.unblock()
	answered := time.Now()
	if l.within {
		waited += answered.Sub(sent)
	}
	l.engine.begin(func() {
		l.engine.conclude(batch, outcomes)
		if !l.yields {
			l.engine.backlog.Waited(waited + time.Since(answered))
		}
	})
}

// sift takes out the sagas that are not to make this call any more: they were changed meanwhile, or their deadline
// has passed.
func (l *lane) sift(batch []waiting) []waiting {
	now := clock()
	kept := batch[:0:0]
	for _, w := range batch {
		if l.engine.stillDue(w, now) {
			kept = append(kept, w)
		} else {
			l.engine.advance(w.live)
		}
	}
	return kept
}

// block puts a batch back to the front, and lets nothing leave for a while.
func (l *lane) block(batch []waiting, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushedBack = rpcerr.Is(why, rpcerr.Overloaded)
	l.queue = append(batch[:len(batch):len(batch)], l.queue...)
	l.blocked++
	l.limit = 1
	if l.timer != nil {
		return
	}
	wait := notSentWait.Wait(l.blocked, fraction())
	if l.blocked == 1 {
		l.engine.log.Warn("nothing can be sent, sagas wait", slog.String("call", l.call), slog.Int("waiting", len(l.queue)))
	}
	l.timer = time.AfterFunc(wait, l.comeBack)
}

// comeBack lets the first one leave again, after those that cannot wait any longer were taken out.
func (l *lane) comeBack() {
	l.mu.Lock()
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	queue = l.sift(queue)
	for i := range queue {
		queue[i].since = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(queue, l.queue...)
	l.timer = nil
	l.launch()
}

// unblock notes that a call got through.
func (l *lane) unblock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blocked > 0 {
		l.engine.log.Info("sagas go on", slog.String("call", l.call), slog.Int("waiting", len(l.queue)))
		l.blocked, l.pushedBack = 0, false
	}
	l.limit = min(2*l.limit, maxBatch)
	l.launch()
}

// intakePause is how long who hands in many recurring payments waits for the answer, as long as orders flow: what is taken
// in faster than its lane carries it only costs orders their turn.
const intakePause = time.Second

// yieldIntake lets some time pass for orders after so many recurring payments were taken in.
func (e *engine) yieldIntake(ctx context.Context, n int) {
	if n <= maxYielding || !e.ordersFlow(time.Now()) {
		return
	}
	select {
	case <-time.After(intakePause):
	case <-ctx.Done():
	case <-e.stopping:
	}
}

// waits gives how many sagas wait in the lane, and whether it is blocked.
func (l *lane) waits() (sagas int, blocked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue), l.blocked > 0
}

// stillDue tells whether a saga's next command is the one it waits with.
func (e *engine) stillDue(w waiting, now time.Time) bool {
	e.mu.Lock()
	nudged := w.nudged
	e.mu.Unlock()
	if nudged || w.term.over() {
		return false
	}
	if now.Before(w.state.NextAt) {
		return true // it may ask before its time
	}
	next := saga.Next(w.def, w.state, now)
	return len(next) > 0 && next[0].Op == w.command.Op && next[0].Step == w.command.Step
}
