package billing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func rows(n int, method string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("A-%04d,c-1,%s,1.00,EUR,", i, method)
	}
	return out
}

// limit sets the limit of the default account.
func (f *fixture) limit(key string, rate, concurrency int32) {
	f.Helper()
	r := &billingv1.SetProviderLimitRequest{IdempotencyKey: key, Account: defaultAccount, RatePerSecond: rate, Concurrency: concurrency, Reason: "test"}
	if _, err := f.batches.SetProviderLimit(f.Context(), r); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) held(n int) func() bool {
	return func() bool { _, held, _ := f.orchestrator.count(); return held == n }
}

func TestLifecycle_PausedBatchStartsNothingMoreUntilItIsResumed(t *testing.T) {
	f := setup(t)
	f.limit("limit-0001", 0, 2)
	b := f.plan("dues", rows(5, "pm_held")...)
	f.start(b)
	waittest.Until(t, "two are under way", f.held(2))
	paused, err := f.batches.PauseBatch(t.Context(), &billingv1.PauseBatchRequest{IdempotencyKey: "pause-0001", BatchId: b.GetBatchId(), Reason: "look"})
	if err != nil || paused.GetBatch().GetState() != billingv1.BatchState_BATCH_STATE_PAUSED || paused.GetBatch().GetNote() != "payer: look" {
		t.Fatalf("got %v, %v", paused, err)
	}
	f.orchestrator.release("pm_ok")
	f.settled(b, func(b *billingv1.Batch) bool { return b.GetProgress().GetSucceeded() == 2 })
	other := f.plan("other", "B-1,c-1,pm_ok,1.00,EUR,")
	f.start(other)
	f.end(other) // so that whoever feeds has looked
	if started, _, _ := f.orchestrator.count(); started != 3 {
		t.Errorf("%d were started, want the 2 from before the pause, and the other batch's", started)
	}
	if _, err := f.batches.ResumeBatch(t.Context(), &billingv1.ResumeBatchRequest{IdempotencyKey: "resume-01", BatchId: b.GetBatchId()}); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "two more are under way", f.held(2))
	f.orchestrator.release("pm_ok")
	waittest.Until(t, "the last one is under way", f.held(1))
	f.orchestrator.release("pm_ok")
	if got := f.end(b); got.GetProgress().GetSucceeded() != 5 {
		t.Errorf("got %v", got)
	}
	f.wantClean()
}

func TestLifecycle_CancelledBatchEndsWhatIsUnderWay(t *testing.T) {
	f := setup(t)
	f.limit("limit-0001", 0, 2)
	b := f.plan("dues", rows(5, "pm_held")...)
	f.start(b)
	waittest.Until(t, "two are under way", f.held(2))
	cancel := &billingv1.CancelBatchRequest{IdempotencyKey: "cancel-0001", BatchId: b.GetBatchId(), Reason: "wrong file"}
	answer, err := f.batches.CancelBatch(t.Context(), cancel)
	if err != nil || answer.GetBatch().GetProgress().GetCancelled() != 3 || answer.GetBatch().GetState() != billingv1.BatchState_BATCH_STATE_RUNNING {
		t.Fatalf("got %v, %v", answer, err)
	}
	cancel.IdempotencyKey = "cancel-0002"
	_, err = f.batches.CancelBatch(t.Context(), cancel)
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	f.orchestrator.release("pm_ok")
	got := f.end(b)
	if got.GetState() != billingv1.BatchState_BATCH_STATE_CANCELLED || got.GetProgress().GetSucceeded() != 2 || !got.GetProof().GetHolds() {
		t.Errorf("got %v", got)
	}
	// What was not charged may be charged by another batch of the same file.
	again, err := f.upload("upload-again", &billingv1.BatchHeader{Name: "again"}, heading+joined(rows(5, "pm_held")))
	if err != nil || again.GetPlan().GetDuplicates() != 2 {
		t.Errorf("got %v, %v; want the two that were charged as duplicates", again, err)
	}
	f.wantClean()
}

func joined(rows []string) string {
	var all strings.Builder
	for _, r := range rows {
		all.WriteString(r + "\n")
	}
	return all.String()
}

