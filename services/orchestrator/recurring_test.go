package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	recurringv1 "github.com/tieout/tieout/gen/tieout/recurring/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// recurringFixture is an orchestrator that starts recurring payments, and what it tells of them.
type recurringFixture struct {
	*fixture
	client recurringv1.RecurringServiceClient
	events chan *nats.Msg
}

func setupRecurring(t *testing.T, trouble func(call, key string, nth int, applied bool) error) *recurringFixture {
	t.Helper()
	t.Parallel()
	p := newParticipants(t)
	p.trouble = trouble
	f := &recurringFixture{fixture: &fixture{T: t, participants: p, dsn: pgtest.DSN(t, Migrations()...)}, events: make(chan *nats.Msg, 1000)}
	cfg := servicetest.Config()
	server := bustest.Server(t)
	cfg.NATS.URL = server.URL()
	f.process = servicetest.StartWith(t, cfg, append(p.services(), f.service())...)
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.ChanSubscribe("evt.orchestrator.recurring.>", f.events); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	conn := servicetest.Dial(t, f.process, "billing")
	f.client, f.sagas = recurringv1.NewRecurringServiceClient(conn), sagav1.NewSagaServiceClient(conn)
	return f
}

func recurringRequest(name string) *recurringv1.StartRecurringPaymentRequest {
	return &recurringv1.StartRecurringPaymentRequest{
		IdempotencyKey: "item/" + name + "/1", Reference: name + "/1", CustomerId: "c-1", PaymentMethod: "pm_ok",
		Amount: &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 1250},
	}
}

