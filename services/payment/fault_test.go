package payment

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultOp is an operation whose every write and call fails in each way.
type faultOp struct {
	name   string
	before method // what makes its payment; empty when it does so itself
	wish   wish
	undo   method // the compensation that may come instead
	later  wish   // what may be asked of the payment in between
	state  state
}

// faultOps are the operations there are.
var faultOps = []faultOp{
	{
		name: "charge", wish: wish{method: methodCharge, name: opening, amount: total}, undo: methodRefund,
		later: wish{method: methodRefundPayment, name: "later"}, state: captured,
	},
	{
		name: "authorize", wish: wish{method: methodAuthorize, name: opening, amount: total}, undo: methodVoid,
		later: wish{method: methodCapture, name: "later", amount: 1000}, state: authorized,
	},
	{
		name: "capture", before: methodAuthorize, wish: wish{method: methodCapture, name: "capture", amount: 1000}, undo: methodVoid,
		later: wish{method: methodRefundPayment, name: "later", amount: 1}, state: captured,
	},
	{
		name: "void", before: methodAuthorize, wish: wish{method: methodVoid, name: opening}, undo: methodVoid,
		later: wish{method: methodCapture, name: "later"}, state: voided,
	},
	{
		name: "undo", before: methodCharge, wish: wish{method: methodRefund, name: opening}, undo: methodRefund,
		later: wish{method: methodRefundPayment, name: "later", amount: 5}, state: refunded,
	},
	{
		name: "refund in part", before: methodCharge, wish: wish{method: methodRefundPayment, name: "part", amount: 300}, undo: methodRefund,
		later: wish{method: methodRefundPayment, name: "later", amount: 500}, state: partiallyRefunded,
	},
	{
		name: "void payment", before: methodAuthorize, wish: wish{method: methodVoidPayment, name: "void"}, undo: methodVoid,
		later: wish{method: methodCapture, name: "later"}, state: voided,
	},
}

// ordered is something that goes wrong at a place.
type ordered struct {
	at  spot
	how mishap
}

// faultCut is what goes wrong.
type faultCut struct {
	name   string
	orders []ordered
	// settles: the request finds out by itself, or nothing has left, so that nobody else has much to do.
	settles bool
}

// faultCuts are all places, each in both ways, alone and on the way of the recovery.
func faultCuts() (all []faultCut) {
	for _, way := range []mishap{lostBefore, lostAfter} {
		for _, p := range []spot{atIntent, atOutcome} {
			all = append(all, faultCut{fmt.Sprintf("COMMIT of the %s %s", p, way), []ordered{{p, way}}, true})
		}
		all = append(all, faultCut{fmt.Sprintf("call %s", way), []ordered{{atDo, way}}, false},
			faultCut{fmt.Sprintf("call %s, and its look-up too", way), []ordered{{atDo, way}, {atLookUp, lostAfter}}, false},
			faultCut{fmt.Sprintf("call %s, and its look-up not sent", way), []ordered{{atDo, way}, {atLookUp, notSent}}, false})
		for _, finding := range []mishap{lostBefore, lostAfter} {
			all = append(all, faultCut{fmt.Sprintf("call %s, and the COMMIT of what was found %s", way, finding), []ordered{{atDo, way}, {atFinding, finding}}, false})
		}
	}
	for _, p := range []spot{atIntent, atDo, atOutcome} {
		for _, way := range []mishap{diedBefore, diedAfter} {
			all = append(all, faultCut{fmt.Sprintf("%s %s", p, way), []ordered{{p, way}}, false})
		}
	}
	return append(all, faultCut{"call not sent", []ordered{{atDo, notSent}}, true})
}

// recovery is one way to find out; it is tried again while time passes.
type recovery struct {
	name   string
	always bool // also where nothing is left to find out
	// undoes: the payment does not come to what was asked for at first.
	undoes bool
	try    func(t *testing.T, r *rig, op faultOp, s *subject)
}

var recoveries = []recovery{
	{"the request again", true, false, func(t *testing.T, r *rig, op faultOp, s *subject) { r.ask(t, 0, op.wishOf(s), 1) }},
	{"the resolver", false, false, func(t *testing.T, r *rig, _ faultOp, _ *subject) { r.resolve(t, r.on[0]) }},
	{"a webhook", false, false, func(t *testing.T, r *rig, _ faultOp, s *subject) { r.deliverAll(t, r.on[0], s) }},
	{"an inquiry", false, false, func(t *testing.T, r *rig, _ faultOp, s *subject) { r.inquire(t, s) }},
	{"the compensation", true, true, func(t *testing.T, r *rig, op faultOp, s *subject) { r.ask(t, 0, s.wish(op.undo, opening, 0), 1) }},
	{"a later operation", true, true, func(t *testing.T, r *rig, op faultOp, s *subject) {
		r.ask(t, 0, s.wish(op.later.method, op.later.name, op.later.amount), 1)
	}},
	{"another process", false, false, func(t *testing.T, r *rig, op faultOp, s *subject) { r.ask(t, 1, op.wishOf(s), 1) }},
}

func (op faultOp) wishOf(s *subject) *wish {
	return s.wish(op.wish.method, op.wish.name, op.wish.amount)
}

// Every write and every call fails in both ways, at every recovery. After each the books are right, the provider agrees
// with them, and whoever asks again gets the answer that he got.
func TestFault_EveryWriteAndCallFailsInBothWays(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup // all at once, however few processors there are: mostly they wait
	for _, op := range faultOps {
		running.Go(func() { t.Run(op.name, func(t *testing.T) { failEverywhere(t, op) }) })
	}
	running.Wait()
}

func failEverywhere(t *testing.T, op faultOp) {
	r := newRig(t)
	for _, cut := range faultCuts() {
		for _, by := range recoveries {
			if name := cut.name + ", then " + by.name; by.always || !cut.settles {
				t.Run(name, func(t *testing.T) { r.fails(t, r.newSubject(name), op, cut, by) })
			}
		}
	}
}

// fails runs an operation that goes wrong, and its recovery.
func (r *rig) fails(t *testing.T, s *subject, op faultOp, cut faultCut, by recovery) {
	if op.before != "" {
		r.insist(t, 0, s.wish(op.before, opening, total))
	}
	for _, o := range cut.orders {
		r.orders.add(o.at, o.how)
	}
	r.ask(t, 0, op.wishOf(s), 1)
	r.age(t, s, 10*time.Second)
	by.try(t, r, op, s)
	for tries := 0; r.age(t, s, 10*time.Second) && tries < 2; tries++ {
		by.try(t, r, op, s)
	}
	r.heal()
	for _, w := range s.wishes {
		r.insist(t, 0, w)
	}
	r.deliverAll(t, r.on[1], s)
	if p := r.account(t, s).payment; !by.undoes && (p == nil || p.State != op.state) {
		t.Errorf("the payment is %+v, want it %s", p, op.state)
	}
	if wrong := append(r.wrongs(t, s), r.broken(t)...); len(wrong) > 0 || t.Failed() {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), r.story(t, s))
	}
}
