package billing

import (
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func sumOf(n, minor int64, currency string) *billingv1.Sum {
	return &billingv1.Sum{Count: n, Amount: &commonv1.Amount{CurrencyCode: currency, MinorUnits: minor}}
}

func TestBatch_ChargesEachItemOnceAndProvesIt(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_ok,12.50,EUR,", "A-2,c-2,pm_declined,1.00,EUR,", "A-3,c-3,pm_ok,100,JPY,rent", "A-4,c-1,pm_lost_card,2.00,EUR,")
	f.start(b)
	got := f.end(b)
	want := &billingv1.BatchProgress{Succeeded: 2, Failed: 2, Collected: []*billingv1.Sum{sumOf(1, 1250, "EUR"), sumOf(1, 100, "JPY")}}
	if diff := cmp.Diff(want, got.GetProgress(), protocmp.Transform()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if p := got.GetProof(); !p.GetHolds() || p.GetItems() != 4 || p.GetPlanHash() != got.GetPlan().GetHash() || len(p.GetCollected()) != 2 {
		t.Errorf("proof: %v", p)
	}
	if got.GetState() != billingv1.BatchState_BATCH_STATE_FINISHED || got.GetStartedBy() != "payer" {
		t.Errorf("got %v", got)
	}
	var told []string
	for _, i := range f.items(b) {
		told = append(told, i.GetReference()+" "+itemState(i.GetState()).String()+" "+i.GetReason()+" "+i.GetPaymentId())
	}
	if diff := cmp.Diff([]string{
		"A-1 succeeded  pay_of " + b.GetBatchId() + "/2/1", "A-2 failed insufficient_funds pay_of " + b.GetBatchId() + "/3/1",
		"A-3 succeeded  pay_of " + b.GetBatchId() + "/4/1", "A-4 failed lost_card pay_of " + b.GetBatchId() + "/5/1",
	}, told); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	f.wantClean()
}

func TestMetrics_TellWhatWasSettledAndProven(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_ok,12.50,EUR,", "A-2,c-2,pm_declined,1.00,EUR,", "A-3,c-2,pm_ok,1.00,EUR,")
	f.start(b)
	f.end(b)
	answer, err := http.Get("http://" + f.process.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	scraped, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`tieout_billing_items_total\{[^}]*outcome="succeeded"[^}]*\} 2\n`, `tieout_billing_items_total\{[^}]*outcome="failed"[^}]*\} 1\n`,
		`tieout_billing_proofs_total\{[^}]*holds="true"[^}]*\} 1\n`,
	} {
		if !regexp.MustCompile(want).Match(scraped) {
			t.Errorf("nothing like %s was scraped", want)
		}
	}
}

// What is lost between billing and the orchestrator is handed in again under the same keys.
func TestBatch_IsHandedInAgainWhereTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, applied := range map[string]bool{"not applied": false, "applied": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrchestrator(t)
			o.trouble = func(nth int, at bool) error {
				if nth <= 2 && at == applied {
					return rpcerr.New(rpcerr.Internal, "lost")
				}
				return nil
			}
			f := setupWith(t, o)
			b := f.plan("dues", "A-1,c-1,pm_ok,12.50,EUR,", "A-2,c-2,pm_ok,1.00,EUR,")
			f.start(b)
			if got := f.end(b); got.GetProgress().GetSucceeded() != 2 || !got.GetProof().GetHolds() {
				t.Errorf("got %v", got)
			}
			f.wantClean()
		})
	}
}

