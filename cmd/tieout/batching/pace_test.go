package batching

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
)

func TestPace_FollowsWhatWasSeenLately(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	var p Pace
	want := func(when string, perSecond float64, left time.Duration) {
		t.Helper()
		if p.PerSecond() != perSecond || p.Left(1000) != left {
			t.Errorf("%s: %v a second, 1000 left for %v, want %v and %v", when, p.PerSecond(), p.Left(1000), perSecond, left)
		}
	}
	want("nothing seen", 0, 0)
	p.See(at(0), 0)
	want("seen once", 0, 0)
	for second := 1; second <= 60; second++ {
		p.See(at(second), int64(second*100))
	}
	want("at 100 a second", 100, 10*time.Second)
	for second := 61; second <= 90; second++ {
		p.See(at(second), int64(6000+(second-60)*10))
	}
	want("when it has slowed down", 10, 100*time.Second)
	p.See(at(91), 0)
	want("when what failed begins anew", 0, 0)
	p.See(at(92), 50)
	want("and goes on", 50, 20*time.Second)
	if len(p.seen) > 20 {
		t.Errorf("%d sightings are kept", len(p.seen))
	}
}

func TestSummary_SaysWhatCameOfABatch(t *testing.T) {
	t.Parallel()
	sum := func(minor int64) []*billingv1.Sum {
		return []*billingv1.Sum{{Count: 1, Amount: &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: minor}}}
	}
	b := &billingv1.Batch{
		BatchId: "bat_1", Plan: &billingv1.BatchPlan{Items: 10, Rejected: 1, Sums: sum(1000)},
		Progress: &billingv1.BatchProgress{Succeeded: 5, Failed: 2, Unknown: 1, Cancelled: 2, Collected: sum(500)},
		Proof:    &billingv1.BatchProof{Difference: "2 items are missing"},
	}
	want := Summary{
		BatchID: "bat_1", Items: 10, Rejected: 1, Succeeded: 5, Failed: 2, Unknown: 1, Cancelled: 2, DurationS: 3, RatePerS: 2.667,
		SumMinor: map[string]int64{"EUR": 500}, PlannedMinor: map[string]int64{"EUR": 1000}, Difference: "2 items are missing",
	}
	got := Summarize(b, 3*time.Second)
	if diff := cmp.Diff(want, got); diff != "" || got.All() {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if s := (Summary{Items: 2, Succeeded: 2}); !s.All() {
		t.Error("all was paid, and it does not say so")
	}
	if s := (Summary{Items: 2, Succeeded: 2, Rejected: 1}); s.All() {
		t.Error("a row was rejected, and all is said to be paid")
	}
}
