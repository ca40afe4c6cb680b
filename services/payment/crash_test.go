package payment

import (
	"errors"
	"testing"
	"time"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// asleep is a process that has sent a request and has not heard of it when its lease ends, as one that crashed or
// was suspended.
type asleep struct {
	wake  func()     // has its call end without an answer
	woken chan error // what it then tells its caller
}

// fallAsleep has a further process send a request, which does or does not happen at the provider.
func (b *bundle) fallAsleep(t *testing.T, happens bool, ask func(paymentv1.PaymentServiceClient) error) asleep {
	t.Helper()
	sent, wake, woken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	sleeper := b.start(t, func(c *Config) {
		c.Provider.Timeout = time.Minute
		c.Provider.URL = wire(t, b.psp.URL(), func(_ string, deliver func()) bool {
			if happens {
				deliver()
			}
			close(sent)
			await(t, wake)
			return false
		})
	})
	go func() { woken <- ask(sleeper) }()
	await(t, sent)
	if _, err := b.db.Exec(t.Context(), `UPDATE idem SET lease_until = now() WHERE state = 1`); err != nil {
		t.Fatal(err)
	}
	return asleep{func() { close(wake) }, woken}
}

func (b *bundle) fallAsleepCharging(t *testing.T, happens bool) asleep {
	t.Helper()
	return b.fallAsleep(t, happens, func(sleeper paymentv1.PaymentServiceClient) error {
		_, err := sleeper.Charge(t.Context(), toCharge(key, "pm_ok"))
		return err
	})
}

// wantNothingMore wakes the sleeper, which must find that the work is another's and change nothing.
func (b *bundle) wantNothingMore(t *testing.T, a asleep, state paymentv1.PaymentState, events ...string) {
	t.Helper()
	b.wantState(t, state)
	a.wake()
	rpcerrtest.Want(t, <-a.woken, rpcerr.PaymentOutcomeUnknown)
	b.wantState(t, state)
	b.wantEvents(t, events...)
}

func TestCrash_BetweenEffectAndOutcomeIsResumedByLookup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.fallAsleepCharging(t, true)
	b.mustCharge(t, key, "pm_ok")
	b.wantNothingMore(t, a, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, "captured")
	b.wantEffects(t, pspsim.TypeCharge)
}

func TestCrash_BetweenEffectAndOutcomeIsCompensatedByLookup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.fallAsleepCharging(t, true)
	b.mustRefund(t, key)
	b.wantNothingMore(t, a, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED, "captured", "refunded")
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
}

func TestCrash_BeforeTheEffectIsVoidedWhenNothingCanBeOnItsWay(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	a := b.fallAsleepCharging(t, false)
	b.mustRefund(t, key)
	b.wantNothingMore(t, a, paymentv1.PaymentState_PAYMENT_STATE_VOIDED, "unknown", "voided")
	b.wantEffects(t)
}

func TestCrash_AfterTheIntentIsResumedByAskingOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.PaymentServiceClient = b.start(t, func(c *Config) { c.Provider.URL = "http://127.0.0.1:1" })
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	// As the row is when the process ends before it learns that nothing left.
	if _, err := b.db.Exec(t.Context(), `UPDATE payment SET last_sent_at = now()`); err != nil {
		t.Fatal(err)
	}
	b.PaymentServiceClient = b.start(t)
	_, err = b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown) // it may be on its way
	b.wantEvents(t, "unknown")
	b.backdate(t, time.Minute)
	b.mustCharge(t, key, "pm_ok")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "unknown", "captured")
}

func TestCrash_OfARefundIsResumedByLookup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	a := b.fallAsleep(t, true, func(sleeper paymentv1.PaymentServiceClient) error {
		_, err := sleeper.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key})
		return err
	})
	b.mustRefund(t, key)
	b.wantNothingMore(t, a, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED, "captured", "refunded")
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
}

// A request that overslept its lease may send once more between a refund's lookup and its void.
func TestVoid_NoticesThatTheChargeWasSentMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_500_then_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.backdate(t, time.Minute)
	st := newStore(b.db)
	seen, err := st.payment(t.Context(), b.only(t).GetPaymentId())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.markSent(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	becomes := seen
	becomes.State = voided
	if saved, err := st.save(t.Context(), []edit{{seen: seen, becomes: becomes}}); err != nil || len(saved) > 0 {
		t.Errorf("got %v, %v; want nothing saved", saved, err)
	}
	if _, err := st.markSent(t.Context(), seen); !errors.Is(err, errChanged) {
		t.Errorf("got error %v, want %v", err, errChanged)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
}