func TestLifecycle_PlannedBatchIsCancelledAtOnce(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", rows(3, "pm_ok")...)
	if _, err := f.batches.CancelBatch(t.Context(), &billingv1.CancelBatchRequest{IdempotencyKey: "cancel-0001", BatchId: b.GetBatchId(), Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if got := f.end(b); got.GetState() != billingv1.BatchState_BATCH_STATE_CANCELLED || got.GetProgress().GetCancelled() != 3 {
		t.Errorf("got %v", got)
	}
	f.wantClean()
}

func TestLifecycle_CutOffCancelsWhatIsLeft(t *testing.T) {
	f := setup(t)
	f.limit("limit-0001", 0, 2)
	b, err := f.upload("upload-0001", &billingv1.BatchHeader{Name: "dues", CutOffTime: timestamppb.New(time.Now().Add(time.Hour))}, heading+joined(rows(5, "pm_held")))
	if err != nil {
		t.Fatal(err)
	}
	f.start(b)
	waittest.Until(t, "two are under way", f.held(2))
	if _, err := f.db.Exec(t.Context(), `UPDATE batch SET cut_off_at = now()`); err != nil {
		t.Fatal(err)
	}
	f.orchestrator.release("pm_ok")
	got := f.end(b)
	if got.GetState() != billingv1.BatchState_BATCH_STATE_CANCELLED || got.GetProgress().GetSucceeded() != 2 || got.GetProgress().GetCancelled() != 3 {
		t.Errorf("got %v", got)
	}
	if i := f.items(b)[4]; i.GetReason() != "CUT_OFF" {
		t.Errorf("item: %v", i)
	}
	f.wantClean()
}

func TestLifecycle_RefusesWhatDoesNotFitTheState(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", rows(1, "pm_ok")...)
	bid := b.GetBatchId()
	_, err := f.batches.PauseBatch(t.Context(), &billingv1.PauseBatchRequest{IdempotencyKey: "pause-0001", BatchId: bid, Reason: "x"})
	if refusal := rpcerrtest.Want(t, err, rpcerr.BatchStateRefused); refusal.Resource != bid {
		t.Errorf("names %q", refusal.Resource)
	}
	_, err = f.batches.ResumeBatch(t.Context(), &billingv1.ResumeBatchRequest{IdempotencyKey: "resume-01", BatchId: bid})
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	f.start(b)
	f.start(b) // again under its key
	f.end(b)
	_, err = f.batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-again", BatchId: bid})
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	_, err = f.batches.CancelBatch(t.Context(), &billingv1.CancelBatchRequest{IdempotencyKey: "cancel-01", BatchId: bid, Reason: "x"})
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	_, err = f.batches.RetryFailedItems(t.Context(), &billingv1.RetryFailedItemsRequest{IdempotencyKey: "retry-0001", BatchId: bid})
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	empty := f.plan("empty", ",,,,,")
	_, err = f.batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-empty", BatchId: empty.GetBatchId()})
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	nobody := "bat_019a0000-0000-7000-8000-000000000000"
	_, err = f.batches.GetBatch(t.Context(), &billingv1.GetBatchRequest{BatchId: nobody})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "batch_id")
	_, err = f.batches.GetBatch(t.Context(), &billingv1.GetBatchRequest{BatchId: "x"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "batch_id")
	_, err = f.batches.ListBatchItems(t.Context(), &billingv1.ListBatchItemsRequest{BatchId: nobody})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "batch_id")
	if started, _, _ := f.orchestrator.count(); started != 1 {
		t.Errorf("%d were started, want 1", started)
	}
}

// A limit holds for all batches of its account together, and from the moment it is set.
func TestLimit_HoldsForAllBatchesAndMayBeChangedMeanwhile(t *testing.T) {
	f := setup(t)
	f.limit("limit-0001", 0, 4)
	first, second := f.plan("first", rows(20, "pm_held")...), f.plan("second", rows(21, "pm_held")...)
	f.start(first)
	if _, err := f.batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-second", BatchId: second.GetBatchId(), AcceptDuplicates: true}); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "four are under way", f.held(4))
	f.limit("limit-0002", 0, 10)
	waittest.Until(t, "ten are under way", f.held(10))
	if p := f.progress(second); p.GetRunning() == 0 {
		t.Errorf("the second batch waits for the first: %v", p)
	}
	f.limit("limit-0003", 0, 100)
	waittest.Until(t, "all are under way", f.held(41))
	f.orchestrator.release("pm_ok")
	f.end(first)
	f.end(second)
	if _, _, most := f.orchestrator.count(); most > 41 {
		t.Errorf("%d at once", most)
	}
	listed, err := f.batches.ListProviderLimits(t.Context(), &billingv1.ListProviderLimitsRequest{})
	if l := listed.GetLimits(); err != nil || len(l) != 1 || l[0].GetConcurrency() != 100 || l[0].GetSetBy() != "payer" {
		t.Errorf("limits: %v, %v", listed, err)
	}
	f.wantClean()
}

func (f *fixture) progress(b *billingv1.Batch) *billingv1.BatchProgress {
	f.Helper()
	answer, err := f.batches.GetBatch(f.Context(), &billingv1.GetBatchRequest{BatchId: b.GetBatchId()})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetBatch().GetProgress()
}

// No more than the rate and its burst are started in the time that it took.
func TestLimit_RateIsAsMuchAsIsStarted(t *testing.T) {
	f := setup(t)
	const perSecond, items = 10, 20
	f.limit("limit-0001", perSecond, 4)
	b := f.plan("dues", rows(items, "pm_ok")...)
	begun := time.Now()
	f.start(b)
	f.end(b)
	if most := perSecond/10 + int(time.Since(begun).Seconds()*perSecond) + 1; most < items {
		t.Errorf("%d were started in %s, and at most %d may be", items, time.Since(begun), most)
	}
}

// A round that the concurrency leaves nothing to start gives nobody new tokens.
func TestLimit_RateIsNotForgottenWhileAllIsUnderWay(t *testing.T) {
	t.Parallel()
	f := &feeder{limiters: map[string]*rate.Limiter{}, wake: make(chan struct{}, 1)}
	r := running{account: "a", planned: 100, rate: 1, concurrency: 1}
	if n := f.share([]running{r}); n != 1 {
		t.Fatalf("at the beginning: %d may be started, want 1", n)
	}
	r.underWay = 1
	if n := f.share([]running{r}); n != 0 {
		t.Errorf("while one is under way: %d may be started, want none", n)
	}
	r.underWay = 0
	if n := f.share([]running{r}); n != 0 {
		t.Errorf("within the second: %d more may be started, want none", n)
	}
}

func TestLimit_RefusesNonsense(t *testing.T) {
	f := setup(t)
	for field, r := range map[string]*billingv1.SetProviderLimitRequest{
		"concurrency":     {IdempotencyKey: "limit-0001", Account: "a", Reason: "x"},
		"rate_per_second": {IdempotencyKey: "limit-0001", Account: "a", Reason: "x", Concurrency: 1, RatePerSecond: -1},
		"reason":          {IdempotencyKey: "limit-0001", Account: "a", Concurrency: 1},
		"account":         {IdempotencyKey: "limit-0001", Reason: "x", Concurrency: 1},
	} {
		_, err := f.batches.SetProviderLimit(t.Context(), r)
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, field)
	}
}
