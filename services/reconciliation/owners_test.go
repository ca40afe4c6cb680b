package reconciliation

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

// business is what all owners know: working fakes of them answer from it. A key that comes with another request fails the test.
type business struct {
	t   testing.TB
	now time.Time // when what is done happens
	// trouble is asked before what a call asks for takes effect, and after: an error of it is the call's.
	trouble func(method string, applied bool) error

	mu           sync.Mutex
	sagas        map[string]*sagav1.Saga
	payments     []*paymentv1.Payment
	entries      []*paymentv1.Entry
	shipments    []*shipmentv1.Shipment
	reservations map[string]*inventoryv1.Reservation
	keys         map[string]proto.Message
	did          []string // what was done, once per key
	asked        int      // how many sagas were asked about
}

func newBusiness(t testing.TB) *business {
	return &business{
		t: t, now: time.Now().UTC().Truncate(time.Microsecond), sagas: map[string]*sagav1.Saga{},
		reservations: map[string]*inventoryv1.Reservation{}, keys: map[string]proto.Message{},
	}
}

func (b *business) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

// once does what a request asks for, once per key.
func (b *business) once(method, key string, r proto.Message, what string, do func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble != nil {
		if err := b.trouble(method, false); err != nil {
			return err
		}
	}
	if first := b.keys[key]; first != nil && !proto.Equal(first, r) {
		b.t.Errorf("key %s came with %v, and before with %v", key, r, first)
	} else if first == nil {
		b.keys[key] = proto.Clone(r)
		b.did = append(b.did, what)
		do()
	}
	if b.trouble != nil {
		return b.trouble(method, true)
	}
	return nil
}

// fail is asked by reads.
func (b *business) fail(method string) error {
	if b.trouble == nil {
		return nil
	}
	return b.trouble(method, false)
}

func (b *business) services() []service.Service {
	serve := func(name string, register func(*service.Env)) service.Service {
		return service.Service{Name: name, Run: func(_ context.Context, env *service.Env) error { register(env); return nil }}
	}
	return []service.Service{
		serve("orchestrator", func(env *service.Env) { sagav1.RegisterSagaServiceServer(env.GRPC, &sagasFake{business: b}) }),
		serve("payment", func(env *service.Env) {
			paymentv1.RegisterPaymentServiceServer(env.GRPC, &paymentsFake{business: b})
			paymentv1.RegisterLedgerServiceServer(env.GRPC, &ledgerFake{business: b})
		}),
		serve("inventory", func(env *service.Env) {
			inventoryv1.RegisterInventoryServiceServer(env.GRPC, &stockFake{business: b})
		}),
		serve("shipment", func(env *service.Env) {
			shipmentv1.RegisterShipmentServiceServer(env.GRPC, &shipmentsFake{business: b})
		}),
	}
}

type sagasFake struct {
	sagav1.UnimplementedSagaServiceServer
	*business
}