func (f *recurringFixture) start(name string) *recurringv1.StartRecurringPaymentResponse {
	f.Helper()
	answer, err := f.client.StartRecurringPayment(f.Context(), recurringRequest(name))
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

func (f *recurringFixture) violations() []string {
	f.Helper()
	db, err := pgxpool.New(f.Context(), f.dsn)
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	return pgtest.Violations(f.T, db)
}

// told waits for the next event and reads it into m, whose type it has.
func (f *recurringFixture) told(m proto.Message) {
	f.Helper()
	select {
	case msg := <-f.events:
		e, err := bus.Decode(msg.Header, msg.Data)
		if err == nil {
			err = proto.Unmarshal(e.Data, m)
		}
		if name := strings.ToLower(string(m.ProtoReflect().Descriptor().Name())); err != nil || name != "recurringpayment"+e.Name {
			f.Fatalf("got event %s (error %v), want %s", e.Type(), err, name)
		}
	case <-f.Context().Done():
		f.Fatal("no event came")
	}
}

func TestRecurring_IsChargedOnceAndTold(t *testing.T) {
	f := setupRecurring(t, nil)
	first := f.start("itm_1")
	got := &eventv1.RecurringPaymentCompleted{}
	f.told(got)
	want := &eventv1.RecurringPaymentCompleted{
		RecurringPaymentId: first.GetRecurringPaymentId(), SagaId: first.GetSagaId(), Reference: "itm_1/1",
		PaymentId: "pay_of " + first.GetRecurringPaymentId(),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if again := f.start("itm_1"); again.GetSagaId() != first.GetSagaId() {
		t.Errorf("started again under the key: got %s, want %s", again, first)
	}
	if calls := f.participants.seen(); !slices.Equal(calls, []string{callCharge}) {
		t.Errorf("calls: got %v, want one charge", calls)
	}
	saga, err := f.sagas.GetSaga(t.Context(), &sagav1.GetSagaRequest{SagaId: first.GetRecurringPaymentId()})
	if err != nil {
		t.Fatal(err)
	}
	if s := saga.GetSaga(); s.GetReference() != "itm_1/1" || s.GetOrderId() != "" || s.GetTotal().GetMinorUnits() != 1250 ||
		types(s) != "started step_done:charge completed" {
		t.Errorf("saga: got %v", s)
	}
	listed, err := f.sagas.ListSagas(t.Context(), &sagav1.ListSagasRequest{Filter: `definition = "recurring" AND reference = "itm_1/1"`})
	if err != nil || len(listed.GetSagas()) != 1 || listed.GetSagas()[0].GetRecurringPaymentId() != first.GetRecurringPaymentId() {
		t.Errorf("listed by reference: got %v, %v", listed.GetSagas(), err)
	}
	if v := f.violations(); len(v) > 0 {
		t.Errorf("invariants: %v", v)
	}
}

func TestRecurring_DeclineIsToldWithItsReason(t *testing.T) {
	declined := rpcerr.New(rpcerr.PaymentDeclined, "declined: insufficient_funds").With("declineReason", "insufficient_funds")
	declined.Resource = "pay_1"
	f := setupRecurring(t, func(string, string, int, bool) error { return declined })
	first := f.start("itm_1")
	got := &eventv1.RecurringPaymentCompensated{}
	f.told(got)
	want := &eventv1.RecurringPaymentCompensated{
		RecurringPaymentId: first.GetRecurringPaymentId(), SagaId: first.GetSagaId(), Reference: "itm_1/1", PaymentId: "pay_1",
		Reason: "PAYMENT_DECLINED", DeclineReason: "insufficient_funds",
		Cause: "charge refused: PAYMENT_DECLINED: declined: insufficient_funds",
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if v := f.violations(); len(v) > 0 {
		t.Errorf("invariants: %v", v)
	}
}

// A charge whose answer was lost is asked for again under its key, and never taken for a refusal.
func TestRecurring_LostAnswerIsAskedForAgain(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(map[bool]string{false: "not applied", true: "applied"}[applied], func(t *testing.T) {
			f := setupRecurring(t, func(_, _ string, nth int, at bool) error {
				if nth == 1 && at == applied {
					return rpcerr.New(rpcerr.PaymentOutcomeUnknown, "the answer was lost")
				}
				return nil
			})
			f.start("itm_1")
			f.told(&eventv1.RecurringPaymentCompleted{})
			if calls := f.participants.seen(); len(calls) != 2 {
				t.Errorf("calls: got %v, want two charges under one key", calls)
			}
		})
	}
}

func TestRecurring_WhatNobodyCanBeChargedIsRefusedByItself(t *testing.T) {
	f := setupRecurring(t, nil)
	bad := map[rpcerr.Reason]func(*recurringv1.StartRecurringPaymentRequest){
		rpcerr.AmountNotPositive:     func(r *recurringv1.StartRecurringPaymentRequest) { r.Amount.MinorUnits = 0 },
		rpcerr.CurrencyUnknown:       func(r *recurringv1.StartRecurringPaymentRequest) { r.Amount.CurrencyCode = "XXQ" },
		rpcerr.IdempotencyKeyMissing: func(r *recurringv1.StartRecurringPaymentRequest) { r.IdempotencyKey = "" },
		rpcerr.RequestInvalid:        func(r *recurringv1.StartRecurringPaymentRequest) { r.Reference = "" },
	}
	batch := &recurringv1.BatchStartRecurringPaymentRequest{Requests: []*recurringv1.StartRecurringPaymentRequest{recurringRequest("itm_good")}}
	want := []rpcerr.Reason{""}
	for reason, spoil := range bad {
		r := recurringRequest("itm_" + strings.ToLower(string(reason)))
		spoil(r)
		if _, err := f.client.StartRecurringPayment(t.Context(), r); err == nil {
			t.Errorf("%s: was started", reason)
		} else {
			got, _ := rpcerr.FromError(err)
			if got == nil || got.Reason != reason {
				t.Errorf("got %v, want %s", err, reason)
			}
		}
		batch.Requests, want = append(batch.Requests, r), append(want, reason)
	}
	answer, err := f.client.BatchStartRecurringPayment(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range answer.GetResults() {
		var got rpcerr.Reason
		if refusal, ok := rpcerr.FromError(status.ErrorProto(r.GetStatus())); ok {
			got = refusal.Reason
		}
		if got != want[i] {
			t.Errorf("request %d: got %q, want %q", i, got, want[i])
		}
	}
	f.told(&eventv1.RecurringPaymentCompleted{})
	if calls := f.participants.seen(); len(calls) != 1 {
		t.Errorf("calls: got %v, want that of the good one", calls)
	}
}

// A batch yields: as long as steps of orders are under way, its lane makes one small call at a time.
func TestRecurring_YieldsToOrders(t *testing.T) {
	held, charging, free := make(chan struct{}), make(chan struct{}, 1000), make(chan struct{})
	f := setupRecurring(t, func(call, _ string, _ int, applied bool) error {
		switch {
		case applied:
		case call == callReserve:
			close(held)
			<-free
		case call == callCharge:
			charging <- struct{}{}
			<-free
		}
		return nil
	})
	var release sync.Once
	t.Cleanup(func() { release.Do(func() { close(free) }) })
	f.orders = orderv1.NewOrderServiceClient(servicetest.Dial(t, f.process, "test"))
	f.place("order-0001")
	<-held
	const n = 300
	batch := &recurringv1.BatchStartRecurringPaymentRequest{}
	for i := range n {
		batch.Requests = append(batch.Requests, recurringRequest(fmt.Sprintf("itm_%d", i)))
	}
	if _, err := f.client.BatchStartRecurringPayment(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	<-charging
	if got := f.participants.carried(callCharge); len(got) != 1 || got[0] > maxYielding {
		t.Errorf("while an order is under way: calls of %v payments, want one of at most %d", got, maxYielding)
	}
	release.Do(func() { close(free) })
	for range n {
		f.told(&eventv1.RecurringPaymentCompleted{})
	}
}
