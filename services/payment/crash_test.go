package payment

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
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
		c.Provider.PSP.Timeout = time.Minute
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool {
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
	b.wantNothingMore(t, a, paymentv1.PaymentState_PAYMENT_STATE_VOIDED, "unknown", "resolved", "voided")
	b.wantEffects(t)
}

func TestCrash_AfterTheIntentIsResumedByAskingOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.PaymentServiceClient = b.start(t, func(c *Config) { c.Provider.PSP.URL = "http://127.0.0.1:1" })
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	// As the row is when the process ends before it learns that nothing left.
	if _, err := b.db.Exec(t.Context(), `UPDATE payment SET state = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.db.Exec(t.Context(), `UPDATE operation SET state = 2, sends = 1, last_sent_at = now(), look_at = now()`); err != nil {
		t.Fatal(err)
	}
	b.PaymentServiceClient = b.start(t)
	_, err = b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown) // it may be on its way
	b.wantEvents(t, "unknown")
	b.backdate(t, time.Minute)
	b.mustCharge(t, key, "pm_ok")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "unknown", "resolved", "captured")
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
	seen := b.inDoubt(t)
	if _, err := b.payments.record1(t.Context(), editOf(t.Context(), seen.Last, sent)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []finding{absent, abandoned, happened, sent} {
		if _, err := b.payments.record1(t.Context(), editOf(t.Context(), seen.Last, f)); !errors.Is(err, errChanged) {
			t.Errorf("finding %d: got error %v, want %v", f, err, errChanged)
		}
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
}

// inDoubt gives a payment whose charge may be on its way, and is not.
func (b *bundle) inDoubt(t *testing.T) payment {
	t.Helper()
	_, err := b.charge(t, key, "pm_500_then_ok")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.backdate(t, time.Minute)
	p, err := newStore(b.db).payment(t.Context(), b.only(t).GetPaymentId())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A COMMIT that gets no answer is looked up: the charge leaves once, and its outcome is written once.
func TestCrash_CommitsThatAreUnknownAreResolved(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			pool, faults := pgtest.Faulty(t, b.db)
			var logged logtest.Book
			var calling atomic.Bool // the next call loses the COMMIT after it
			on := b.startIn(t, func(env *service.Env) {
				env.Pool, env.Log = pool, slog.New(slog.NewTextHandler(&logged, nil))
			}, patient, func(c *Config) {
				c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool {
					if calling.CompareAndSwap(true, false) {
						faults.SetOnce(kind)
					}
					deliver()
					return true
				})
			})
			all := [][]string{keys(6)[:3], keys(6)[3:]}
			for i, lose := range []func(){func() { faults.SetOnce(kind) }, func() { calling.Store(true) }} {
				lose()
				for _, r := range chargeBatch(t, on, toChargeAll(all[i], "pm_ok")...) {
					if r.GetStatus() != nil {
						t.Errorf("charge: got %v", r)
					}
				}
				lose()
				for _, r := range refundBatch(t, on, all[i]...) {
					if r.GetStatus() != nil {
						t.Errorf("refund: got %v", r)
					}
				}
			}
			for group, times := range map[string]int{"payment.new": 1, "payment.undo": 1, "payment.outcome": 2} {
				lost := `msg="a COMMIT got no answer and is looked up" group=` + group + " "
				if n := strings.Count(logged.String(), lost); n != times {
					t.Errorf("%s lost %d commits, want %d; logged:\n%s", group, n, times, logged.String())
				}
			}
			effects := map[pspsim.EntryType]int{}
			for _, e := range b.psp.Journal() {
				effects[e.Type]++
			}
			if diff := cmp.Diff(map[pspsim.EntryType]int{pspsim.TypeCharge: 6, pspsim.TypeRefund: 6}, effects); diff != "" {
				t.Errorf("effects at the provider (-want +got):\n%s", diff)
			}
			events := pgtest.Column[string](t, b.db, `SELECT name || ' ' || count(*) FROM outbox GROUP BY name ORDER BY name`)
			if diff := cmp.Diff([]string{"captured 6", "refunded 6"}, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// The row is read again when somebody else held it: what it was before does not count.
func TestRecord_NoticesAChangeThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	seen := b.inDoubt(t)
	waiting := make(chan error, 1)
	err := pg.InTx(t.Context(), b.db, func(tx *pg.Tx) error {
		if _, err := b.payments.record(t.Context(), tx, []edit{editOf(t.Context(), seen.Last, sent)}); err != nil {
			return err
		}
		go func() {
			_, err := b.payments.record1(t.Context(), editOf(t.Context(), seen.Last, absent))
			waiting <- err
		}()
		waittest.Until(t, "the other waits", func() bool {
			return pgtest.Column[int64](t, b.db, `SELECT count(*) FROM pg_stat_activity
			 WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0] == 1
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, errChanged) {
		t.Errorf("got error %v, want %v", err, errChanged)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
}

// What a transaction wrote that got no answer is read again when its lease has ended by the time it is looked up: by
// then it may have left, and how long ago counts.
func TestBegin_AppliedAgainAfterItsLeaseReadsWhatItHadIntended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.payments
	c := &command{
		request: request{caller: "orchestrator", key: key, token: uuid.New()}, method: methodCharge,
		amount: money.Amount{Currency: "GBP", Minor: 1250}, paymentMethod: "pm_ok", customerID: "cus_1", reference: "ord_1",
	}
	begin := func() (claim *idem.Claim) {
		t.Helper()
		err := pg.InTx(t.Context(), b.db, func(tx *pg.Tx) error {
			results, err := s.beginNew(t.Context(), tx, []*command{c})
			if err == nil {
				claim = results[0].Value.Claim
			}
			return err
		})
		if err != nil || claim == nil {
			t.Fatalf("got claim %v, %v", claim, err)
		}
		return claim
	}
	first, begun := begin(), c.begun
	if again := begin(); again.Resource != first.Resource || again.Resumed || c.begun != begun || c.payment.ID.String() != first.Resource {
		t.Errorf("applied again: got claim %+v, begun %s, on %s; want %+v, %s", again, c.begun, c.payment.ID, first, begun)
	}
	if _, err := b.db.Exec(t.Context(), `UPDATE idem SET lease_until = now()`); err != nil {
		t.Fatal(err)
	}
	if late := begin(); !late.Resumed || c.payment.readAt.IsZero() || c.payment.Last.LastSentAt == nil {
		t.Errorf("got claim %+v on %+v, want it resumed, and read", late, c.payment)
	}
}
