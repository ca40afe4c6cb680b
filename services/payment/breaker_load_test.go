package payment

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// openFor is how long the breaker of these tests waits before it lets probes through.
const openFor = 300 * time.Millisecond

func probing(c *Config) { c.Provider.PSP.Breaker.OpenFor = openFor }

// chargeAtRate asks for a charge under each key, at so many a second, and gives how each was refused and after how long.
func (b *bundle) chargeAtRate(t *testing.T, keys []string, perSecond int) (reasons []rpcerr.Reason, took []time.Duration) {
	t.Helper()
	reasons, took = make([]rpcerr.Reason, len(keys)), make([]time.Duration, len(keys))
	pace := time.NewTicker(time.Second / time.Duration(perSecond))
	defer pace.Stop()
	var asking sync.WaitGroup
	for i, k := range keys {
		<-pace.C
		asking.Go(func() {
			begun := time.Now()
			_, err := b.Charge(t.Context(), toCharge(k, "pm_ok"))
			took[i] = time.Since(begun)
			if refusal, ok := rpcerr.FromError(err); ok {
				reasons[i] = refusal.Reason
			}
		})
	}
	asking.Wait()
	return reasons, took
}

// A provider that is down for two seconds of 200 charges each: what the breaker holds back is answered at once and burns
// no attempt, and afterwards each is charged once.
func TestBreaker_HoldsBackWhatWouldFailAndBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t, probing)
	if err := b.psp.Down(pspsim.Outage{ForMillis: 3_600_000}); err != nil {
		t.Fatal(err)
	}
	all := keys(400)
	reasons, took := b.chargeAtRate(t, all, 200)
	sends := map[string]int32{} // of each reference, in the end: whose answer was lost is sent again
	var held []time.Duration
	for i, reason := range reasons {
		switch reason {
		case rpcerr.DestinationDown:
			held = append(held, took[i])
			sends[derived("orchestrator", all[i])] = 1
		case rpcerr.PaymentOutcomeUnknown:
			sends[derived("orchestrator", all[i])] = 2
		default:
			t.Errorf("%s is refused with %q", all[i], reason)
		}
	}
	slices.Sort(held)
	if len(held) < len(all)/2 {
		t.Fatalf("%d of %d were held back", len(held), len(all))
	}
	t.Logf("%d of %d held back; answered after %s (p50), %s (p99)", len(held), len(all), held[len(held)/2], held[len(held)*99/100])
	if left := pgtest.Column[int64](t, b.db, `SELECT count(*) FROM operation WHERE sends > 0`)[0]; left != int64(len(all)-len(held)) {
		t.Errorf("%d were sent, want all but the %d that were held back", left, len(held))
	}
	written := pgtest.Column[int64](t, b.db, `SELECT count(*) FROM payment`)[0]
	t.Logf("%d of the %d left a payment, which had begun before the breaker was open", written, len(all))
	if written > int64(len(all)/2) {
		t.Errorf("%d of %d left a payment; while the breaker is open nothing is written", written, len(all))
	}

	b.backdate(t, time.Minute)
	b.psp.Up()
	up := time.Now()
	b.mustCharge(t, all[len(all)-1], "pm_ok")
	t.Logf("the first charge succeeds %s after the provider is up; probes go out every %s", time.Since(up), openFor)
	b.chargeAllAgain(t, all)
	b.wantChargedOnce(t, len(all))
	for _, o := range pgtest.Rows[struct {
		Key   string
		Sends int32
	}](t, b.db, `SELECT provider_key, sends FROM operation`) {
		if o.Sends != sends[o.Key] {
			t.Errorf("%s was sent %d times, want %d", o.Key, o.Sends, sends[o.Key])
		}
	}
	if state := b.payments.provider.Breaker().State(); state != provider.BreakerClosed {
		t.Errorf("the breaker is %s", state)
	}
}

