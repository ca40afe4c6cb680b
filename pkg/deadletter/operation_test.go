package deadletter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/waittest"
)

const (
	planned  = deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_PLANNED
	finished = deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_FINISHED
	expired  = deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_EXPIRED
)

func (b *bundle) plan(key, filter string, verb deadletterv1.DeadLetterVerb) ([]*deadletterv1.DeadLetterOperation, error) {
	answer, err := b.desk.PlanDeadLetterOperation(b.Context(), &deadletterv1.PlanDeadLetterOperationRequest{
		IdempotencyKey: key, Filter: filter, Verb: verb, Reason: "mended",
	})
	return answer.GetOperations(), err
}

func (b *bundle) apply(key, id string) error {
	_, err := b.desk.ApplyDeadLetterOperation(b.Context(), &deadletterv1.ApplyDeadLetterOperationRequest{IdempotencyKey: key, OperationId: id})
	return err
}

func (b *bundle) operation(id string) *deadletterv1.DeadLetterOperation {
	b.Helper()
	found, err := b.desk.GetDeadLetterOperation(b.Context(), &deadletterv1.GetDeadLetterOperationRequest{OperationId: id})
	if err != nil {
		b.Fatal(err)
	}
	return found.GetOperation()
}

// ended waits until an operation has ended.
func (b *bundle) ended(id string) (op *deadletterv1.DeadLetterOperation) {
	b.Helper()
	waittest.Until(b.T, "the operation has ended", func() bool { op = b.operation(id); return op.GetState() == finished })
	return op
}

func TestOperation_DoesWhatWasPlannedAndNoMore(t *testing.T) {
	b := setup(t)
	letters := b.bury("books", "pay_1", "pay_2", "pay_3", "pay_4")
	b.bury("shop", "pay_5")
	plans, err := b.plan("plan/0001", "service = books AND error : books", deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE)
	if err != nil || len(plans) != 1 {
		t.Fatalf("got %v, %v", plans, err)
	}
	plan := plans[0]
	if plan.GetMatched() != 4 || plan.GetService() != "books" || plan.GetState() != planned || plan.GetPlannedBy() != "ada" ||
		len(plan.GetConsumers()) != 1 || plan.GetConsumers()[0].GetConsumer() != "books-takings" || plan.GetConsumers()[0].GetCount() != 4 {
		t.Errorf("got %v", plan)
	}
	again, err := b.plan("plan/0001", "service = books AND error : books", deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE)
	if err != nil || len(again) != 1 || again[0].GetOperationId() != plan.GetOperationId() {
		t.Errorf("under the same key: %v, %v", again, err)
	}
	b.wantEffects("books")

	late := b.bury("books", "pay_late")[0]
	b.breakOn(nil, "pay_1", "pay_2", "pay_4", "pay_late")
	if _, err := b.redrive("redrive/1", letters[0].GetDeadLetterId()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the answer is given again
		if err := b.apply("apply/0001", plan.GetOperationId()); err != nil {
			t.Fatal(err)
		}
	}
	op := b.ended(plan.GetOperationId())
	if op.GetDone() != 3 || op.GetRefused() != 1 || op.GetAppliedBy() != "ada" || op.GetEndTime() == nil ||
		len(op.GetRefusals()) != 1 || op.GetRefusals()[0].GetDeadLetterId() != letters[2].GetDeadLetterId() ||
		!strings.Contains(op.GetRefusals()[0].GetReason(), errBroken.Error()) {
		t.Errorf("got %v", op)
	}
	b.wantEffects("books", "pay_1", "pay_2", "pay_4")
	b.wantEffects("shop")
	if b.get(late.GetDeadLetterId()).GetState() != isOpen || b.get(letters[2].GetDeadLetterId()).GetAttempts() != 2 {
		t.Error("what came after the plan was touched, or the failure was not counted")
	}
	acts := b.get(letters[1].GetDeadLetterId()).GetActions()
	if len(acts) != 1 || acts[0].GetOperationId() != op.GetOperationId() || acts[0].GetReason() != "mended" || acts[0].GetActor() != "ada" {
		t.Errorf("on record: %v", acts)
	}
	if err := b.apply("apply/0002", op.GetOperationId()); reason(err) != rpcerr.OperationNotOpen {
		t.Errorf("applying it again: %v", err)
	}
}

