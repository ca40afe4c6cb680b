package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// list reads the page of a filter behind a token.
func (f *fixture) list(filter, token string, size int32) (ids []string, next string) {
	f.Helper()
	p, err := f.sagas.ListSagas(f.Context(), &sagav1.ListSagasRequest{Filter: filter, PageToken: token, PageSize: size})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range p.GetSagas() {
		ids = append(ids, s.GetSagaId())
	}
	return ids, p.GetNextPageToken()
}

func TestListSagas_PagesStayWhileSagasAreAdded(t *testing.T) {
	f := setup(t, nil)
	db := f.pool()
	var want []string
	for _, p := range plant(t, db, many(7, planted{happened: parkedShip})...) {
		want = append(want, p.sagaID.String())
	}
	slices.Reverse(want)
	var got []string
	token := ""
	for range want {
		page, next := f.list("parked = true", token, 3)
		got = append(got, page...)
		plant(t, db, planted{happened: parkedShip}, planted{happened: completed})
		if token = next; token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || token != "" {
		t.Errorf("pages, last token %q (-want +got):\n%s", token, diff)
	}
}

func TestListSagas_RefusesATokenOfAnotherFilter(t *testing.T) {
	f := setup(t, nil)
	plant(t, f.pool(), many(3, planted{happened: parkedShip})...)
	_, token := f.list("parked = true", "", 2)
	if rest, _ := f.list("  parked = true ", token, 2); len(rest) != 1 {
		t.Errorf("the same filter goes on with %v, want one saga", rest)
	}
	for name, r := range map[string]*sagav1.ListSagasRequest{
		"another filter": {Filter: "parked = true AND currency = GBP", PageToken: token},
		"no filter":      {PageToken: token},
		"no token":       {Filter: "parked = true", PageToken: "c2FnX25vbmU"},
	} {
		_, err := f.sagas.ListSagas(t.Context(), r)
		if !rpcerr.Is(err, rpcerr.RequestInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := f.sagas.ListSagas(t.Context(), &sagav1.ListSagasRequest{Filter: "colour = red"})
	rpcerrtest.Want(t, err, rpcerr.FilterInvalid, "filter")
	_, err = f.sagas.ListSagas(t.Context(), &sagav1.ListSagasRequest{Filter: strings.Repeat("-", 3000)})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "filter")
}

func TestListSagas_SaysWhoseMoneyIsAtRisk(t *testing.T) {
	f := setup(t, nil)
	planted := plant(t, f.pool(), planted{happened: parkedShip, atRisk: true, customer: "c-7", total: money.Amount{Currency: "KWD", Minor: 1234}})[0]
	p, err := f.sagas.ListSagas(t.Context(), &sagav1.ListSagasRequest{Filter: `customer_id = "c-7"`})
	if err != nil || len(p.GetSagas()) != 1 {
		t.Fatalf("got %v, %v", p, err)
	}
	one, err := f.sagas.GetSaga(t.Context(), &sagav1.GetSagaRequest{SagaId: planted.sagaID.String()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*sagav1.Saga{p.GetSagas()[0], one.GetSaga()} {
		for name, a := range map[string]*commonv1.Amount{"total": s.GetTotal(), "money at risk": s.GetMoneyAtRisk()} {
			if a.GetCurrencyCode() != "KWD" || a.GetMinorUnits() != 1234 || s.GetCustomerId() != "c-7" {
				t.Errorf("%s is %v of %s", name, a, s.GetCustomerId())
			}
		}
	}
	fresh := f.place("order-0001")
	if got, err := f.sagas.GetSaga(t.Context(), &sagav1.GetSagaRequest{SagaId: fresh.GetSagaId(), AsOfSequence: 1}); err != nil || got.GetSaga().GetMoneyAtRisk() != nil {
		t.Errorf("a saga that has just begun: %v, %v", got, err)
	}
}

// watched follows a saga behind an event to its rest, and gives the numbers of the events it was told of.
func watched(t *testing.T, sagas sagav1.SagaServiceClient, sagaID string, after int32, each func(*sagav1.Saga)) (seqs []int32, last *sagav1.Saga) {
	t.Helper()
	stream, err := sagas.WatchSaga(t.Context(), &sagav1.WatchSagaRequest{SagaId: sagaID, AfterSequence: after})
	if err != nil {
		t.Fatal(err)
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return seqs, last
		}
		last = answer.GetSaga()
		for _, e := range last.GetEvents() {
			seqs = append(seqs, e.GetSequence())
		}
		if each != nil {
			each(last)
		}
	}
}

func TestWatchSaga_SendsEachEventOnceUntilItRests(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	var once, released atomic.Bool
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callAuthorize && applied && once.CompareAndSwap(false, true) {
			close(asked)
			<-release
		}
		return nil
	})
	placed := f.place("order-0001")
	<-asked
	seqs, last := watched(t, f.sagas, placed.GetOrderId(), 0, func(*sagav1.Saga) {
		if released.CompareAndSwap(false, true) {
			close(release) // it was told how the saga stands; the rest comes as it happens
		}
	})
	if want := []int32{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(seqs, want) || last.GetPhase() != sagav1.SagaPhase_SAGA_PHASE_COMPLETED {
		t.Errorf("told of events %v, want %v; it is %s", seqs, want, last.GetPhase())
	}
	for after, want := range map[int32][]int32{5: {6, 7}, 7: nil} {
		if seqs, last := watched(t, f.sagas, placed.GetSagaId(), after, nil); !slices.Equal(seqs, want) || last.GetSequence() != 7 {
			t.Errorf("behind event %d: told of %v, want %v", after, seqs, want)
		}
	}
	stream, err := f.sagas.WatchSaga(t.Context(), &sagav1.WatchSagaRequest{SagaId: placed.GetSagaId(), AfterSequence: 8})
	if err == nil {
		_, err = stream.Recv()
	}
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "after_sequence")
}

func TestWatchSaga_WorksOnEveryReplica(t *testing.T) {
	c := setupCluster(t, nil)
	first, _ := c.start(orderV2)
	defer c.stop(first)
	watchers := []sagav1.SagaServiceClient{c.sagas}
	second, _ := c.start(orderV2)
	defer c.stop(second)
	watchers = append(watchers, c.sagas)
	for i := range 4 { // whoever owns their shards
		placed := c.place(fmt.Sprintf("order-%04d", i))
		for replica, sagas := range watchers {
			if seqs, _ := watched(t, sagas, placed.GetSagaId(), 0, nil); len(seqs) != 7 {
				t.Errorf("replica %d told of events %v of order %d, want 7", replica, seqs, i)
			}
		}
	}
}

func TestSagaOperation_RedrivesWhatIsParked(t *testing.T) {
	var mended atomic.Bool
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callCommit && !applied && !mended.Load() {
			return rpcerr.New(rpcerr.ReservationNotHeld, "gone")
		}
		return nil
	})
	var placed []*orderv1.Order
	for i := range 12 {
		placed = append(placed, f.place(fmt.Sprintf("order-%04d", i)))
	}
	for _, o := range placed {
		if order, _ := f.end(o.GetOrderId()); order.GetState() != orderv1.OrderState_ORDER_STATE_PARKED {
			t.Fatalf("is %s, want it parked", order.GetState())
		}
	}
	mended.Store(true)
	planned, err := f.sagas.PlanSagaOperation(t.Context(), &sagav1.PlanSagaOperationRequest{
		IdempotencyKey: "plan-0001", Filter: `parked = true AND cause : "reservation_not_held"`, Verb: sagav1.SagaVerb_SAGA_VERB_RETRY, Reason: "the stock is back",
	})
	if err != nil || planned.GetOperation().GetPossible() != 12 {
		t.Fatalf("planned %v, %v", planned, err)
	}
	id := planned.GetOperation().GetOperationId()
	stream, err := f.sagas.WatchSagaOperation(t.Context(), &sagav1.WatchSagaOperationRequest{OperationId: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.sagas.ApplySagaOperation(t.Context(), &sagav1.ApplySagaOperationRequest{IdempotencyKey: "apply-0001", OperationId: id}); err != nil {
		t.Fatal(err)
	}
	var last *sagav1.SagaOperation
	for answer, err := stream.Recv(); err == nil; answer, err = stream.Recv() {
		last = answer.GetOperation()
	}
	if last.GetState() != sagav1.SagaOperationState_SAGA_OPERATION_STATE_FINISHED || last.GetDone() != 12 || last.GetAppliedBy() != "test" {
		t.Errorf("the operation ended as %v", last)
	}
	for _, o := range placed {
		if order, saga := f.end(o.GetOrderId()); order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			t.Errorf("ended as %s: %s", order.GetState(), types(saga))
		}
	}
	if got, want := f.actions(placed[0].GetSagaId()), "retry by test: the stock is back ()"; got != want {
		t.Errorf("audit: got %q, want %q", got, want)
	}
	all, err := f.sagas.ListSagaOperations(t.Context(), &sagav1.ListSagaOperationsRequest{})
	if err != nil || len(all.GetOperations()) != 1 || all.GetOperations()[0].GetTotals()[0].GetSum().GetMinorUnits() != 12*750 {
		t.Errorf("listed %v, %v", all, err)
	}
}