func (f *sagasFake) GetSaga(_ context.Context, r *sagav1.GetSagaRequest) (*sagav1.GetSagaResponse, error) {
	if err := f.fail("GetSaga"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	s := f.sagas[r.GetSagaId()]
	if s == nil {
		return nil, rpcerr.ForField(rpcerr.NotFound, "saga_id", "there is none")
	}
	return &sagav1.GetSagaResponse{Saga: proto.CloneOf(s)}, nil
}

func (f *sagasFake) OperateSaga(_ context.Context, r *sagav1.OperateSagaRequest) (*sagav1.OperateSagaResponse, error) {
	f.mu.Lock()
	s := f.sagas[r.GetSagaId()]
	f.mu.Unlock()
	if r.GetVerb() != sagav1.SagaVerb_SAGA_VERB_RETRY || r.GetReason() == "" {
		f.t.Errorf("the saga was operated by %v", r)
	}
	if s.GetPhase() == sagav1.SagaPhase_SAGA_PHASE_COMPLETED {
		return nil, rpcerr.New(rpcerr.SagaRefusesVerb, "the saga has ended")
	}
	err := f.once("OperateSaga", r.GetIdempotencyKey(), r, "retry", func() { s.Phase = sagav1.SagaPhase_SAGA_PHASE_RUNNING })
	return &sagav1.OperateSagaResponse{Saga: s}, err
}

type paymentsFake struct {
	paymentv1.UnimplementedPaymentServiceServer
	*business
}

func (b *business) find(id string) (*paymentv1.Payment, error) {
	for _, p := range b.payments {
		if p.GetPaymentId() == id {
			return p, nil
		}
	}
	return nil, rpcerr.ForField(rpcerr.NotFound, "payment_id", "there is none")
}

// ListPayments gives one a page, without operations, as the service does.
func (f *paymentsFake) ListPayments(_ context.Context, r *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &paymentv1.ListPaymentsResponse{}
	for i, p := range f.payments {
		if p.GetReference() == r.GetReference() && string(rune('a'+i)) > r.GetPageToken() {
			listed := proto.CloneOf(p)
			listed.Operations = nil
			out.Payments, out.NextPageToken = []*paymentv1.Payment{listed}, string(rune('a'+i))
			return out, nil
		}
	}
	return out, nil
}

func (f *paymentsFake) GetPayment(_ context.Context, r *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	if err := f.fail("GetPayment"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.find(r.GetPaymentId())
	return &paymentv1.GetPaymentResponse{Payment: proto.CloneOf(p)}, err
}

// InquirePayment finds out that what is in doubt has happened.
func (f *paymentsFake) InquirePayment(_ context.Context, r *paymentv1.InquirePaymentRequest) (*paymentv1.InquirePaymentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.find(r.GetPaymentId())
	if err != nil {
		return nil, err
	}
	if inDoubt(p) {
		p.State, p.Captured, p.Operations = paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, p.GetAmount(), nil
	}
	out := &paymentv1.InquirePaymentResponse{Payment: proto.CloneOf(p)}
	if r.GetCompare() {
		out.Witnesses = []*paymentv1.Witness{{Kind: paymentv1.OperationKind_OPERATION_KIND_CHARGE, Said: "succeeded", ProviderId: p.GetProviderChargeId()}}
	}
	return out, nil
}

func (f *paymentsFake) ResolvePayment(_ context.Context, r *paymentv1.ResolvePaymentRequest) (*paymentv1.ResolvePaymentResponse, error) {
	f.mu.Lock()
	p, err := f.find(r.GetPaymentId())
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = f.once("ResolvePayment", r.GetIdempotencyKey(), r, "resolve", func() {
		p.State, p.Captured, p.Operations = paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, p.GetAmount(), nil
	})
	return &paymentv1.ResolvePaymentResponse{Payment: proto.CloneOf(p)}, err
}

func (f *paymentsFake) RefundPayment(_ context.Context, r *paymentv1.RefundPaymentRequest) (*paymentv1.RefundPaymentResponse, error) {
	f.mu.Lock()
	p, err := f.find(r.GetPaymentId())
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = f.once("RefundPayment", r.GetIdempotencyKey(), r, "refund", func() {
		p.Refunded = pounds(p.GetRefunded().GetMinorUnits() + r.GetAmount().GetMinorUnits())
	})
	return &paymentv1.RefundPaymentResponse{Payment: p}, err
}

func (f *paymentsFake) VoidPayment(_ context.Context, r *paymentv1.VoidPaymentRequest) (*paymentv1.VoidPaymentResponse, error) {
	f.mu.Lock()
	p, err := f.find(r.GetPaymentId())
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = f.once("VoidPayment", r.GetIdempotencyKey(), r, "void", func() { p.State = paymentv1.PaymentState_PAYMENT_STATE_VOIDED })
	return &paymentv1.VoidPaymentResponse{Payment: p}, err
}

type ledgerFake struct {
	paymentv1.UnimplementedLedgerServiceServer
	*business
}

// ListEntries gives two a page, so that journals are parted.
func (f *ledgerFake) ListEntries(_ context.Context, r *paymentv1.ListEntriesRequest) (*paymentv1.ListEntriesResponse, error) {
	if err := f.fail("ListEntries"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*paymentv1.Entry
	for _, e := range f.entries {
		at := e.GetCreateTime().AsTime()
		if (r.GetPaymentId() == "" || r.GetPaymentId() == e.GetPaymentId()) && (r.Since == nil || !at.Before(r.GetSince().AsTime())) &&
			(r.Until == nil || at.Before(r.GetUntil().AsTime())) {
			all = append(all, e)
		}
	}
	from := len(r.GetPageToken())
	out := &paymentv1.ListEntriesResponse{Entries: all[min(from, len(all)):min(from+2, len(all))]}
	if from+2 < len(all) {
		out.NextPageToken = string(slices.Repeat([]byte{'x'}, from+2))
	}
	return out, nil
}

func (f *ledgerFake) GetBalances(_ context.Context, r *paymentv1.GetBalancesRequest) (*paymentv1.GetBalancesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum int64
	for _, e := range f.entries {
		if !e.GetCreateTime().AsTime().After(r.GetAsOfTime().AsTime()) {
			sum += e.GetAmount().GetMinorUnits()
		}
	}
	return &paymentv1.GetBalancesResponse{Balances: []*paymentv1.Balance{
		{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, Balance: pounds(sum)},
		{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE, Balance: pounds(-sum)},
	}}, nil
}

// GetTurnover gives ten minutes at a time.
func (f *ledgerFake) GetTurnover(_ context.Context, r *paymentv1.GetTurnoverRequest) (*paymentv1.GetTurnoverResponse, error) {
	if err := f.fail("GetTurnover"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	since, until := r.GetSince().AsTime(), r.GetUntil().AsTime()
	if r.Since == nil && len(f.entries) > 0 {
		since = slices.MinFunc(f.entries, func(a, b *paymentv1.Entry) int {
			return a.GetCreateTime().AsTime().Compare(b.GetCreateTime().AsTime())
		}).GetCreateTime().AsTime().Truncate(time.Minute)
	}
	if through := since.Add(10 * time.Minute); through.Before(until) && len(f.entries) > 0 {
		until = through
	}
	out := &paymentv1.GetTurnoverResponse{Through: timestamppb.New(until)}
	for _, e := range f.entries {
		if at := e.GetCreateTime().AsTime(); !at.Before(since) && at.Before(until) {
			i := slices.IndexFunc(out.Turnovers, func(t *paymentv1.Turnover) bool {
				return t.GetMinute().AsTime().Equal(at.Truncate(time.Minute)) && t.GetKind() == e.GetKind()
			})
			if i < 0 {
				i = len(out.Turnovers)
				out.Turnovers = append(out.Turnovers, &paymentv1.Turnover{Minute: timestamppb.New(at.Truncate(time.Minute)), Kind: e.GetKind(), Sum: pounds(0)})
			}
			out.Turnovers[i].Sum.MinorUnits += e.GetAmount().GetMinorUnits()
		}
	}
	return out, nil
}

// PostJournal books what a journal moves of what the provider holds.
func (f *ledgerFake) PostJournal(_ context.Context, r *paymentv1.PostJournalRequest) (*paymentv1.PostJournalResponse, error) {
	moves := -r.GetAmount().GetMinorUnits() - r.GetFee().GetMinorUnits()
	what := "payout " + r.GetKey()
	if r.GetKind() == paymentv1.JournalKind_JOURNAL_KIND_CORRECTION {
		what, moves = "correction "+r.GetKey(), 0
		sum := int64(0)
		for _, p := range r.GetPostings() {
			if sum += p.GetAmount().GetMinorUnits(); p.GetAccount() == paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING {
				moves += p.GetAmount().GetMinorUnits()
			}
		}
		if sum != 0 || len(r.GetPostings()) < 2 {
			f.t.Errorf("a journal does not balance: %v", r)
		}
	} else if r.GetAmount().GetMinorUnits() <= 0 {
		return nil, rpcerr.New(rpcerr.AmountNotPositive, "is not more than zero")
	}
	err := f.once("PostJournal", r.GetIdempotencyKey(), r, what, func() {
		f.entries = append(f.entries, &paymentv1.Entry{
			JournalId: "jrn_" + r.GetKey(), Line: 2, Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, Amount: pounds(moves),
			Kind: r.GetKind(), CreateTime: timestamppb.New(f.now),
		})
	})
	return &paymentv1.PostJournalResponse{JournalId: "jrn_" + r.GetKey()}, err
}

type stockFake struct {
	inventoryv1.UnimplementedInventoryServiceServer
	*business
}

func (f *stockFake) BatchGetReservation(_ context.Context, r *inventoryv1.BatchGetReservationRequest) (*inventoryv1.BatchGetReservationResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &inventoryv1.BatchGetReservationResponse{}
	for _, key := range r.GetIdempotencyKeys() {
		if found := f.reservations[key]; found != nil {
			out.Reservations = append(out.Reservations, &inventoryv1.BatchGetReservationResponse_Keyed{IdempotencyKey: key, Reservation: proto.CloneOf(found)})
		}
	}
	return out, nil
}

type shipmentsFake struct {
	shipmentv1.UnimplementedShipmentServiceServer
	*business
}

func (f *shipmentsFake) ListShipments(_ context.Context, r *shipmentv1.ListShipmentsRequest) (*shipmentv1.ListShipmentsResponse, error) {
	if err := f.fail("ListShipments"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &shipmentv1.ListShipmentsResponse{}
	for _, s := range f.shipments {
		if s.GetReference() == r.GetReference() {
			out.Shipments = append(out.Shipments, proto.CloneOf(s))
		}
	}
	return out, nil
}

func (f *shipmentsFake) CancelShipment(_ context.Context, r *shipmentv1.CancelShipmentRequest) (*shipmentv1.CancelShipmentResponse, error) {
	err := f.once("CancelShipment", r.GetIdempotencyKey(), r, "cancel", func() {
		for _, s := range f.shipments {
			if s.GetShipmentId() == r.GetShipmentId() {
				s.State = shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED
			}
		}
	})
	return &shipmentv1.CancelShipmentResponse{}, err
}

// lost is an answer that was lost.
func lost() error { return status.Error(codes.Unavailable, "the answer is lost") }
