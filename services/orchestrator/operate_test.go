package orchestrator

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func (f *fixture) operate(sagaID string, verb sagav1.SagaVerb, step string) (*sagav1.Saga, error) {
	answer, err := f.sagas.OperateSaga(f.Context(), &sagav1.OperateSagaRequest{
		IdempotencyKey: fmt.Sprintf("operate/%s/%s", sagaID, verb), SagaId: sagaID, Verb: verb, Reason: "because", Step: step, Evidence: "ticket 7",
	})
	return answer.GetSaga(), err
}

// actions gives the audit rows of a saga: "skip commit by test: because (ticket 7)".
func (f *fixture) actions(sagaID string) string {
	f.Helper()
	conn, err := pgx.Connect(f.Context(), f.dsn)
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close(f.Context())
	rows, err := conn.Query(f.Context(), `
SELECT concat_ws(' ', verb, nullif(step, ''), 'by', actor) || ': ' || reason || ' (' || evidence || ')'
  FROM operator_action WHERE 'sag_' || saga_id = $1 ORDER BY seq`, sagaID)
	if err != nil {
		f.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.Fatal(err)
	}
	return strings.Join(all, "; ")
}

func TestOperateSaga_SkipsAParkedStepOnEvidence(t *testing.T) {
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callCommit && !applied {
			return rpcerr.New(rpcerr.ReservationNotHeld, "gone")
		}
		return nil
	})
	_, parked := f.end(f.place("order-0001").GetOrderId())
	if parked.GetPhase() != sagav1.SagaPhase_SAGA_PHASE_PARKED {
		t.Fatalf("is %s, want it parked: %s", parked.GetPhase(), types(parked))
	}
	why, err := f.sagas.ExplainSaga(t.Context(), &sagav1.ExplainSagaRequest{SagaId: parked.GetOrderId()})
	if err != nil || why.GetWaitsFor() != "a person" || !strings.Contains(why.GetWhy(), "RESERVATION_NOT_HELD") || !strings.Contains(why.GetUnblockedBy(), "skip commit") {
		t.Errorf("explained as %v, %v", why, err)
	}
	if _, err := f.operate(parked.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_COMPENSATE, ""); !rpcerr.Is(err, rpcerr.SagaRefusesVerb) {
		t.Errorf("compensating behind the pivot: got %v", err)
	}
	if _, err := f.operate(parked.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_SKIP, stepCommit); err != nil {
		t.Fatal(err)
	}
	order, done := f.end(parked.GetOrderId())
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
		t.Errorf("ended as %s: %s", order.GetState(), types(done))
	}
	if got, want := f.actions(parked.GetSagaId()), "skip commit by test: because (ticket 7)"; got != want {
		t.Errorf("audit: got %q, want %q", got, want)
	}
	before, err := f.sagas.GetSaga(t.Context(), &sagav1.GetSagaRequest{SagaId: parked.GetSagaId(), AsOfSequence: parked.GetSequence()})
	if err != nil || before.GetSaga().GetPhase() != sagav1.SagaPhase_SAGA_PHASE_PARKED || types(before.GetSaga()) != types(parked) {
		t.Errorf("as of event %d: %s %s, %v", parked.GetSequence(), before.GetSaga().GetPhase(), types(before.GetSaga()), err)
	}
}

// The goods are on their way and the money is only set aside: nothing gives up by itself.
func TestOperateSaga_ARefusedCaptureIsParkedWithMoneyAtRiskAndRetried(t *testing.T) {
	var mended atomic.Bool
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callCapture && !applied && !mended.Load() {
			return rpcerr.New(rpcerr.CaptureRefused, "the authorization is too old")
		}
		return nil
	})
	placed := f.place("order-0001")
	_, parked := f.end(placed.GetOrderId())
	if parked.GetPhase() != sagav1.SagaPhase_SAGA_PHASE_PARKED || parked.GetStep() != stepCapture || parked.GetMoneyAtRisk().GetMinorUnits() != 750 {
		t.Fatalf("is %s at %s with %s at risk: %s", parked.GetPhase(), parked.GetStep(), parked.GetMoneyAtRisk(), types(parked))
	}
	why, err := f.sagas.ExplainSaga(t.Context(), &sagav1.ExplainSagaRequest{SagaId: parked.GetSagaId()})
	if err != nil || !strings.Contains(why.GetWhy(), "CAPTURE_REFUSED") || !strings.Contains(why.GetUnblockedBy(), "resolve capture") {
		t.Errorf("explained as %v, %v", why, err)
	}
	_, err = f.orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{IdempotencyKey: "cancel-0001", OrderId: placed.GetOrderId()})
	if !rpcerr.Is(err, rpcerr.OrderNotCancellable) {
		t.Errorf("cancelling what has shipped: got %v", err)
	}
	if _, err := f.operate(parked.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_COMPENSATE, ""); !rpcerr.Is(err, rpcerr.SagaRefusesVerb) {
		t.Errorf("compensating behind the pivot: got %v", err)
	}
	mended.Store(true)
	if _, err := f.operate(parked.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_RETRY, ""); err != nil {
		t.Fatal(err)
	}
	order, saga := f.end(placed.GetOrderId())
	want := "started step_done:reserve step_done:authorize step_done:ship step_refused:capture parked retried step_done:capture step_done:commit completed"
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED || types(saga) != want || saga.GetMoneyAtRisk() != nil {
		t.Errorf("ended as %s with %s at risk: %s", order.GetState(), saga.GetMoneyAtRisk(), types(saga))
	}
}

