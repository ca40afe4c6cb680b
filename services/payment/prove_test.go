package payment

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// doubt charges with a method whose answer is lost, and gives the payment and what a statement would say of it.
func (b *bundle) doubt(t *testing.T, method string) (*paymentv1.Payment, *paymentv1.ResolvePaymentRequest) {
	t.Helper()
	if p, err := b.charge(t, key, method); err == nil {
		t.Fatalf("the charge is answered %v", p)
	}
	p := b.only(t)
	return p, &paymentv1.ResolvePaymentRequest{
		IdempotencyKey: "statement-line-1", PaymentId: p.GetPaymentId(), OperationKey: p.GetProviderKey(), ProviderId: "ch_of_the_statement",
		Amount: p.GetAmount(), Evidence: "statement stm_1, line 7",
	}
}

func TestResolvePayment_AStatementProvesWhatTheProviderDoesNotSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, proven := b.doubt(t, "pm_lookup_fails")
	proven.ProviderId = b.psp.Journal()[0].ID
	for range 2 { // the second time it is known
		answer, err := b.ResolvePayment(t.Context(), proven)
		if err != nil {
			t.Fatal(err)
		}
		p := answer.GetPayment()
		if p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_CAPTURED || p.GetProviderChargeId() != proven.GetProviderId() {
			t.Errorf("the payment is %v", p)
		}
	}
	b.wantEvents(t, "unknown", "resolved", "captured")
	told := &eventv1.PaymentResolved{}
	if err := proto.Unmarshal(pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE name = 'resolved'`)[0], told); err != nil {
		t.Fatal(err)
	}
	if told.GetEvidence() != "statement" || told.GetOperationKey() != proven.GetOperationKey() || told.GetProviderId() != proven.GetProviderId() {
		t.Errorf("the event says %v", told)
	}
	records := pgtest.Column[string](t, b.db, `SELECT actor || ': ' || verb || ': ' || reason FROM operator_action`)
	if len(records) != 1 || records[0] != "orchestrator: resolve charge: statement stm_1, line 7" {
		t.Errorf("the audit trail says %q", records)
	}
	if _, err := b.charge(t, key, "pm_lookup_fails"); err != nil {
		t.Errorf("asked again, the charge is answered %v", err)
	}
	b.wantEffects(t, pspsim.TypeCharge)
}

func TestResolvePayment_TheProvidersWordComesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, proven := b.doubt(t, "pm_500_after")
	answer, err := b.ResolvePayment(t.Context(), proven)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := answer.GetPayment().GetProviderChargeId(), b.psp.Journal()[0].ID; got != want {
		t.Errorf("the charge is %q, and the provider says %q", got, want)
	}
}

func TestResolvePayment_RefusesWhatDoesNotAgree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, refused string
		change                func(*paymentv1.ResolvePaymentRequest)
	}{
		{"another amount", "pm_lookup_fails", "is about", func(r *paymentv1.ResolvePaymentRequest) {
			r.Amount = &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1249}
		}},
		{"another currency", "pm_lookup_fails", "is about", func(r *paymentv1.ResolvePaymentRequest) {
			r.Amount = &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 1250}
		}},
		{"another operation", "pm_lookup_fails", "another key", func(r *paymentv1.ResolvePaymentRequest) { r.OperationKey += "/refund" }},
		{"the provider declined", "pm_declined", "declined", func(*paymentv1.ResolvePaymentRequest) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if tt.method == "pm_declined" {
				lossy := between(t, b.psp.URL(), func(_ string, deliver func()) bool { deliver(); return false })
				b.PaymentServiceClient = b.start(t, func(c *Config) { c.Provider.PSP.URL = lossy })
			}
			p, proven := b.doubt(t, tt.method)
			tt.change(proven)
			_, err := b.ResolvePayment(t.Context(), proven)
			if e, ok := rpcerr.FromError(err); !ok || e.Reason != rpcerr.PaymentStateRefused || !strings.Contains(e.Message, tt.refused) {
				t.Errorf("it is answered %v", err)
			}
			b.wantState(t, p.GetState())
			b.wantEvents(t, "unknown")
		})
	}
}

func TestResolvePayment_LeavesAloneWhatIsNotInDoubt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	answer, err := b.ResolvePayment(t.Context(), &paymentv1.ResolvePaymentRequest{
		IdempotencyKey: "statement-line-1", PaymentId: p.GetPaymentId(), OperationKey: "another", ProviderId: "ch_x",
		Amount: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1}, Evidence: "line 1",
	})
	if err != nil || answer.GetPayment().GetProviderChargeId() != p.GetProviderChargeId() {
		t.Errorf("it is answered %v, %v", answer, err)
	}
	b.wantEvents(t, "captured")
	_, err = b.ResolvePayment(t.Context(), &paymentv1.ResolvePaymentRequest{
		IdempotencyKey: "statement-line-2", PaymentId: "pay_none", OperationKey: "k", ProviderId: "ch_x", Amount: p.GetAmount(), Evidence: "line 1",
	})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "payment_id")
}

func TestInquirePayment_ComparesWhatIsDecided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	answer, err := b.InquirePayment(t.Context(), &paymentv1.InquirePaymentRequest{PaymentId: p.GetPaymentId(), Compare: true})
	if err != nil || len(answer.GetWitnesses()) != 1 {
		t.Fatalf("it is answered %v, %v", answer, err)
	}
	w := answer.GetWitnesses()[0]
	if w.GetSaid() != "succeeded" || w.GetProviderId() != p.GetProviderChargeId() || w.GetProviderKey() != p.GetProviderKey() {
		t.Errorf("the provider says %v", w)
	}
	b.wantEvents(t, "captured")
}

// The turnover of an account comes to its balance, and says in which minute each payment was told to be booked.
func TestGetTurnover_ComesToTheBalance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	b.mustCharge(t, key+"/2", "pm_ok")
	b.mustRefund(t, key)
	ledger := paymentv1.NewLedgerServiceClient(servicetest.Dial(t, b.process, "test"))
	until := timestamppb.New(time.Now().Truncate(time.Minute).Add(2 * time.Minute))
	answer, err := ledger.GetTurnover(t.Context(), &paymentv1.GetTurnoverRequest{
		Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, Until: until,
	})
	if err != nil || !proto.Equal(answer.GetThrough(), until) {
		t.Fatalf("it is answered %v, %v", answer, err)
	}
	sums, minutes := map[paymentv1.JournalKind]int64{}, map[int64]bool{}
	for _, turned := range answer.GetTurnovers() {
		sums[turned.GetKind()] += turned.GetSum().GetMinorUnits()
		minutes[turned.GetMinute().GetSeconds()] = true
	}
	if sums[paymentv1.JournalKind_JOURNAL_KIND_CAPTURE] != 2500 || sums[paymentv1.JournalKind_JOURNAL_KIND_REFUND] != -1250 {
		t.Errorf("the turnover is %v", answer)
	}
	for _, data := range pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE name = 'captured'`) {
		told := &eventv1.PaymentCaptured{}
		if err := proto.Unmarshal(data, told); err != nil {
			t.Fatal(err)
		}
		if at := told.GetBookTime().AsTime(); !minutes[at.Truncate(time.Minute).Unix()] {
			t.Errorf("a capture was told to be booked at %s, when nothing was", at)
		}
	}
	for _, bad := range []*paymentv1.GetTurnoverRequest{
		{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_BANK, Until: timestamppb.New(time.Unix(61, 0))},
		{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_BANK, Since: timestamppb.New(time.Unix(61, 0)), Until: until},
	} {
		_, err := ledger.GetTurnover(t.Context(), bad)
		if e, ok := rpcerr.FromError(err); !ok || e.Reason != rpcerr.RequestInvalid {
			t.Errorf("%v is answered %v", bad, err)
		}
	}
}

