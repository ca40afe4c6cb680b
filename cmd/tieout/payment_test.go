package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// paymentDesk answers as the payment service does, from what the test puts there, and keeps what it was asked. It does
// not take a request without what the contract requires of it.
type paymentDesk struct {
	paymentv1.UnimplementedPaymentServiceServer
	paymentv1.UnimplementedProviderServiceServer
	addr string

	payment  *paymentv1.Payment
	records  []*paymentv1.IdempotencyRecord
	provider *paymentv1.Provider
	errs     []error // what the next requests that change something end with
	replayed bool

	mu    sync.Mutex
	asked []proto.Message // that is no read of a single thing
}

func newPaymentDesk(t *testing.T, d *paymentDesk) *paymentDesk {
	t.Helper()
	d.addr = serveDesk(t, d)
	return d
}

// serveDesk has what answers as the payment service does listen, and gives its address.
func serveDesk(t *testing.T, d interface {
	paymentv1.PaymentServiceServer
	paymentv1.ProviderServiceServer
}) string {
	t.Helper()
	s := grpc.NewServer()
	paymentv1.RegisterPaymentServiceServer(s, d)
	paymentv1.RegisterProviderServiceServer(s, d)
	healthv1.RegisterHealthServer(s, health.NewServer())
	return nettest.ServeGRPC(t, s)
}

// tieout runs a command against the desk.
func (d *paymentDesk) tieout(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, []string{envAddr + "=" + d.addr}, append([]string{"payment"}, args...)...)
}

func (d *paymentDesk) note(m proto.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, m)
}

// change takes in a request that changes something.
func (d *paymentDesk) change(ctx context.Context, m interface {
	proto.Message
	GetIdempotencyKey() string
	GetReason() string
}) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(m.GetIdempotencyKey()) < 8 || m.GetReason() == "" {
		return rpcerr.New(rpcerr.RequestInvalid, "no key or no reason: %v", m)
	}
	d.asked = append(d.asked, m)
	if d.replayed {
		_ = grpc.SetHeader(ctx, metadata.Pairs("idempotency-replayed", "true"))
	}
	if len(d.errs) == 0 {
		return nil
	}
	err := d.errs[0]
	d.errs = d.errs[1:]
	return err
}

func (d *paymentDesk) wantAsked(t *testing.T, want ...proto.Message) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(want, d.asked, protocmp.Transform()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	d.asked = nil
}

func (d *paymentDesk) find(id string) (*paymentv1.Payment, error) {
	if id != d.payment.GetPaymentId() {
		return nil, rpcerr.New(rpcerr.NotFound, "there is no payment %s", id)
	}
	return d.payment, nil
}

func (d *paymentDesk) GetPayment(_ context.Context, r *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	p, err := d.find(r.GetPaymentId())
	return &paymentv1.GetPaymentResponse{Payment: p}, err
}

func (d *paymentDesk) InquirePayment(_ context.Context, r *paymentv1.InquirePaymentRequest) (*paymentv1.InquirePaymentResponse, error) {
	p, err := d.find(r.GetPaymentId())
	d.note(r)
	return &paymentv1.InquirePaymentResponse{Payment: p}, err
}

func (d *paymentDesk) ListPayments(_ context.Context, r *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	d.note(r)
	return &paymentv1.ListPaymentsResponse{Payments: []*paymentv1.Payment{d.payment}}, nil
}

func (d *paymentDesk) RefundPayment(ctx context.Context, r *paymentv1.RefundPaymentRequest) (*paymentv1.RefundPaymentResponse, error) {
	return &paymentv1.RefundPaymentResponse{Payment: d.payment}, d.change(ctx, r)
}

func (d *paymentDesk) VoidPayment(ctx context.Context, r *paymentv1.VoidPaymentRequest) (*paymentv1.VoidPaymentResponse, error) {
	return &paymentv1.VoidPaymentResponse{Payment: d.payment}, d.change(ctx, r)
}

func (d *paymentDesk) GetIdempotencyKey(context.Context, *paymentv1.GetIdempotencyKeyRequest) (*paymentv1.GetIdempotencyKeyResponse, error) {
	return &paymentv1.GetIdempotencyKeyResponse{Records: d.records}, nil
}

func (d *paymentDesk) GetProvider(context.Context, *paymentv1.GetProviderRequest) (*paymentv1.GetProviderResponse, error) {
	return &paymentv1.GetProviderResponse{Provider: d.provider}, nil
}

func (d *paymentDesk) ForceBreaker(ctx context.Context, r *paymentv1.ForceBreakerRequest) (*paymentv1.ForceBreakerResponse, error) {
	return &paymentv1.ForceBreakerResponse{Provider: d.provider}, d.change(ctx, r)
}

func eur(minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: minor}
}

func noon(minute int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 3, 31, 12, minute, 0, 0, time.UTC))
}

