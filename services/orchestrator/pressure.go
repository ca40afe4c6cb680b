package orchestrator

import (
	"time"

	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// stepWait is how long a step should wait for its call and for being written, at most, and for what its call takes where
// nobody outside is asked. An order has five. It is as long as it is because much that is under way is written together: with
// fewer orders under way each costs more.
const stepWait = 300 * time.Millisecond

// heldBack is how long a retry waits that is beyond the budget.
var heldBack = saga.Retry{Initial: 2 * time.Second, Factor: 1, Max: 2 * time.Second}

// backlogConfig is the orders under way as a backlog: while too many are, new ones are refused before those suffer.
func (e *engine) backlogConfig() shed.BacklogConfig {
	return shed.BacklogConfig{Name: "orders", UnderWay: e.underWay, Target: stepWait}
}

// underWay counts the sagas that are being driven. Those that wait for a time or for a participant that is away cost
// nothing meanwhile, and those of batches yield to orders anyway. While the database is away it is none: new orders go into
// the intake stream.
func (e *engine) underWay() int {
	if e.databaseIsAway() {
		return 0
	}
	e.mu.Lock()
	n := len(e.live) - e.asleep
	e.mu.Unlock()
	for _, l := range e.lanes {
		n -= l.idle()
	}
	return max(n, 0)
}

// idle counts the sagas in the lane that are not under way.
func (l *lane) idle() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.yields || l.blocked > 0 && !l.pushedBack {
		return len(l.queue)
	}
	return 0
}

// classOf is what a call is worth. One that undoes something or comes behind the pivot finishes what was started.
func classOf(call string) shed.Class {
	switch call {
	case callChargeRecurring:
		return shed.Batch
	case callReserve, callCharge, callAuthorize, callSchedule:
		return shed.Step
	}
	return shed.Finish
}

// isWithin tells whether a call asks nobody outside: no payment provider, and no carrier.
func isWithin(call string) bool {
	return call == callReserve || call == callRelease || call == callCommit
}

// budgeted takes out the sagas that would ask again beyond the lane's budget for that; they come back later.
func (l *lane) budgeted(batch []waiting) []waiting {
	kept, now := batch[:0:0], time.Now()
	for _, w := range batch {
		switch {
		case !w.again():
			l.retries.Tried()
		case !l.retries.Take(now):
			l.engine.metrics.heldBack(l.call)
			l.engine.wait(w.live, now.Add(heldBack.Wait(1, fraction())))
			continue
		}
		kept = append(kept, w)
	}
	return kept
}

// again tells whether the command was carried out before, and its outcome is not known.
func (w waiting) again() bool {
	st := w.state.Steps[w.command.Step]
	if w.command.Op == saga.Compensate {
		return st.BackAttempts > 0
	}
	return st.Attempts > 0
}
