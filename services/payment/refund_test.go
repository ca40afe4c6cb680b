package payment

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

func TestRefund_GivesBackOnceAndPostsToTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	p := b.mustRefund(t, key)
	if p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_REFUNDED || p.GetRefunded().GetMinorUnits() != 1250 {
		t.Errorf("got %v, want all of it refunded", p)
	}
	var header metadata.MD
	repeat, err := b.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key}, grpc.Header(&header))
	if err != nil || !replayed(header) {
		t.Fatalf("got error %v, header %v; want the first answer", err, header)
	}
	if diff := cmp.Diff(p, repeat.GetPayment(), protocmp.Transform()); diff != "" {
		t.Errorf("replay (-first +second):\n%s", diff)
	}
	_, err = b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	postings := pgtest.Column[string](t, b.db, `
SELECT account || ' ' || amount_minor FROM posting JOIN journal ON id = journal_id ORDER BY kind, line`)
	want := []string{"provider_clearing 1250", "revenue -1250", "refunds 1250", "provider_clearing -1250"}
	if diff := cmp.Diff(want, postings); diff != "" {
		t.Errorf("postings (-want +got):\n%s", diff)
	}
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
	b.wantEvents(t, "captured", "refunded")
}

func TestRefund_InParallelGivesBackOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := b.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
	b.wantEvents(t, "captured", "refunded")
}

func TestRefund_BeforeTheChargeRefusesItForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if p := b.mustRefund(t, key); p != nil {
		t.Errorf("got payment %v, want none", p)
	}
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	if p := b.mustRefund(t, key); p != nil {
		t.Errorf("got payment %v, want none", p)
	}
	b.wantEffects(t)
	b.wantEvents(t)
}

func TestRefund_OfADeclinedChargeDoesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.charge(t, key, "pm_declined")
	rpcerrtest.Want(t, err, rpcerr.PaymentDeclined)
	if p := b.mustRefund(t, key); p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_DECLINED {
		t.Errorf("got %v, want the declined payment", p)
	}
	b.wantEffects(t, pspsim.TypeDecline)
	b.wantEvents(t, "declined")
}

func TestRefund_OfAChargeInDoubtGivesBackWhatHadHappened(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.mustRefund(t, key)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
	b.wantEvents(t, "unknown", "resolved", "captured", "refunded")
}

func TestRefund_OfAChargeInDoubtVoidsWhatHadNotHappened(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_before")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.mustRefund(t, key)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_VOIDED)
	_, err = b.charge(t, key, "pm_timeout_before")
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	b.wantEffects(t)
	b.wantEvents(t, "unknown", "resolved", "voided")
}

func TestRefund_OfAChargeThatTurnsOutDeclinedRecordsThat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.PaymentServiceClient = b.start(t, func(c *Config) {
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool { deliver(); return false })
	})
	_, err := b.charge(t, key, "pm_declined")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.mustRefund(t, key)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_DECLINED)
	b.wantEffects(t, pspsim.TypeDecline)
	b.wantEvents(t, "unknown", "resolved", "declined")
}

func TestRefund_OfAChargeThatNeverLeftVoidsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	up := b.PaymentServiceClient
	b.PaymentServiceClient = b.start(t, func(c *Config) { c.Provider.PSP.URL = "http://127.0.0.1:1" })
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	b.PaymentServiceClient = up
	b.mustRefund(t, key)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_VOIDED)
	b.wantEffects(t)
	b.wantEvents(t, "voided")
}

func TestRefund_DoesNotVoidAChargeThatIsStillOnItsWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release, arrived := make(chan struct{}), make(chan struct{})
	b.PaymentServiceClient = b.start(t, hasty, func(c *Config) {
		c.Provider.PSP.NotFoundLag = time.Hour
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(path string, deliver func()) bool {
			if path == "/v1/charges" {
				await(t, release)
				defer close(arrived)
			}
			deliver()
			return true
		})
	})
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	_, err = b.refund(t, key)
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	close(release)
	await(t, arrived)
	b.mustRefund(t, key)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
	b.wantEvents(t, "unknown", "resolved", "captured", "refunded")
}

func TestRefund_WaitsForAChargeInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held, release := make(chan struct{}), make(chan struct{})
	b.PaymentServiceClient = b.start(t, func(c *Config) {
		c.Provider.PSP.Timeout = 10 * time.Second
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(path string, deliver func()) bool {
			if path == "/v1/charges" {
				close(held)
				await(t, release)
			}
			deliver()
			return true
		})
	})
	var charged sync.WaitGroup
	charged.Go(func() {
		if _, err := b.Charge(t.Context(), toCharge(key, "pm_ok")); err != nil {
			t.Error(err)
		}
	})
	await(t, held)
	_, err := b.refund(t, key)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyInFlight)
	close(release)
	charged.Wait()
	b.mustRefund(t, key)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
	b.wantEvents(t, "captured", "refunded")
}

func TestRefund_FindsOutWhatTheLostAnswerWas(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{"it had happened": true, "it had not": false}
	for name, delivered := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var broken atomic.Bool
			b.PaymentServiceClient = b.start(t, func(c *Config) {
				c.Provider.PSP.URL = between(t, b.psp.URL(), func(path string, deliver func()) bool {
					lost := path == "/v1/refunds" && broken.Load()
					if !lost || delivered {
						deliver()
					}
					return !lost
				})
			})
			b.mustCharge(t, key, "pm_ok")
			broken.Store(true)
			_, err := b.refund(t, key)
			rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
			broken.Store(false)
			b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
			b.mustRefund(t, key)
			b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED)
			b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
			b.wantEvents(t, "captured", "unknown", "resolved", "refunded")
		})
	}
}

func TestRefund_WithTheProviderDownIsNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	down := b.start(t, func(c *Config) { c.Provider.PSP.URL = "http://127.0.0.1:1" })
	b.mustCharge(t, key, "pm_ok")
	_, err := down.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key})
	rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.mustRefund(t, key)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
}