// aPayment was captured, given back in part, and taken back in part.
func aPayment() *paymentv1.Payment {
	return &paymentv1.Payment{
		PaymentId: "pay_1", State: paymentv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, Amount: eur(2000), PaymentMethod: "pm_ok",
		CustomerId: "ada", Reference: "ord_1", Captured: eur(2000), Refunded: eur(500), ChargedBack: eur(100), CreateTime: noon(0),
		Operations: []*paymentv1.Operation{
			{Kind: paymentv1.OperationKind_OPERATION_KIND_CHARGE, State: paymentv1.OperationState_OPERATION_STATE_DONE, Amount: eur(2000),
				ProviderKey: "key-1", ProviderId: "ch_1", Sends: 2, CreateTime: noon(0), Calls: []*paymentv1.ProviderCall{
					{CallTime: noon(0), Ask: "do", Outcome: "unknown", Detail: "no answer in 3s"},
					{CallTime: noon(1), Ask: "look up", Outcome: "succeeded"},
				}},
			{Kind: paymentv1.OperationKind_OPERATION_KIND_REFUND, State: paymentv1.OperationState_OPERATION_STATE_DONE, Amount: eur(500),
				ProviderKey: "key-2", ProviderId: "re_1", Sends: 1, CreateTime: noon(5)},
		},
	}
}

// wantLines fails the test unless a text has these lines, in their order; runs of spaces count as one.
func wantLines(t *testing.T, text string, want ...string) {
	t.Helper()
	rest := text
	for _, line := range want {
		found := false
		for !found && rest != "" {
			var next string
			next, rest, _ = strings.Cut(rest, "\n")
			found = strings.Join(strings.Fields(next), " ") == line
		}
		if !found {
			t.Errorf("no line %q where it should be:\n%s", line, text)
			return
		}
	}
}

func TestPayment_GetShowsWhatTheProviderWasAskedFor(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: aPayment()})
	for _, verb := range []string{"get", "inquire"} {
		code, stdout, stderr := d.tieout(t, verb, "pay_1")
		if code != exitOK || stderr != "" {
			t.Errorf("exit %d: %s", code, stderr)
		}
		wantLines(t, stdout, "payment id pay_1", "state partially_refunded", "captured 20.00 EUR", "refunded 5.00 EUR", "charged back 1.00 EUR",
			"Operations", "CREATE TIME KIND STATE AMOUNT PROVIDER KEY PROVIDER ID SENDS SEND TIME INQUIRY TIME UPDATE TIME DECLINE REASON",
			"2026-03-31T12:00:00Z charge done 20.00 EUR key-1 ch_1 2", "2026-03-31T12:05:00Z refund done 5.00 EUR key-2 re_1 1",
			"Calls", "TIME KIND PROVIDER KEY ASK OUTCOME DETAIL", "2026-03-31T12:00:00Z charge key-1 do unknown no answer in 3s",
			"2026-03-31T12:01:00Z charge key-1 look up succeeded")
	}
	d.wantAsked(t, &paymentv1.InquirePaymentRequest{PaymentId: "pay_1"})
	_, stdout, _ := d.tieout(t, "get", "pay_1", "-o", "json")
	got := decode[struct {
		Operations []struct{ Calls []map[string]string }
	}](t, stdout)
	if len(got.Operations) != 2 || len(got.Operations[0].Calls) != 2 || got.Operations[0].Calls[1]["ask"] != "look up" {
		t.Errorf("as JSON: %+v", got)
	}
	if code, stdout, stderr := d.tieout(t, "get", "pay_2"); code != exitNotFound || stdout != "" || !strings.Contains(stderr, "NOT_FOUND") {
		t.Errorf("one that there is not: exit %d, %s%s", code, stdout, stderr)
	}
}

func TestPayment_ListAsksForWhatIsWanted(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: aPayment()})
	code, stdout, stderr := d.tieout(t, "list", "--state", "partially_refunded", "--customer", "ada", "--reference", "ord_1", "--in-doubt", "-o", "csv")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	d.wantAsked(t, &paymentv1.ListPaymentsRequest{
		PageSize: defaultLimit, State: paymentv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, CustomerId: "ada", Reference: "ord_1", InDoubt: true,
	})
	wantLines(t, stdout, "payment_id,state,amount,captured,refunded,payment_method,customer_id,reference,create_time,decline_reason",
		"pay_1,partially_refunded,20.00 EUR,20.00 EUR,5.00 EUR,pm_ok,ada,ord_1,2026-03-31T12:00:00Z,")
	d.tieout(t, "list")
	d.wantAsked(t, &paymentv1.ListPaymentsRequest{PageSize: defaultLimit})
	if code, _, stderr := d.tieout(t, "list", "--state", "paid"); code != exitUsage || !strings.Contains(stderr, "chargeback") {
		t.Errorf("a state that there is not: exit %d, %s", code, stderr)
	}
	d.wantAsked(t)
}

