package crash

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/test/systemtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	every = flag.Bool("every", false, "try every death, not only the sample")
	table = flag.String("table", "", "file that gets a line for each death that was tried")
)

// tries is how often a replay is run whose process does not once come to where it should die.
const tries = 3

// TestCrash_AtEachCut kills processes where a scenario passes, and wants nothing to be lost, done twice or left undone.
func TestCrash_AtEachCut(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	binary := systemtest.Build(t, "-tags", "failpoints")
	report := newReport(t)
	for _, s := range scenarios {
		if !*every && sample[s.name] == nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			tryAll(t, binary, s, report)
		})
	}
	t.Run("rig", func(t *testing.T) {
		t.Parallel()
		noticesAPlantedDefect(t, binary)
	})
	t.Run("release", func(t *testing.T) {
		t.Parallel()
		hasNoFailpoints(t, systemtest.Build(t), binary)
	})
}

// tryAll tries the deaths of a scenario, one after the other.
func tryAll(t *testing.T, binary string, s scenario, report *report) {
	orders := ordersOfSample
	if *every {
		orders = ordersOfAll
	}
	r := newRig(t, binary, s, orders)
	all := r.trace(t)
	if !*every {
		all = sampled(t, s, all)
	}
	for _, e := range all {
		spoilt := false
		t.Run(e.String(), func(t *testing.T) {
			began := time.Now()
			spoilt = true // unless it comes to its end
			wrong, reached := r.replay(t, e)
			for try := 1; try < tries && e.n == 1 && !reached && len(wrong) == 0; try++ {
				wrong, reached = r.replay(t, e)
			}
			spoilt = len(wrong) > 0
			switch {
			case spoilt:
				t.Errorf("%v\nthe sagas:\n%s\nthe log:\n%s\nto try it alone: %s", wrong, r.history(t), r.newLog(), alone(t))
			case !reached && e.n == 1 && e.then == restart: // of two replicas either may come to do it
				t.Errorf("%s does not pass %s any more in %d tries", e.process, e.at(), tries)
			}
			report.add(s, e, verdict(wrong, reached), time.Since(began))
		})
		if spoilt {
			r.close()
			r = newRig(t, binary, s, orders)
		}
	}
	r.world.CheckTimeline(t)
}

func verdict(wrong []error, reached bool) string {
	switch {
	case len(wrong) > 0:
		return "WRONG"
	case !reached:
		return "missed" // the process had less to do than in the trace
	}
	return "ok"
}

// alone is the command that runs a single test of the matrix.
func alone(t *testing.T) string {
	elements := strings.Split(t.Name(), "/")
	for i, element := range elements {
		elements[i] = "^" + regexp.QuoteMeta(element) + "$"
	}
	return fmt.Sprintf("go test ./test/crash -every -run '%s'", strings.Join(elements, "/"))
}

// noticesAPlantedDefect has the orchestrator acknowledge an order that it has not committed, and die when the next one
// comes.
func noticesAPlantedDefect(t *testing.T, binary string) {
	r := newRig(t, binary, scenarios[0], 2)
	e := entry{process: orchestrator, mark: "groupcommit/orchestrator.intake/" + string(failpoint.Before), n: 2, then: restart}
	wrong, reached := r.replay(t, e, "TIEOUT_FAILPOINT_PLANT="+failpoint.AcknowledgeEarly)
	if !reached || len(wrong) != 1 || !strings.Contains(wrong[0].Error(), "acknowledged order") {
		t.Errorf("the process died: %v; found wrong: %v; want the order that was acknowledged and is lost\n%s", reached, wrong, r.newLog())
	}
}
