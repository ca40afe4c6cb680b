package orchestrator

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// pivot is a row of the view saga_pivot.
type pivot struct {
	Definition string
	Version    int
	Step       string
	StepBefore string
}

func TestInvariants_KnowThePivotOfEveryDefinition(t *testing.T) {
	t.Parallel()
	want := map[pivot]bool{}
	for _, d := range definitions() {
		for i, s := range d.Steps {
			if s.Kind == saga.Pivot && i > 0 {
				want[pivot{d.Name, d.Version, s.Name, d.Steps[i-1].Name}] = true
			}
		}
	}
	db := pgtest.Pool(t, Migrations()...)
	got := map[pivot]bool{}
	for _, p := range pgtest.Rows[pivot](t, db, `SELECT definition, version, step, step_before FROM saga_pivot`) {
		got[p] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("saga_pivot (-definitions +view):\n%s", diff)
	}
}