// What a statement is recognised by is told with whatever happens to a payment.
func TestEvents_TellWhatAStatementIsRecognisedBy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	if _, err := b.charge(t, key+"/2", "pm_declined"); err == nil {
		t.Fatal("the charge is not declined")
	}
	refund := b.psp.Journal()[1]
	events := map[string]proto.Message{"captured": &eventv1.PaymentCaptured{}, "refunded": &eventv1.PaymentRefunded{}, "declined": &eventv1.PaymentDeclined{}}
	for name, m := range events {
		if err := proto.Unmarshal(pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE name = $1`, name)[0], m); err != nil {
			t.Fatal(err)
		}
	}
	captured, refunded, declined := events["captured"].(*eventv1.PaymentCaptured), events["refunded"].(*eventv1.PaymentRefunded), events["declined"].(*eventv1.PaymentDeclined)
	if captured.GetProviderKey() != p.GetProviderKey() || captured.GetProviderChargeId() != p.GetProviderChargeId() || captured.GetProviderCaptureId() != "" {
		t.Errorf("captured: %v", captured)
	}
	if refunded.GetOperationKey() != refund.IdempotencyKey || refunded.GetProviderRefundId() != refund.ID || refunded.GetProviderChargeId() != p.GetProviderChargeId() {
		t.Errorf("refunded: %v, and the provider has %+v", refunded, refund)
	}
	if declined.GetProviderKey() == "" || declined.GetAmount().GetMinorUnits() != 1250 {
		t.Errorf("declined: %v", declined)
	}
	for at, journal := range pgtest.Column[time.Time](t, b.db, `SELECT created_at FROM journal ORDER BY created_at`) {
		if told := []*timestamppb.Timestamp{captured.GetBookTime(), refunded.GetBookTime()}[at]; !told.AsTime().Equal(journal) {
			t.Errorf("booked at %s, and told to be at %s", journal, told.AsTime())
		}
	}
}