func TestOperation_DiscardsButNotWhatTookEffect(t *testing.T) {
	b := setup(t)
	letters := b.bury("books", "pay_1", "pay_2")
	b.bury("shop", "pay_3")
	plans, err := b.plan("plan/0001", "state = open", deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_DISCARD)
	if err != nil || len(plans) != 2 {
		t.Fatalf("got %v, %v; want a plan for each service", plans, err)
	}
	b.breakOn(nil, "pay_1")
	if _, err := b.redrive("redrive/1", letters[0].GetDeadLetterId()); err != nil {
		t.Fatal(err)
	}
	var outcomes []string
	for i, p := range plans {
		if err := b.apply(fmt.Sprintf("apply/%04d", i), p.GetOperationId()); err != nil {
			t.Fatal(err)
		}
		op := b.ended(p.GetOperationId())
		outcomes = append(outcomes, fmt.Sprint(op.GetService(), " ", op.GetDone(), " ", op.GetRefused()))
	}
	if diff := cmp.Diff([]string{"books 1 1", "shop 1 0"}, outcomes); diff != "" {
		t.Errorf("done and refused (-want +got):\n%s", diff)
	}
	if left := b.list("state = open"); len(left) > 0 {
		t.Errorf("still open: %v", left)
	}
	b.wantEffects("books", "pay_1")
	b.wantEffects("shop")
}

// Failed, not applied: the database fails in the middle of an operation, which then goes on where it was.
func TestOperation_GoesOnAfterAFault(t *testing.T) {
	b := setup(t)
	b.bury("books", "pay_1", "pay_2", "pay_3")
	plans, err := b.plan("plan/0001", "state = open", deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE)
	if err != nil {
		t.Fatal(err)
	}
	b.breakOn(nil, "pay_1", "pay_3")
	b.breakOn(errSession, "pay_2")
	before := b.failed()
	if err := b.apply("apply/0001", plans[0].GetOperationId()); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the fault is met, again and again", func() bool { return b.failed() > before+1 })
	if op := b.operation(plans[0].GetOperationId()); op.GetDone() != 1 || op.GetRefused() != 0 || op.GetEndTime() != nil {
		t.Errorf("got %v, want that it stands behind the first", op)
	}
	b.breakOn(nil, "pay_2")
	if op := b.ended(plans[0].GetOperationId()); op.GetDone() != 3 || op.GetRefused() != 0 {
		t.Errorf("got %v", op)
	}
	b.wantEffects("books", "pay_1", "pay_2", "pay_3")
}

func TestOperation_RefusesWithAReason(t *testing.T) {
	b := setup(t)
	b.bury("books", "pay_1")
	redrive := deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE
	for filter, want := range map[string]rpcerr.Reason{"": rpcerr.RequestInvalid, "  ": rpcerr.RequestInvalid, "x = 1": rpcerr.FilterInvalid} {
		if _, err := b.plan("plan/0001", filter, redrive); reason(err) != want {
			t.Errorf("filter %q: got %v, want %s", filter, err, want)
		}
	}
	if err := b.apply("apply/0001", "dlo_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f"); reason(err) != rpcerr.NotFound {
		t.Errorf("got %v", err)
	}
	if err := b.apply("apply/0001", "7"); reason(err) != rpcerr.RequestInvalid {
		t.Errorf("got %v", err)
	}
	plans, err := b.plan("plan/0002", "state = open", redrive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool["books"].Exec(t.Context(), `UPDATE dead_letter_operation SET expires_at = now()`); err != nil {
		t.Fatal(err)
	}
	if err := b.apply("apply/0002", plans[0].GetOperationId()); reason(err) != rpcerr.OperationNotOpen {
		t.Errorf("got %v", err)
	}
	if op := b.operation(plans[0].GetOperationId()); op.GetState() != expired {
		t.Errorf("got %v", op)
	}
	if none, err := b.plan("plan/0003", "service = shop", redrive); err != nil || len(none) > 0 {
		t.Errorf("got %v, %v; want no plan", none, err)
	}
}
