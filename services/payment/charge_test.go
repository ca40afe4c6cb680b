package payment

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

func TestCharge_CapturesOnceAndPostsToTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	want := &paymentv1.Payment{
		PaymentId: p.GetPaymentId(), State: paymentv1.PaymentState_PAYMENT_STATE_CAPTURED,
		Amount:        &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250},
		PaymentMethod: "pm_ok", CustomerId: "cus_1", Reference: "ord_1",
		ProviderKey: p.GetProviderKey(), ProviderChargeId: b.psp.Journal()[0].ID,
		CreateTime: p.GetCreateTime(), UpdateTime: p.GetUpdateTime(), Captured: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250},
		Refunded: &commonv1.Amount{CurrencyCode: "GBP"}, ChargedBack: &commonv1.Amount{CurrencyCode: "GBP"},
	}
	if diff := cmp.Diff(want, p, protocmp.Transform()); diff != "" {
		t.Errorf("payment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(p, b.only(t), protocmp.Transform()); diff != "" {
		t.Errorf("payment (-answered +listed):\n%s", diff)
	}
	if got := b.psp.Journal()[0]; got.IdempotencyKey != p.GetProviderKey() || got.Reference != "ord_1" {
		t.Errorf("the provider was asked under key %q for %q", got.IdempotencyKey, got.Reference)
	}
	postings := pgtest.Column[string](t, b.db, `SELECT account || ' ' || amount_minor || ' ' || currency FROM posting ORDER BY line`)
	if diff := cmp.Diff([]string{"provider_clearing 1250 GBP", "revenue -1250 GBP"}, postings); diff != "" {
		t.Errorf("postings (-want +got):\n%s", diff)
	}

	var header metadata.MD
	repeat, err := b.Charge(t.Context(), toCharge(key, "pm_ok"), grpc.Header(&header))
	if err != nil || !replayed(header) {
		t.Fatalf("got error %v, header %v; want the first answer", err, header)
	}
	if diff := cmp.Diff(p, repeat.GetPayment(), protocmp.Transform()); diff != "" {
		t.Errorf("replay (-first +second):\n%s", diff)
	}
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "captured")
}

func TestCharge_WaitsForASlowProvider(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_slow")
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEffects(t, pspsim.TypeCharge)
}

func TestCharge_TellsWhyItWasDeclinedEveryTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		_, err := again(t, func() (*paymentv1.Payment, error) { return b.charge(t, key, "pm_declined") })
		e := rpcerrtest.Want(t, err, rpcerr.PaymentDeclined)
		if diff := cmp.Diff(map[string]string{"declineReason": "insufficient_funds"}, e.Metadata); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	}
	if got := b.only(t).GetDeclineReason(); got != "insufficient_funds" {
		t.Errorf("got decline reason %q", got)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_DECLINED)
	b.wantEffects(t, pspsim.TypeDecline)
	b.wantEvents(t, "declined")
}

func TestCharge_RefusesAPaymentMethodThatTheProviderDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		_, err := again(t, func() (*paymentv1.Payment, error) { return b.charge(t, key, "pm_none") })
		rpcerrtest.Want(t, err, rpcerr.PaymentMethodUnknown, "payment_method")
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_DECLINED)
	b.wantEffects(t)
	b.wantEvents(t, "declined")
}

func TestCharge_RefusesWhatIsNoAmountAndStoresNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := map[string]struct {
		amount *commonv1.Amount
		reason rpcerr.Reason
		field  string
	}{
		"none":             {nil, rpcerr.RequestInvalid, "amount"},
		"zero":             {&commonv1.Amount{CurrencyCode: "GBP"}, rpcerr.AmountNotPositive, "amount.minor_units"},
		"negative":         {&commonv1.Amount{CurrencyCode: "GBP", MinorUnits: -1}, rpcerr.AmountNotPositive, "amount.minor_units"},
		"no such currency": {&commonv1.Amount{CurrencyCode: "QQQ", MinorUnits: 1}, rpcerr.CurrencyUnknown, "amount.currency_code"},
		"gold":             {&commonv1.Amount{CurrencyCode: "XAU", MinorUnits: 1}, rpcerr.CurrencyUnknown, "amount.currency_code"},
	}
	for name, tt := range tests {
		r := toCharge(key, "pm_ok")
		r.Amount = tt.amount
		t.Run(name, func(t *testing.T) {
			_, err := b.Charge(t.Context(), r)
			rpcerrtest.Want(t, err, tt.reason, tt.field)
		})
	}
	if rows := pgtest.Column[int64](t, b.db, `SELECT (SELECT count(*) FROM idem) + (SELECT count(*) FROM payment)`)[0]; rows != 0 {
		t.Errorf("%d rows were stored", rows)
	}
	b.wantEffects(t)
}

