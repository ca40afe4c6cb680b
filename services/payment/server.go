package payment

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of the use cases.
type server struct {
	paymentv1.UnimplementedPaymentServiceServer
	payments *payments
}

// ledgerServer is the gRPC face of the ledger.
type ledgerServer struct {
	paymentv1.UnimplementedLedgerServiceServer
	payments *payments
}

// register serves the use cases on r.
func register(r grpc.ServiceRegistrar, p *payments) {
	paymentv1.RegisterPaymentServiceServer(r, &server{payments: p})
	paymentv1.RegisterLedgerServiceServer(r, &ledgerServer{payments: p})
}

// step is a request of a saga's step.
type step interface {
	GetIdempotencyKey() string
	GetOrigin() *commonv1.Origin
}

func requestOf(ctx context.Context, r step) request {
	return request{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), token: uuid.New(),
		epoch: r.GetOrigin().GetEpoch(), traceparent: r.GetOrigin().GetTraceparent(),
	}
}

// runner runs errands to the end of their batch's patience, or, one alone, to its own end.
type runner[C any] func(context.Context, []C) []errand.Result[*payment]

func alone[C any](k *errand.Errands[C, ending, *payment]) runner[C] {
	return func(ctx context.Context, one []C) []errand.Result[*payment] {
		return []errand.Result[*payment]{k.Do(ctx, one[0])}
	}
}

// handIn has commands run that are made of requests, and makes responses of their answers. A request of which no
// command can be made is refused with that error.
func handIn[C, Q, R any](ctx context.Context, run runner[C], requests []Q, command func(Q) (C, error), response func(*paymentv1.Payment) R) []rpc.Answered[R] {
	answers := make([]rpc.Answered[R], len(requests))
	var commands []C
	var at []int
	for i, r := range requests {
		c, err := command(r)
		if answers[i].Err = err; err == nil {
			commands, at = append(commands, c), append(at, i)
		}
	}
	if len(commands) == 0 {
		return answers
	}
	for n, done := range run(ctx, commands) {
		a := &answers[at[n]]
		if a.Err, a.Replayed = done.Err, done.Value.Replayed; a.Err == nil {
			a.Response = response(paymentToProto(done.Value.Value))
		}
	}
	return answers
}

func (s *server) charge(run runner[*chargeCommand]) func(context.Context, []*paymentv1.ChargeRequest) []rpc.Answered[*paymentv1.ChargeResponse] {
	return func(ctx context.Context, requests []*paymentv1.ChargeRequest) []rpc.Answered[*paymentv1.ChargeResponse] {
		return handIn(ctx, run, requests,
			func(r *paymentv1.ChargeRequest) (*chargeCommand, error) {
				amount := amountFromProto(r.GetAmount())
				return &chargeCommand{
					request: requestOf(ctx, r), amount: amount, method: r.GetPaymentMethod(),
					customerID: r.GetCustomerId(), reference: r.GetReference(),
				}, checkAmount(amount)
			},
			func(p *paymentv1.Payment) *paymentv1.ChargeResponse { return &paymentv1.ChargeResponse{Payment: p} })
	}
}

func (s *server) Charge(ctx context.Context, r *paymentv1.ChargeRequest) (*paymentv1.ChargeResponse, error) {
	return rpc.Single(ctx, r, s.charge(alone(s.payments.charges)))
}

func (s *server) BatchCharge(ctx context.Context, r *paymentv1.BatchChargeRequest) (*paymentv1.BatchChargeResponse, error) {
	out := &paymentv1.BatchChargeResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.charge(s.payments.charges.DoAll)) {
		out.Results = append(out.Results, &paymentv1.BatchChargeResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) refund(run runner[*refundCommand]) func(context.Context, []*paymentv1.RefundRequest) []rpc.Answered[*paymentv1.RefundResponse] {
	return func(ctx context.Context, requests []*paymentv1.RefundRequest) []rpc.Answered[*paymentv1.RefundResponse] {
		return handIn(ctx, run, requests,
			func(r *paymentv1.RefundRequest) (*refundCommand, error) {
				return &refundCommand{request: requestOf(ctx, r)}, nil
			},
			func(p *paymentv1.Payment) *paymentv1.RefundResponse { return &paymentv1.RefundResponse{Payment: p} })
	}
}

func (s *server) Refund(ctx context.Context, r *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	return rpc.Single(ctx, r, s.refund(alone(s.payments.refunds)))
}

func (s *server) BatchRefund(ctx context.Context, r *paymentv1.BatchRefundRequest) (*paymentv1.BatchRefundResponse, error) {
	out := &paymentv1.BatchRefundResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.refund(s.payments.refunds.DoAll)) {
		out.Results = append(out.Results, &paymentv1.BatchRefundResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) GetPayment(ctx context.Context, r *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	p, err := s.payments.getPayment(ctx, r.GetPaymentId())
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetPaymentResponse{Payment: paymentToProto(&p)}, nil
}

func (s *server) ListPayments(ctx context.Context, r *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	before, err := rpc.PageBefore[paymentKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	all, err := s.payments.listPayments(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(all, n, func(p payment) *paymentv1.Payment { return paymentToProto(&p) }, (*paymentv1.Payment).GetPaymentId)
	return &paymentv1.ListPaymentsResponse{Payments: page, NextPageToken: next}, nil
}

func (s *ledgerServer) GetBalances(ctx context.Context, r *paymentv1.GetBalancesRequest) (*paymentv1.GetBalancesResponse, error) {
	currency, err := currencyFilter(r.GetCurrencyCode())
	if err != nil {
		return nil, err
	}
	to, err := s.asOf(ctx, r)
	if err != nil {
		return nil, err
	}
	all, err := s.payments.balances(ctx, to, currency)
	if err != nil {
		return nil, err
	}
	out := &paymentv1.GetBalancesResponse{}
	for _, b := range all {
		out.Balances = append(out.Balances, balanceToProto(b))
	}
	return out, nil
}

// asOf gives the place up to which the ledger is added up; nil for all of it.
func (s *ledgerServer) asOf(ctx context.Context, r *paymentv1.GetBalancesRequest) (*place, error) {
	switch r.GetAsOf().(type) {
	case *paymentv1.GetBalancesRequest_AsOfTime:
		at, err := timeFromProto("as_of_time", r.GetAsOfTime())
		to := endOf(at)
		return &to, err
	case *paymentv1.GetBalancesRequest_AsOfJournalId:
		to, err := s.payments.endingWith(ctx, r.GetAsOfJournalId())
		return &to, err
	}
	return nil, nil
}

func (s *ledgerServer) ListEntries(ctx context.Context, r *paymentv1.ListEntriesRequest) (*paymentv1.ListEntriesResponse, error) {
	filter, err := entryFilterFromProto(r)
	if err != nil {
		return nil, err
	}
	behind, err := pageBehind(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	all, err := s.payments.listEntries(ctx, filter, behind, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(all, n, entryToProto, func(e *paymentv1.Entry) string {
		return pageKey(e.GetJournalId(), e.GetLine(), e.GetCreateTime().AsTime())
	})
	return &paymentv1.ListEntriesResponse{Entries: page, NextPageToken: next}, nil
}
