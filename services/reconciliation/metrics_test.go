package reconciliation

import (
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// isRunAgeTold tells whether a process that has runs begin by themselves, or not, tells how long ago the last one was.
func (f *runFixture) isRunAgeTold(scheduled bool) bool {
	f.Helper()
	reader := sdkmetric.NewManualReader()
	if err := observeBacklog(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"), f.db, scheduled); err != nil {
		f.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(f.Context(), &all); err != nil {
		f.Fatal(err)
	}
	told, others := false, 0
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			told = told || m.Name == "tieout.reconciliation.run.age"
			others++
		}
	}
	if others < 2 {
		f.Fatal("nothing is told at all")
	}
	return told
}

// An installation that does not use the reconciliation is not behind with it.
func TestRunAge_IsToldWhereRunsAreDueOrWereMade(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	if f.isRunAgeTold(false) {
		t.Error("it is told though nobody wants runs")
	}
	if !f.isRunAgeTold(true) {
		t.Error("it is not told though runs are due, and none has ended")
	}
	f.run(asOf)
	if !f.isRunAgeTold(false) {
		t.Error("it is not told though there was a run")
	}
}