func TestCharge_NamesWhatDiffersUnderAReusedKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	other := toCharge(key, "pm_ok")
	other.Amount.MinorUnits = 1251
	_, err := b.Charge(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "amount")
	b.wantEffects(t, pspsim.TypeCharge)
}

func TestCharge_FindsOutWhatTheLostAnswerWas(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	if e := rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown); e.RetryAfter <= 0 {
		t.Error("the caller is not told when to ask again")
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	b.wantEvents(t, "unknown")
	p := b.mustCharge(t, key, "pm_timeout_after")
	if p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_CAPTURED || p.GetProviderChargeId() != b.psp.Journal()[0].ID {
		t.Errorf("got %v, want the captured charge %s", p, b.psp.Journal()[0].ID)
	}
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "unknown", "resolved", "captured")
}

func TestCharge_SendsAgainWhatTheProviderDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_500_then_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.mustCharge(t, key, "pm_500_then_ok")
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "unknown", "resolved", "captured")
}

func TestCharge_IsNotSentAgainWhileItMayBeOnItsWay(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Provider.PSP.NotFoundLag = time.Hour })
	for range 3 {
		_, err := b.charge(t, key, "pm_500_then_ok")
		rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	}
	_, err := b.charge(t, key, "pm_500_then_ok")
	if e := rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown); e.RetryAfter < 50*time.Minute {
		t.Errorf("the caller is told to ask again after %s", e.RetryAfter)
	}
	b.wantEffects(t)
	b.wantEvents(t, "unknown")
}

func TestCharge_IsNotSentAgainUnderAKeyThatTheProviderMayHaveForgotten(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Provider.PSP.NotFoundLag, c.Provider.PSP.KeyLifetime = 0, time.Millisecond })
	_, err := b.charge(t, key, "pm_500_then_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	sent := b.lastSent(t)
	b.backdate(t, time.Minute)
	_, err = b.charge(t, key, "pm_500_then_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	if now := b.lastSent(t); !now.Before(sent) {
		t.Errorf("sent again at %s", now)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	b.wantEffects(t)
}

// lastSent gives when the only payment was last sent.
func (b *bundle) lastSent(t *testing.T) time.Time {
	t.Helper()
	return pgtest.Column[time.Time](t, b.db, `SELECT last_sent_at FROM operation`)[0]
}

// backdate makes payments older, as if time had passed.
func (b *bundle) backdate(t *testing.T, by time.Duration) {
	t.Helper()
	_, err := b.db.Exec(t.Context(), `UPDATE operation SET last_sent_at = last_sent_at - $1::interval, created_at = created_at - $1::interval`, by)
	if err != nil {
		t.Fatal(err)
	}
}

func TestCharge_StaysUnknownForAsLongAsNobodyKnows(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	for range 3 {
		_, err := b.charge(t, key, "pm_timeout_before")
		rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
		b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
		b.backdate(t, time.Minute)
	}
	b.wantEffects(t)
	b.wantEvents(t, "unknown")
}

func TestCharge_InParallelUnderOneKeyChargesOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	start, ids := make(chan struct{}), make([]string, 32)
	for i := range ids {
		wg.Go(func() {
			<-start
			answer, err := b.Charge(t.Context(), toCharge(key, "pm_slow"))
			if err != nil {
				t.Error(err)
			}
			ids[i] = answer.GetPayment().GetPaymentId()
		})
	}
	close(start)
	wg.Wait()
	for _, got := range ids {
		if want := b.only(t).GetPaymentId(); got != want {
			t.Errorf("got payment %s, want %s", got, want)
		}
	}
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "captured")
}

func TestCharge_GoesOnWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	b := setup(t)
	b.PaymentServiceClient = b.start(t, func(c *Config) {
		c.Provider.PSP.Timeout = 10 * time.Second
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool {
			close(held)
			await(t, release)
			deliver()
			return true
		})
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() { await(t, held); leave() }()
	if _, err := b.Charge(ctx, toCharge(key, "pm_ok")); err == nil {
		t.Error("got an answer, want the caller to have left")
	}
	close(release)
	b.mustCharge(t, key, "pm_ok")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "captured")
}

func TestCharge_WithTheProviderDownSendsNothingAndStoresNoFailure(t *testing.T) {
	t.Parallel()
	addr := nettest.FreeAddr(t)
	b := setup(t, func(c *Config) {
		c.Provider.PSP.URL = "http://" + addr
		c.Provider.PSP.Breaker.MinimumCalls, c.Provider.PSP.Breaker.OpenFor = 2, 10*time.Millisecond
	})
	for range 4 { // with the breaker closed, and open
		_, err := b.charge(t, key, "pm_ok")
		rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CREATED)
	b.wantEvents(t)

	b.psp = startProvider(t, pspsim.Options{Addr: addr})
	b.mustCharge(t, key, "pm_ok")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "captured")
}
