package billing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/billing/billingdb"
)

func dunningPolicy() *billingv1.DunningPolicy {
	return &billingv1.DunningPolicy{DelayDays: []int32{1, 3}, GiveUpAfterDays: 10, TimeZone: "Europe/Berlin"}
}

// dunned runs a batch with a policy to its end.
func (f *fixture) dunned(rows ...string) *billingv1.Batch {
	f.Helper()
	b, err := f.upload("upload-dunned", &billingv1.BatchHeader{Name: "dunned", Dunning: dunningPolicy()}, heading+joined(rows))
	if err != nil {
		f.Fatal(err)
	}
	f.start(b)
	return f.end(b)
}

// days moves what happened so many days back, and what is to be with it.
func (f *fixture) days(n int) {
	f.Helper()
	_, err := f.db.Exec(f.Context(), `
WITH declines AS (UPDATE card_decline SET declined_at = declined_at - $1 * interval '1 day')
UPDATE batch_item SET retry_at = retry_at - $1 * interval '1 day' WHERE retry_at IS NOT NULL`, n)
	if err != nil {
		f.Fatal(err)
	}
}

// finals are the last words of dunning, as they were told.
func (f *fixture) finals() []string {
	f.Helper()
	var all []string
	for _, data := range pgtest.Column[[]byte](f.T, f.db, `SELECT data FROM outbox WHERE entity = 'dunning' AND name = 'ended' ORDER BY seq`) {
		var m eventv1.DunningEnded
		if err := proto.Unmarshal(data, &m); err != nil {
			f.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s after %d: %t %s", m.GetReference(), m.GetAttempts(), m.GetRecovered(), m.GetReason()))
	}
	slices.Sort(all)
	return all
}

func (f *fixture) wantFinals(want ...string) {
	f.Helper()
	if got := f.finals(); !slices.Equal(got, want) {
		f.Errorf("told: got %q, want %q", got, want)
	}
}

func TestDunning_TriesASoftDeclineAgainAndNeverAHardOne(t *testing.T) {
	f := setup(t)
	b := f.dunned("A-1,c-1,pm_declined,12.50,EUR,", "A-2,c-2,pm_lost_card,1.00,EUR,", "A-3,c-1,pm_ok,2.00,EUR,")
	if p := b.GetProgress(); p.GetRetrying() != 1 || p.GetFailed() != 2 || !b.GetProof().GetHolds() {
		t.Fatalf("got %v", b)
	}
	f.wantFinals("A-2 after 1: false hard_decline")
	first := f.items(b)[0].GetRetryTime().AsTime()
	if wait := time.Until(first); wait <= 0 || wait > 48*time.Hour {
		t.Errorf("it is tried again at %s, in %s; want the day after", first, wait)
	}
	if _, err := f.billing.dunOnce(t.Context()); err != nil { // too early
		t.Fatal(err)
	}
	f.days(2)
	if again, err := f.billing.dunOnce(t.Context()); err != nil || !again {
		t.Fatalf("nothing is tried again: %v", err)
	}
	f.settled(b, func(b *billingv1.Batch) bool {
		return b.GetEndTime() != nil && b.GetProgress().GetRetrying() == 1 && b.GetProof().GetHolds()
	})
	i := f.items(b)[0]
	if len(i.GetAttempts()) != 2 || i.GetAttempts()[1].GetReason() != "insufficient_funds" {
		t.Errorf("item: %v", i)
	}
	f.days(4)
	if _, err := f.billing.dunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.settled(b, func(b *billingv1.Batch) bool { return b.GetEndTime() != nil && b.GetProgress().GetRetrying() == 0 })
	waittest.Until(t, "the last word is told", func() bool { return len(f.finals()) == 2 })
	f.wantFinals("A-1 after 3: false attempts_used_up", "A-2 after 1: false hard_decline")
	if started, _, _ := f.orchestrator.count(); started != 5 {
		t.Errorf("%d attempts were made, want one each and two more of the first", started)
	}
	f.wantClean()
}

func TestDunning_RecoveredItemIsTold(t *testing.T) {
	f := setup(t)
	b, err := f.upload("upload-dunned", &billingv1.BatchHeader{Name: "dunned", Dunning: dunningPolicy()}, heading+"A-1,c-1,pm_held,12.50,EUR,\n")
	if err != nil {
		t.Fatal(err)
	}
	f.start(b)
	waittest.Until(t, "it is under way", f.held(1))
	f.orchestrator.release("pm_declined")
	f.end(b)
	f.days(2)
	if _, err := f.billing.dunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is tried again", f.held(1))
	f.orchestrator.release("pm_ok")
	f.settled(b, func(b *billingv1.Batch) bool { return b.GetEndTime() != nil && b.GetProgress().GetSucceeded() == 1 })
	f.wantFinals("A-1 after 2: true ")
	f.wantClean()
}

// A decline that is told again beside what came of the next attempt is no decline of that one.
func TestDunning_KeepsAttemptsApart(t *testing.T) {
	t.Parallel()
	bid := id.New[batchKind]()
	told := []outcome{
		{batchID: bid, line: 2, attempt: 1, state: itemFailed, reason: "insufficient_funds", declined: true},
		{batchID: bid, line: 2, attempt: 2, state: itemFailed, reason: "PAYMENT_METHOD_UNKNOWN"},
	}
	settled := []billingdb.SettleItemsRow{{BatchID: bid.UUID(), Line: 2, Attempt: 2, State: int16(itemFailed)}}
	if got := declinesOf(told, settled); len(got) != 0 {
		t.Errorf("declines: got %+v, want none", got)
	}
}

// The budget of a card is that of all batches: one that was declined too often meanwhile is not tried when its time
// comes.
func TestDunning_HoldsToTheBudgetOfTheCard(t *testing.T) {
	f := setup(t)
	b := f.dunned("A-1,c-1,pm_declined,12.50,EUR,")
	f.days(2)
	_, err := f.db.Exec(t.Context(), `
INSERT INTO card_decline (batch_id, line, attempt, payment_method, declined_at, code)
SELECT gen_random_uuid(), n, 1, 'pm_declined', now() - interval '2 hours', 'insufficient_funds' FROM generate_series(1, 10) n`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.billing.dunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	i := f.items(b)[0]
	if wait := time.Until(i.GetRetryTime().AsTime()); i.GetState() != billingv1.ItemState_ITEM_STATE_FAILED || wait < 21*time.Hour || wait > 23*time.Hour {
		t.Errorf("item: %v; want it to wait until ten declines are a day old", i)
	}
	f.wantFinals()
	_, err = f.db.Exec(t.Context(), `
INSERT INTO card_decline (batch_id, line, attempt, payment_method, declined_at, code)
SELECT gen_random_uuid(), n, 1, 'pm_declined', now() - interval '1 hour', 'insufficient_funds' FROM generate_series(1, 20) n;
UPDATE batch_item SET retry_at = now()`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.billing.dunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFinals("A-1 after 1: false budget_used_up")
	if started, _, _ := f.orchestrator.count(); started != 1 {
		t.Errorf("%d attempts were made, want 1", started)
	}
	f.wantClean()
}

func TestDunning_EndsWhenItsBatchIsCancelled(t *testing.T) {
	f := setup(t)
	b := f.dunned("A-1,c-1,pm_declined,12.50,EUR,")
	answer, err := f.batches.CancelBatch(t.Context(), &billingv1.CancelBatchRequest{IdempotencyKey: "cancel-0001", BatchId: b.GetBatchId(), Reason: "enough"})
	if err != nil || answer.GetBatch().GetState() != billingv1.BatchState_BATCH_STATE_FINISHED || answer.GetBatch().GetProgress().GetRetrying() != 0 {
		t.Fatalf("got %v, %v", answer, err)
	}
	f.days(2)
	if again, err := f.billing.dunOnce(t.Context()); err != nil || again {
		t.Errorf("something is tried again: %v", err)
	}
	f.wantFinals("A-1 after 1: false batch_cancelled")
	f.wantClean()
}

// Two replicas that come to a due item at once try it once.
func TestDunning_TriesOnceWhoeverIsFirst(t *testing.T) {
	f := setup(t)
	b := f.dunned("A-1,c-1,pm_declined,12.50,EUR,", "A-2,c-2,pm_declined,12.50,EUR,")
	f.days(2)
	done := make(chan error)
	for range 4 {
		go func() { _, err := f.billing.dunOnce(t.Context()); done <- err }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	f.settled(b, func(b *billingv1.Batch) bool { return b.GetEndTime() != nil && b.GetProgress().GetRetrying() == 2 })
	if started, _, _ := f.orchestrator.count(); started != 4 {
		t.Errorf("%d attempts were made, want two each", started)
	}
	f.wantClean()
}

func TestDunning_RefusesAPolicyThatNobodyCanFollow(t *testing.T) {
	f := setup(t)
	for field, spoil := range map[string]func(*billingv1.BatchHeader){
		"header.dunning.time_zone":          func(h *billingv1.BatchHeader) { h.Dunning.TimeZone = "Berlin" },
		"header.dunning.earliest_time":      func(h *billingv1.BatchHeader) { h.Dunning.EarliestTime = "8" },
		"header.dunning.latest_time":        func(h *billingv1.BatchHeader) { h.Dunning.EarliestTime, h.Dunning.LatestTime = "20:00", "08:00" },
		"header.dunning.give_up_after_days": func(h *billingv1.BatchHeader) { h.Dunning.GiveUpAfterDays = 3 },
		"header.dunning.delay_days[0]":      func(h *billingv1.BatchHeader) { h.Dunning.DelayDays[0] = 0 },
		"header.dunning":                    func(h *billingv1.BatchHeader) { h.CutOffTime = timestamppb.New(time.Now().Add(time.Hour)) },
	} {
		h := &billingv1.BatchHeader{Name: "dunned", Dunning: dunningPolicy()}
		spoil(h)
		_, err := f.upload("upload-"+field, h, heading)
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, field)
	}
}