// Who dies between marking items and handing them in leaves them to whoever feeds next.
func TestBatch_WhatWasMarkedAndNotHandedInIsHandedInByTheNextFeeder(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_ok,12.50,EUR,", "A-2,c-2,pm_ok,1.00,EUR,")
	if _, err := f.db.Exec(t.Context(), `UPDATE batch_item SET state = 2, attempt = 1, attempted_at = now()`); err != nil {
		t.Fatal(err)
	}
	_, err := f.db.Exec(t.Context(), `
WITH who AS (INSERT INTO operator_action (id, actor, verb, target, reason) SELECT gen_random_uuid(), 'payer', 'start', 'bat_' || id, '' FROM batch)
UPDATE batch SET state = 2, started_at = now(), started_by = 'payer', planned = 0, running = 2, fed_through = 3`)
	if err != nil {
		t.Fatal(err)
	}
	// The feeder of the process has the lock; it loses it, as by a failover, and takes it again.
	if _, err := f.db.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1`, feedLock); err != nil {
		t.Fatal(err)
	}
	f.billing.feeder.wakeUp()
	if got := f.end(b); got.GetProgress().GetSucceeded() != 2 {
		t.Errorf("got %v", got)
	}
	f.wantClean()
}

func TestBatch_InDoubtWaitsForAPersonAndIsProvenAgain(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_parked,12.50,EUR,", "A-2,c-2,pm_ok,1.00,EUR,")
	f.start(b)
	got := f.end(b)
	if p := got.GetProgress(); p.GetUnknown() != 1 || p.GetSucceeded() != 1 || !got.GetProof().GetHolds() {
		t.Fatalf("got %v", got)
	}
	first := got.GetProof()
	if _, err := f.batches.RetryFailedItems(t.Context(), &billingv1.RetryFailedItemsRequest{IdempotencyKey: "retry-0001", BatchId: b.GetBatchId()}); err == nil {
		t.Error("what is in doubt was tried again")
	}
	o := f.orchestrator
	o.mu.Lock()
	o.tell(o.started[b.GetBatchId()+"/2/1"], "pm_ok") // a person found out
	o.mu.Unlock()
	f.settled(b, func(b *billingv1.Batch) bool {
		return b.GetProgress().GetSucceeded() == 2 && b.GetProof().GetOutcomeHash() != first.GetOutcomeHash()
	})
	f.wantClean()
}

func TestBatch_TriesAgainOnlyWhatFailedAndNotForGood(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_held,12.50,EUR,", "A-2,c-2,pm_lost_card,1.00,EUR,", "A-3,c-2,pm_ok,1.00,EUR,")
	f.start(b)
	f.until(b, func(b *billingv1.Batch) bool {
		return b.GetProgress().GetRunning() == 1 && b.GetProgress().GetFailed() == 1
	})
	retry := &billingv1.RetryFailedItemsRequest{IdempotencyKey: "retry-0001", BatchId: b.GetBatchId()}
	_, err := f.batches.RetryFailedItems(t.Context(), retry)
	rpcerrtest.Want(t, err, rpcerr.BatchStateRefused)
	f.orchestrator.release("pm_declined")
	f.end(b)
	retry.IdempotencyKey = "retry-0002"
	answer, err := f.batches.RetryFailedItems(t.Context(), retry)
	if err != nil || answer.GetRetried() != 1 || answer.GetHard() != 1 {
		t.Fatalf("got %v, %v; want one tried again, and one left", answer, err)
	}
	f.until(b, func(*billingv1.Batch) bool { _, held, _ := f.orchestrator.count(); return held == 1 })
	f.orchestrator.release("pm_ok")
	got := f.end(b)
	if p := got.GetProgress(); p.GetSucceeded() != 2 || p.GetFailed() != 1 || !got.GetProof().GetHolds() {
		t.Errorf("got %v", got)
	}
	if i := f.items(b)[0]; len(i.GetAttempts()) != 2 || i.GetAttempts()[0].GetReason() != "insufficient_funds" || i.GetAttempts()[1].GetPaymentId() != "pay_of "+b.GetBatchId()+"/2/2" {
		t.Errorf("item: %v", i)
	}
	if started, _, _ := f.orchestrator.count(); started != 4 {
		t.Errorf("%d payments were started, want 3 and one again", started)
	}
	f.wantClean()
}