func TestPlanSagaOperation_NeedsFilterReasonStepAndEvidence(t *testing.T) {
	f := setup(t, nil)
	for name, r := range map[string]*sagav1.PlanSagaOperationRequest{
		"no filter":   {Verb: sagav1.SagaVerb_SAGA_VERB_RETRY, Reason: "because"},
		"no reason":   {Verb: sagav1.SagaVerb_SAGA_VERB_RETRY, Filter: "parked = true"},
		"no verb":     {Reason: "because", Filter: "parked = true"},
		"no evidence": {Verb: sagav1.SagaVerb_SAGA_VERB_SKIP, Reason: "because", Step: stepCommit, Filter: "parked = true"},
	} {
		r.IdempotencyKey = "plan-0001"
		if _, err := f.sagas.PlanSagaOperation(t.Context(), r); !rpcerr.Is(err, rpcerr.RequestInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := f.sagas.PlanSagaOperation(t.Context(), &sagav1.PlanSagaOperationRequest{Verb: sagav1.SagaVerb_SAGA_VERB_RETRY, Reason: "x", Filter: "parked = true"})
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyMissing, "idempotency_key")
	_, err = f.sagas.CancelSagaOperation(t.Context(), &sagav1.CancelSagaOperationRequest{IdempotencyKey: "cancel-0001", OperationId: "sop_1"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "reason")
}
