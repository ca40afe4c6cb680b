package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/tieout/tieout/test/systemtest"
)

// reachLimit is how long after the orders have ended and all is quiet a process may still come to its cut.
const reachLimit = 3 * time.Second

// replay runs the scenario once more with one death, and tells what went wrong, and whether the process came to die: it
// may have done less this time, as in one batch what was two.
func (r *rig) replay(t *testing.T, e entry, env ...string) (wrong []error, reached bool) {
	r.newLog()
	victim := r.arm(t, e, env)
	ended := make(chan []error, 1)
	go func() { ended <- r.run(t) }()
	select {
	case <-victim.Ended():
		reached = true
		r.bury(t, e, victim)
		wrong = <-ended
	case wrong = <-ended:
		if reached = awaitDeath(victim); !reached {
			victim.Kill()
		}
		r.bury(t, e, victim)
	}
	if !victim.Killed() {
		wrong = append(wrong, fmt.Errorf("%s was to be killed, and ended by itself: %s", e.process, victim))
	}
	wrong = append(wrong, r.gone()...)
	if len(wrong) > 0 {
		return wrong, reached
	}
	return r.check(t), reached
}

// gone tells of the processes that have ended and should not have.
func (r *rig) gone() (wrong []error) {
	for name, p := range r.running {
		select {
		case <-p.Ended():
			wrong = append(wrong, fmt.Errorf("%s ended by itself: %s", name, p))
		default:
		}
	}
	return wrong
}

// arm brings the processes into the state that the scenario begins with, and gives the one that is to die. It is a fresh
// one, for deaths are counted from its start.
func (r *rig) arm(t *testing.T, e entry, env []string) *systemtest.Process {
	if e.process == orchestrator || r.running[orchestrator] == nil {
		r.stop(standby)
	}
	r.stop(e.process)
	for _, name := range services {
		if name != e.process && r.running[name] == nil {
			r.start(t, name)
			r.awaitServing(t, name)
		}
	}
	victim := r.start(t, e.process, append(env, "TIEOUT_FAILPOINT_KILL="+e.at())...)
	r.awaitServing(t, e.process)
	if e.then == takeover {
		r.start(t, standby)
		r.awaitServing(t, standby)
	}
	return victim
}

// bury has the system go on after a death.
func (r *rig) bury(t *testing.T, e entry, victim *systemtest.Process) {
	<-victim.Ended()
	delete(r.running, e.process)
	if e.then == restart {
		r.start(t, e.process)
	}
}

// awaitDeath waits, when all orders have ended, until the process dies or has no more to do.
func awaitDeath(victim *systemtest.Process) bool {
	select {
	case <-victim.Ended():
		return true
	case <-time.After(reachLimit):
		return false
	}
}