func TestOperateSaga_PausedSendsNothingUntilResumed(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callAuthorize && applied && once.CompareAndSwap(false, true) {
			close(asked)
			<-release
		}
		return nil
	})
	placed := f.place("order-0001")
	<-asked
	if _, err := f.operate(placed.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_PAUSE, ""); err != nil {
		t.Fatal(err)
	}
	close(release) // the authorization is answered while it is paused; the answer is asked for again afterwards
	if _, err := f.operate(placed.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_PAUSE, "again"); !rpcerr.Is(err, rpcerr.IdempotencyKeyReused) {
		t.Errorf("same key for another decision: got %v", err)
	}
	if _, err := f.operate(placed.GetSagaId(), sagav1.SagaVerb_SAGA_VERB_RESUME, ""); err != nil {
		t.Fatal(err)
	}
	order, saga := f.end(placed.GetOrderId())
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED || !strings.Contains(types(saga), "paused resumed") {
		t.Errorf("ended as %s: %s", order.GetState(), types(saga))
	}
}

func TestOperateSaga_ManyDecisionsAtOnceAreOneHistory(t *testing.T) {
	f := setup(t, nil)
	var placed []*orderv1.Order
	for i := range 8 {
		placed = append(placed, f.place(fmt.Sprintf("order-%04d", i)))
	}
	var deciders sync.WaitGroup
	for _, o := range placed {
		for _, verb := range []sagav1.SagaVerb{
			sagav1.SagaVerb_SAGA_VERB_PAUSE, sagav1.SagaVerb_SAGA_VERB_RESUME, sagav1.SagaVerb_SAGA_VERB_RETRY, sagav1.SagaVerb_SAGA_VERB_COMPENSATE,
		} {
			deciders.Go(func() {
				if _, err := f.operate(o.GetSagaId(), verb, ""); err != nil && !rpcerr.Is(err, rpcerr.SagaRefusesVerb) {
					t.Errorf("%s: %v", verb, err)
				}
			})
		}
	}
	deciders.Wait()
	for _, o := range placed {
		// A pause may have come last.
		answer, err := f.sagas.OperateSaga(t.Context(), &sagav1.OperateSagaRequest{
			IdempotencyKey: "resume/" + o.GetOrderId(), SagaId: o.GetOrderId(), Verb: sagav1.SagaVerb_SAGA_VERB_RESUME, Reason: "go on",
		})
		if err != nil && !rpcerr.Is(err, rpcerr.SagaRefusesVerb) {
			t.Fatalf("%v: %v", answer, err)
		}
		order, saga := f.end(o.GetOrderId())
		if state := order.GetState(); state != orderv1.OrderState_ORDER_STATE_COMPLETED && state != orderv1.OrderState_ORDER_STATE_COMPENSATED {
			t.Errorf("ended as %s: %s", state, types(saga))
		}
		for i, e := range saga.GetEvents() {
			if int(e.GetSequence()) != i+1 {
				t.Errorf("event %d has number %d: %s", i+1, e.GetSequence(), types(saga))
			}
		}
	}
}

func TestOperateSaga_NeedsReasonStepAndEvidence(t *testing.T) {
	f := setup(t, nil)
	placed := f.place("order-0001")
	for name, r := range map[string]*sagav1.OperateSagaRequest{
		"no reason":   {Verb: sagav1.SagaVerb_SAGA_VERB_RETRY},
		"no verb":     {Reason: "because"},
		"no evidence": {Verb: sagav1.SagaVerb_SAGA_VERB_SKIP, Reason: "because", Step: stepCommit},
		"no step":     {Verb: sagav1.SagaVerb_SAGA_VERB_RESOLVE, Reason: "because", Evidence: "ticket 7"},
	} {
		r.IdempotencyKey, r.SagaId = "operate-0001", placed.GetSagaId()
		if _, err := f.sagas.OperateSaga(t.Context(), r); !rpcerr.Is(err, rpcerr.RequestInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
