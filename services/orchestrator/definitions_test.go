package orchestrator

import (
	"slices"
	"strings"
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

func TestDefinitions_AreKeptAsTheyAreWithTheirPivots(t *testing.T) {
	t.Parallel()
	db, calls := pgtest.Pool(t, Migrations()...), peers{}.actions()
	for range 2 { // a second start finds what the first wrote
		d, err := registered(t.Context(), db, calls, orderSagas...)
		if err != nil {
			t.Fatal(err)
		}
		want := map[definitionKey]saga.Definition{{"order", 1}: orderV1, {"order", 2}: orderV2}
		if diff := cmp.Diff(want, d.known(), cmp.AllowUnexported(definitionKey{})); diff != "" {
			t.Errorf("definitions (-want +got):\n%s", diff)
		}
	}
	want := []pivot{{"order", 1, stepShip, stepCharge}, {"order", 2, stepShip, stepAuthorize}}
	got := pgtest.Rows[pivot](t, db, `SELECT definition, version, step, step_before FROM saga_pivot ORDER BY version`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("saga_pivot (-want +got):\n%s", diff)
	}
}

func TestDefinitions_RefuseWhatCannotBeDriven(t *testing.T) {
	t.Parallel()
	db, calls := pgtest.Pool(t, Migrations()...), peers{}.actions()
	if _, err := registered(t.Context(), db, calls, orderV1); err != nil {
		t.Fatal(err)
	}
	changed, wrong, nowhere := orderV1, orderV2, orderV2
	changed.Deadline *= 2
	wrong.Steps = wrong.Steps[:2]
	nowhere.Steps = slices.Clone(nowhere.Steps)
	nowhere.Steps[0].Execute = "warehouse.Fetch"
	for want, def := range map[string]saga.Definition{
		"give the changed one a new version": changed,
		"has 0 pivots":                       wrong,
		`names call "warehouse.Fetch"`:       nowhere,
	} {
		if _, err := registered(t.Context(), db, calls, def); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
}