func TestPayment_IdempotencyShowsEachRecordOfAKey(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{records: []*paymentv1.IdempotencyRecord{
		{Caller: "billing", Method: "Charge", IdempotencyKey: "order-0001", State: paymentv1.IdempotencyState_IDEMPOTENCY_STATE_REFUSED,
			RefusalReason: "PAYMENT_DECLINED", Attempts: 1, Replays: 3, CreateTime: noon(0), ExpireTime: noon(30)},
		{Caller: "orchestrator", Method: "Charge", IdempotencyKey: "order-0001", State: paymentv1.IdempotencyState_IDEMPOTENCY_STATE_IN_FLIGHT,
			Resource: "pay_1", Attempts: 2, Claim: "b9c8", LeaseExpireTime: noon(9), Epoch: 7, CreateTime: noon(1),
			FingerprintFields: []*paymentv1.FingerprintField{{Name: "amount", Digest: "00ff"}, {Name: "reference", Digest: "a1b2"}},
			Operations:        aPayment().GetOperations()[:1]},
	}})
	code, stdout, stderr := d.tieout(t, "idempotency", "order-0001")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "caller billing", "method Charge", "state refused", "refusal reason PAYMENT_DECLINED", "replays 3", "expire time 2026-03-31T12:30:00Z",
		"caller orchestrator", "state in_flight", "resource pay_1", "attempts 2", "claim b9c8", "lease expire time 2026-03-31T12:09:00Z", "epoch 7",
		"Fingerprint", "FIELD DIGEST", "amount 00ff", "reference a1b2", "Operations",
		"2026-03-31T12:00:00Z charge done 20.00 EUR key-1 ch_1 2", "Calls", "2026-03-31T12:01:00Z charge key-1 look up succeeded")
	_, stdout, _ = d.tieout(t, "idempotency", "order-0001", "-o", "json")
	got := decode[[]struct {
		Caller     string
		Fields     []map[string]string `json:"fingerprint_fields"`
		Operations []map[string]any
	}](t, stdout)
	if len(got) != 2 || len(got[1].Fields) != 2 || len(got[1].Operations) != 1 || got[1].Caller != "orchestrator" {
		t.Errorf("as JSON: %+v", got)
	}
	d.records = nil
	if code, stdout, stderr := d.tieout(t, "idempotency", "order-0002"); code != exitNotFound || stdout != "" || !strings.Contains(stderr, "order-0002") {
		t.Errorf("a key that nobody used: exit %d, %s%s", code, stdout, stderr)
	}
}

func TestPayment_ProviderShowsItsBreakerAndTheMoneyInDoubt(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{provider: &paymentv1.Provider{
		Name: "stripe", Breaker: paymentv1.BreakerState_BREAKER_STATE_FORCED_OPEN, ForcedBy: "ada", ForceReason: "they asked for it", ForceTime: noon(0),
		Operations: []string{"charge", "refund"}, CallTimeout: durationpb.New(3 * time.Second), NotFoundLag: durationpb.New(time.Minute),
		KeyLifetime: durationpb.New(24 * time.Hour), InDoubt: []*paymentv1.MoneyInDoubt{
			{Amount: eur(1250), Operations: 3, OldestTime: timestamppb.New(time.Now().Add(-time.Hour))},
			{Amount: &commonv1.Amount{CurrencyCode: "JPY", MinorUnits: 900}, Operations: 1},
		},
	}})
	code, stdout, stderr := d.tieout(t, "provider")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "name stripe", "breaker forced_open", "forced by ada", "force reason they asked for it", "force time 2026-03-31T12:00:00Z",
		"in doubt 12.50 EUR in 3, 900 JPY in 1", "operations charge, refund", "call timeout 3s", "not found lag 1m0s", "key lifetime 24h0m0s",
		"In doubt", "AMOUNT OPERATIONS OLDEST TIME OLDEST AGE")
	if !strings.Contains(stdout, "1h0m") {
		t.Errorf("does not say for how long it is in doubt:\n%s", stdout)
	}
}

func TestPayment_BreakerIsForcedOnlyWhenTold(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{provider: &paymentv1.Provider{Name: "stripe", Breaker: paymentv1.BreakerState_BREAKER_STATE_CLOSED}})
	for _, test := range []struct{ set, note string }{
		{"open", "with --yes every call to stripe is held back"}, {"auto", "nothing would change: the breaker is closed"},
	} {
		code, stdout, stderr := d.tieout(t, "breaker", test.set, "--reason", "maintenance")
		if code != exitOK || !strings.Contains(stderr, "nothing was done") || !strings.Contains(stderr, test.note) {
			t.Errorf("the plan for %s: exit %d, %s", test.set, code, stderr)
		}
		wantLines(t, stdout, "breaker closed")
	}
	d.wantAsked(t)
	for _, open := range []bool{true, false} {
		set := map[bool]string{true: "open", false: "auto"}[open]
		if code, _, stderr := d.tieout(t, "breaker", set, "--reason", "maintenance", "--yes"); code != exitOK || stderr != "" {
			t.Errorf("exit %d: %s", code, stderr)
		}
		if r := d.asked[0].(*paymentv1.ForceBreakerRequest); len(d.asked) != 1 || r.GetOpen() != open || r.GetReason() != "maintenance" {
			t.Errorf("asked for %v", d.asked)
		}
		d.asked = nil
	}
}
