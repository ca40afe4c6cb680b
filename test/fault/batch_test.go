package fault

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

var (
	batchItems = flag.Int("fault.batch-items", 400, "how many payments the batch has whose services are killed")
	batchSeeds = flag.Int("fault.batch-seeds", 1, "with how many seeds it is done")
)

// TestKill_ServicesWhileABatchRuns kills billing, orchestrator and payment with SIGKILL at random moments of a batch with
// declines and lost answers, and starts them again. The batch must end by itself, with one charge at the provider for
// each item that succeeded and none for any other, its totals proven, and everything tie out.
func TestKill_ServicesWhileABatchRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	for seed := range *batchSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { killDuringBatch(t, uint64(seed), *batchItems) })
	}
}

func killDuringBatch(t *testing.T, seed uint64, items int) {
	random := rand.New(rand.NewPCG(seed, 1))
	w := systemtest.NewWorld(t)
	split := w.Split(t)
	batches := billingv1.NewBatchServiceClient(split.Dial(t, "billing"))
	if _, err := batches.ListBatches(t.Context(), &billingv1.ListBatchesRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	file := systemtest.PaymentFile(items, func(int) string {
		switch p := random.Float64(); {
		case p < 0.02:
			return "pm_declined"
		case p < 0.03:
			return "pm_timeout_after"
		}
		return "pm_ok"
	})
	planned, err := systemtest.Upload(t.Context(), batches, "upload-batch", &billingv1.BatchHeader{Name: "batch"}, file)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-batch", BatchId: planned.GetBatchId()})
	if err != nil {
		t.Fatal(err)
	}
	const kills = 6
	for i := range kills {
		at := (i*items + random.IntN(items)) / kills
		awaitSettled(t, w, at)
		name := []string{"billing", "orchestrator", "payment"}[random.IntN(3)]
		split.Kill(t, name)
		split.Start(t, name)
	}
	ended := systemtest.EndBatch(t, batches, planned.GetBatchId(), 10*time.Minute)
	p := ended.GetProgress()
	t.Logf("seed %d: %d items, %d kills, ended after %.1f s: %v", seed, items, kills, time.Since(begun).Seconds(), p)
	if int(p.GetSucceeded()+p.GetFailed()) != items || !ended.GetProof().GetHolds() {
		t.Errorf("ended as %v, proof %v", p, ended.GetProof())
	}
	charged, sum := map[string]int{}, int64(0)
	for _, e := range w.PSP.Journal() {
		if e.Type == pspsim.TypeCharge {
			charged[e.Reference]++
			sum += e.AmountMinor
		}
	}
	for reference, n := range charged {
		if n != 1 {
			t.Errorf("%s was charged %d times", reference, n)
		}
	}
	if len(charged) != int(p.GetSucceeded()) || sum != p.GetCollected()[0].GetAmount().GetMinorUnits() {
		t.Errorf("the provider charged %d payments, %d in all; the batch says %v", len(charged), sum, p)
	}
	w.CheckQuiet(t, split.DialAll(t)...)
}

// awaitSettled waits until so many items of the batch have an outcome.
func awaitSettled(t *testing.T, w *systemtest.World, n int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for settled := 0; settled < n; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
		if err := w.Pool["billing"].QueryRow(t.Context(), `SELECT succeeded + failed FROM batch`).Scan(&settled); err != nil {
			t.Fatal(err)
		}
	}
}
