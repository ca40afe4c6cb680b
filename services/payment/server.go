package payment

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of the use cases; steps.go has those that take effect once per key.
type server struct {
	paymentv1.UnimplementedPaymentServiceServer
	payments *payments
}

// ledgerServer is the gRPC face of the ledger.
type ledgerServer struct {
	paymentv1.UnimplementedLedgerServiceServer
	payments *payments
}

// providerServer is the gRPC face of the account at the provider.
type providerServer struct {
	paymentv1.UnimplementedProviderServiceServer
	payments *payments
}

// register serves the use cases on r.
func register(r grpc.ServiceRegistrar, p *payments) {
	paymentv1.RegisterPaymentServiceServer(r, &server{payments: p})
	paymentv1.RegisterLedgerServiceServer(r, &ledgerServer{payments: p})
	paymentv1.RegisterProviderServiceServer(r, &providerServer{payments: p})
}

func (s *server) GetPayment(ctx context.Context, r *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	p, all, err := s.payments.getPayment(ctx, r.GetPaymentId())
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetPaymentResponse{Payment: withOperations(p, all)}, nil
}

func (s *server) InquirePayment(ctx context.Context, r *paymentv1.InquirePaymentRequest) (*paymentv1.InquirePaymentResponse, error) {
	p, all, err := s.payments.inquire(ctx, r.GetPaymentId())
	if err != nil {
		return nil, err
	}
	answer := &paymentv1.InquirePaymentResponse{Payment: withOperations(p, all)}
	if r.GetCompare() {
		for _, w := range s.payments.compare(ctx, p, all) {
			answer.Witnesses = append(answer.Witnesses, witnessToProto(w))
		}
	}
	return answer, nil
}

func (s *server) ResolvePayment(ctx context.Context, r *paymentv1.ResolvePaymentRequest) (*paymentv1.ResolvePaymentResponse, error) {
	p, all, err := s.payments.prove(ctx, proof{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), paymentID: r.GetPaymentId(), operationKey: r.GetOperationKey(),
		providerID: r.GetProviderId(), amount: amountFromProto(r.GetAmount()), evidence: r.GetEvidence(),
	})
	if err != nil {
		return nil, err
	}
	return &paymentv1.ResolvePaymentResponse{Payment: withOperations(p, all)}, nil
}

func (s *server) ListPayments(ctx context.Context, r *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	before, err := rpc.PageBefore[paymentKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	f := paymentFilter{state: state(r.GetState()), customerID: r.GetCustomerId(), reference: r.GetReference(), inDoubt: r.GetInDoubt()}
	all, err := s.payments.listPayments(ctx, f, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(all, n, func(p payment) *paymentv1.Payment { return paymentToProto(&p) }, (*paymentv1.Payment).GetPaymentId)
	return &paymentv1.ListPaymentsResponse{Payments: page, NextPageToken: next}, nil
}

func (s *server) GetIdempotencyKey(ctx context.Context, r *paymentv1.GetIdempotencyKeyRequest) (*paymentv1.GetIdempotencyKeyResponse, error) {
	all, err := s.payments.idempotency(ctx, r.GetKey())
	if err != nil {
		return nil, err
	}
	out := &paymentv1.GetIdempotencyKeyResponse{}
	for _, k := range all {
		out.Records = append(out.Records, recordToProto(k))
	}
	return out, nil
}

func (s *providerServer) GetProvider(ctx context.Context, _ *paymentv1.GetProviderRequest) (*paymentv1.GetProviderResponse, error) {
	p, err := s.show(ctx)
	return &paymentv1.GetProviderResponse{Provider: p}, err
}

func (s *providerServer) ForceBreaker(ctx context.Context, r *paymentv1.ForceBreakerRequest) (*paymentv1.ForceBreakerResponse, error) {
	f := forcing{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), reason: r.GetReason(), open: r.GetOpen()}
	if err := s.payments.forceBreaker(ctx, f); err != nil {
		return nil, err
	}
	p, err := s.show(ctx)
	return &paymentv1.ForceBreakerResponse{Provider: p}, err
}

// show gives the account as this replica sees it.
func (s *providerServer) show(ctx context.Context) (*paymentv1.Provider, error) {
	h, err := s.payments.readHold(ctx)
	if err != nil {
		return nil, err
	}
	doubts, err := s.payments.inDoubt(ctx)
	if err != nil {
		return nil, err
	}
	account := s.payments.provider
	can := account.Capabilities()
	p := &paymentv1.Provider{
		Name: account.Name(), Breaker: breakerToProto(account.Breaker().State()),
		CallTimeout: durationpb.New(can.CallTimeout), NotFoundLag: durationpb.New(can.NotFoundLag),
	}
	if can.KeyLifetime > 0 {
		p.KeyLifetime = durationpb.New(can.KeyLifetime)
	}
	if h.Open {
		p.ForcedBy, p.ForceReason, p.ForceTime = h.Actor, h.Reason, timestamppb.New(h.ChangedAt)
	}
	for _, o := range can.Operations {
		p.Operations = append(p.Operations, string(o))
	}
	for _, d := range doubts {
		p.InDoubt = append(p.InDoubt, &paymentv1.MoneyInDoubt{
			Amount: amountToProto(d.amount), Operations: d.operations, OldestTime: timestamppb.New(d.oldest),
		})
	}
	return p, nil
}

func (s *ledgerServer) PostJournal(ctx context.Context, r *paymentv1.PostJournalRequest) (*paymentv1.PostJournalResponse, error) {
	d, err := decisionFromProto(rpc.Caller(ctx), r)
	if err != nil {
		return nil, err
	}
	entries, err := s.payments.postJournal(ctx, d)
	if err != nil {
		return nil, err
	}
	return journalToProto(entries), nil
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

func (s *ledgerServer) GetTurnover(ctx context.Context, r *paymentv1.GetTurnoverRequest) (*paymentv1.GetTurnoverResponse, error) {
	since, err := minuteFromProto("since", r.GetSince())
	if err != nil {
		return nil, err
	}
	until, err := minuteFromProto("until", r.GetUntil())
	if err != nil {
		return nil, err
	}
	all, through, err := s.payments.turnover(ctx, accountFromProto(r.GetAccount()), since, until)
	if err != nil {
		return nil, err
	}
	out := &paymentv1.GetTurnoverResponse{Through: timestamppb.New(through)}
	for _, t := range all {
		out.Turnovers = append(out.Turnovers, &paymentv1.Turnover{
			Minute: timestamppb.New(t.minute), Kind: paymentv1.JournalKind(t.kind), Sum: amountToProto(t.sum),
		})
	}
	return out, nil
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
