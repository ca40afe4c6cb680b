package payment

import (
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// What refunds all there is was asked for and did not happen, and meanwhile a part was refunded: the rest is another
// amount, which the provider refuses under the key that it knows of the first one.
func TestRefund_OfTheRestIsAnotherRequestToTheProvider(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]wish{
		"compensation": {method: methodRefund, name: opening}, "operator": {method: methodRefundPayment, name: "rest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s := r.newSubject("rest")
			r.insist(t, 0, s.wish(methodCharge, opening, total))
			if err := r.psp.Inject(pspsim.Fault{Kind: pspsim.FaultErrorBefore, Op: pspsim.TypeRefund, Count: 1}); err != nil {
				t.Fatal(err)
			}
			rest, part := s.wish(all.method, all.name, 0), s.wish(methodRefundPayment, "part", 300)
			if a := r.ask(t, 0, rest, 1); a.definite() {
				t.Fatalf("the refund that failed is answered %v", a)
			}
			r.age(t, s, 10*time.Second)
			for _, w := range []*wish{part, rest} {
				if a := r.insist(t, 0, w); !a.done() {
					t.Errorf("%s is answered %v", w, a)
				}
			}
			if wrong := r.wrongs(t, s); len(wrong) > 0 || t.Failed() {
				t.Errorf("%q\n%s", wrong, r.story(t, s))
			}
			if a := r.account(t, s); a.refunded != total || a.payment.State != refunded {
				t.Errorf("%d were given back, and the payment is %s", a.refunded, a.payment.State)
			}
			known, err := r.payments.idempotency(t.Context(), rest.key())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range known {
				if k.Method == string(rest.method) && len(k.operations) != 2 {
					t.Errorf("%s is told to have asked for %+v, want both refunds", rest, k.operations)
				}
			}
		})
	}
}

// Another request comes while a refund is on its way, and finds nothing at the provider yet: the answer to the refund, when
// it comes, counts all the same.
func TestRefund_ThatAnotherRequestLooksUpOnItsWayIsAnsweredByItsOwnCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.newSubject("on-its-way")
	r.insist(t, 0, s.wish(methodCharge, opening, total))
	first, other := s.wish(methodRefundPayment, "first", 300), s.wish(methodRefundPayment, "other", 500)
	r.orders.add(atDo, slow)
	ask, got := r.asking(t, 0, first, 1), make(chan []answer)
	go func() { got <- ask() }()
	await(t, r.orders.held)
	if a := r.ask(t, 1, other, 1); !a.refusedWith(rpcerr.PaymentBusy) {
		t.Errorf("the other one is answered %v", a)
	}
	r.orders.wake()
	if a := (<-got)[0]; !a.done() {
		t.Errorf("the first one is answered %v", a)
	}
	if a := r.ask(t, 1, other, 1); !a.done() {
		t.Errorf("the other one is answered %v in the end", a)
	}
	if wrong := r.wrongs(t, s); len(wrong) > 0 {
		t.Errorf("%q\n%s", wrong, r.story(t, s))
	}
}

// A day later the provider has forgotten the key: what happened is found, and what did not is never sent again.
func TestCharge_WhoseAnswerIsLostIsNotSentAgainADayLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, way := range []mishap{lostBefore, lostAfter} {
		s := r.newSubject(string(way))
		w := s.wish(methodCharge, opening, total)
		r.orders.add(atDo, way)
		r.ask(t, 0, w, 1)
		r.ahead.Add(int64(26 * time.Hour))
		r.age(t, s, 26*time.Hour)
		happened := way == lostAfter
		if a := r.ask(t, 0, w, 1); a.done() != happened || !happened && !a.refusedWith(rpcerr.PaymentOutcomeUnknown) {
			t.Errorf("%s: got %v", way, a)
		}
		if a := r.account(t, s); (a.takes == 1) != happened || a.payment.Last.Sends != 1 {
			t.Errorf("%s: charged %d times, sent %d times", way, a.takes, a.payment.Last.Sends)
		}
		if a := r.insist(t, 0, s.wish(methodRefund, opening, 0)); !a.done() {
			t.Errorf("%s: the compensation is answered %v", way, a)
		}
		if wrong := r.wrongs(t, s); len(wrong) > 0 {
			t.Errorf("%q\n%s", wrong, r.story(t, s))
		}
	}
}