// chargeAllAgain asks under each key until it is charged, many at once.
func (b *bundle) chargeAllAgain(t *testing.T, keys []string) {
	t.Helper()
	var asking sync.WaitGroup
	for some := range slices.Chunk(keys, len(keys)/16+1) {
		asking.Go(func() {
			for _, k := range some {
				if _, err := again(t, func() (*paymentv1.Payment, error) { return b.charge(t, k, "pm_ok") }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	asking.Wait()
}

// wantChargedOnce fails the test unless the provider has charged so many keys, each once.
func (b *bundle) wantChargedOnce(t *testing.T, n int) {
	t.Helper()
	charged := map[string]int{}
	for _, e := range b.psp.Journal() {
		if charged[e.IdempotencyKey]++; charged[e.IdempotencyKey] > 1 || e.Type != pspsim.TypeCharge {
			t.Errorf("there is %s %s, the %d. effect under its key", e.Type, e.ID, charged[e.IdempotencyKey])
		}
	}
	if len(charged) != n {
		t.Errorf("%d keys were charged, want %d", len(charged), n)
	}
}

func TestBreaker_StaysClosedHoweverManyAreDeclined(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	for _, some := range [][]string{keys(300)[:150], keys(300)[150:]} {
		for _, r := range chargeBatch(t, b, toChargeAll(some, "pm_declined")...) {
			wantStatus(t, r.GetStatus(), rpcerr.PaymentDeclined)
		}
	}
	if state := b.payments.provider.Breaker().State(); state != provider.BreakerClosed {
		t.Errorf("the breaker is %s", state)
	}
	b.mustCharge(t, "saga/sag_ok/charge", "pm_ok")
}

// holder is one of the processes whose calls an operator holds back.
type holder struct {
	charges  paymentv1.PaymentServiceClient
	provider paymentv1.ProviderServiceClient
	*payments
}

func (b *bundle) startHolder(t *testing.T) holder {
	t.Helper()
	conn := servicetest.Dial(t, servicetest.Start(t, b.service(func(*service.Env) {})), "operator")
	return holder{paymentv1.NewPaymentServiceClient(conn), paymentv1.NewProviderServiceClient(conn), b.payments}
}

func TestForceBreaker_HoldsBackTheCallsOfAllProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.startHolder(t), b.startHolder(t)
	force := func(open bool, reason string) {
		t.Helper()
		r := &paymentv1.ForceBreakerRequest{IdempotencyKey: "force-" + reason, Open: open, Reason: reason}
		if _, err := one.provider.ForceBreaker(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := two.keepHold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := one.writeBreaker(t.Context(), <-one.breaker); err != nil {
			t.Fatal(err)
		}
	}
	force(true, "fraud wave")
	for i, p := range []holder{one, two} {
		_, err := p.charges.Charge(t.Context(), toCharge(fmt.Sprintf("held-back-%d", i), "pm_ok"))
		rpcerrtest.Want(t, err, rpcerr.DestinationDown)
		shown, err := p.provider.GetProvider(t.Context(), &paymentv1.GetProviderRequest{})
		if got := shown.GetProvider(); err != nil || got.GetBreaker() != paymentv1.BreakerState_BREAKER_STATE_FORCED_OPEN ||
			got.GetForcedBy() != "operator" || got.GetForceReason() != "fraud wave" {
			t.Errorf("process %d shows %v, %v", i, got, err)
		}
	}
	b.wantEffects(t)
	force(false, "it is over")
	for i, p := range []holder{one, two} {
		if _, err := p.charges.Charge(t.Context(), toCharge(fmt.Sprintf("held-back-%d", i), "pm_ok")); err != nil {
			t.Errorf("process %d still holds back: %v", i, err)
		}
	}
	b.wantChargedOnce(t, 2)
	actions := pgtest.Column[string](t, b.db, `SELECT actor || ': ' || verb || ', ' || reason FROM operator_action ORDER BY at`)
	if diff := cmp.Diff([]string{"operator: force the breaker open, fraud wave", "operator: leave the breaker to itself, it is over"}, actions); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	var told []string
	for _, data := range pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE entity = 'breaker' ORDER BY seq`) {
		e := &eventv1.BreakerChanged{}
		if err := proto.Unmarshal(data, e); err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprintf("%s %s %s", e.GetState(), e.GetActor(), e.GetReason()))
	}
	if diff := cmp.Diff([]string{"forced open operator fraud wave", "closed  "}, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
