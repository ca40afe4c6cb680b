package payment

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// account is what there is to be known of a subject once it is quiet: our rows, and the provider's journal.
type account struct {
	payment    *payment // nil when there is none
	operations []operation
	effects    []pspsim.Entry
	events     map[string]int

	captured, refunded int64 // by the provider
	takes, holds       int   // how often the provider took money, and how many authorizations it holds
}

func (r *rig) account(t *testing.T, s *subject) *account {
	t.Helper()
	a := &account{events: map[string]int{}}
	if pid := r.paymentID(t, s); pid != "" {
		p, all, err := r.payments.getPayment(t.Context(), pid)
		if err != nil {
			t.Fatal(err)
		}
		a.payment, a.operations = &p, all
		for _, name := range pgtest.Column[string](t, r.db, `SELECT name FROM outbox WHERE subject = $1`, pid) {
			a.events[name]++
		}
	}
	for _, e := range r.psp.Journal()[s.since:] {
		if e.Reference != s.reference {
			continue
		}
		a.effects = append(a.effects, e)
		switch e.Type {
		case pspsim.TypeCharge:
			a.takes, a.captured = a.takes+1, a.captured+e.AmountMinor
		case pspsim.TypeAuthorize:
			a.holds++
		case pspsim.TypeCapture:
			a.takes, a.holds, a.captured = a.takes+1, a.holds-1, a.captured+e.AmountMinor
		case pspsim.TypeVoid:
			a.holds--
		case pspsim.TypeRefund:
			a.refunded += e.AmountMinor
		}
	}
	return a
}

// wrongs is what does not hold of a quiet subject: of what we keep of it, and what the provider does.
func (a *account) wrongs() (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if a.takes > 1 {
		complain("CHARGED %d TIMES", a.takes)
	}
	under := map[string][]pspsim.Entry{}
	for _, e := range a.effects {
		under[e.IdempotencyKey] = append(under[e.IdempotencyKey], e)
	}
	done := map[provider.Op]int{}
	for _, o := range a.operations {
		e := under[o.Key]
		happened := len(e) > 0 && e[0].Type != pspsim.TypeDecline
		switch {
		case o.State.open():
			complain("the %s %d is still in doubt", o.Op, o.Seq)
		case len(e) > 1:
			complain("the %s %d had %d effects under one key", o.Op, o.Seq, len(e))
		case o.State == opDone && (!happened || e[0].ID != o.ID || e[0].AmountMinor != o.Amount.Minor || string(e[0].Type) != string(o.Op)):
			complain("the %s %d is done, and the provider has %v", o.Op, o.Seq, e)
		case o.State != opDone && o.State != opAbandoned && happened:
			complain("the %s %d is in state %d, and the provider did %v", o.Op, o.Seq, o.State, e)
		}
		if o.State == opDone {
			done[o.Op]++
		}
		if o.State != opAbandoned { // what was given up is no answer for an effect
			delete(under, o.Key)
		}
	}
	for key, e := range under {
		complain("the provider has %v under %s, of which we know nothing", e, key)
	}
	if p := a.payment; p != nil && (p.Captured != a.captured || p.Refunded != a.refunded) {
		complain("we keep %d taken and %d given back, the provider %d and %d", p.Captured, p.Refunded, a.captured, a.refunded)
	}
	for name, want := range map[string]int{
		"captured": done[provider.Charge] + done[provider.Capture], "refunded": done[provider.Refund], "authorized": done[provider.Authorize],
		"resolved": a.events["unknown"],
	} {
		if a.events[name] != want {
			complain("there are %d events %q, not %d", a.events[name], name, want)
		}
	}
	return wrong
}

// kept tells what a wish was answered for good, and what does not hold of that: what is answered as done has happened
// under its key, and what is answered as refused has not.
func (a *account) kept(w *wish, last answer) (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if w.method == methodRefund || w.method == methodVoid {
		if last.done() && (a.captured != a.refunded || a.holds != 0) {
			complain("%s is done, and of %d taken %d were given back, %d are held", w, a.captured, a.refunded, a.holds)
		}
		return wrong
	}
	op, opens := opens[w.method]
	if !opens {
		op = map[method]provider.Op{
			methodCapture: provider.Capture, methodVoidPayment: provider.Void, methodRefundPayment: provider.Refund,
		}[w.method]
	}
	key := (&command{request: request{caller: "orchestrator", key: w.key()}, method: w.method}).providerKey(op)
	at := slices.IndexFunc(a.effects, func(e pspsim.Entry) bool {
		return strings.HasPrefix(e.IdempotencyKey, key) && string(e.Type) == string(op)
	})
	switch {
	case last.done() && at < 0:
		complain("%s is done, and never happened", w)
	case last.done() && w.amount != 0 && a.effects[at].AmountMinor != w.amount:
		complain("%s is done, and happened of %d", w, a.effects[at].AmountMinor)
	case !last.done() && last.definite() && !last.refusedWith(rpcerr.StepTombstoned) && at >= 0:
		complain("%s is refused with %v, and has happened", w, last)
	}
	return wrong
}

// wrongs asks for all wishes of a quiet subject once more, and gives what does not hold.
func (r *rig) wrongs(t *testing.T, s *subject) []string {
	t.Helper()
	for _, w := range s.wishes {
		r.ask(t, 1, w, 1)
	}
	a := r.account(t, s)
	wrong := a.wrongs()
	for _, w := range s.wishes {
		if len(w.answers) > 0 {
			wrong = append(wrong, a.kept(w, w.answers[len(w.answers)-1])...)
		}
		if w.wavered() {
			wrong = append(wrong, fmt.Sprintf("%s was answered %v", w, w.answers))
		}
	}
	return wrong
}

// broken gives the rows of all invariants of the database, and the webhooks that contradict it or were not applied.
func (r *rig) broken(t *testing.T) []string {
	t.Helper()
	return append(pgtest.Violations(t, r.db),
		pgtest.Column[string](t, r.db, `SELECT 'webhook ' || event_id || ' ' || state || ' ' || detail FROM webhook WHERE state IN (1, 4)`)...)
}

// story is all that is to be told of a subject when something does not hold.
func (r *rig) story(t *testing.T, s *subject) string {
	t.Helper()
	var out strings.Builder
	tell := func(title string, query string, args ...any) {
		fmt.Fprintf(&out, "%s\n", title)
		for _, line := range pgtest.Column[string](t, r.db, query, args...) {
			fmt.Fprintf(&out, "  %s\n", line)
		}
	}
	tell("payment", `SELECT row_to_json(p)::text FROM payment p WHERE reference = $1`, s.reference)
	tell("operations", `
SELECT row_to_json(o)::text FROM operation o JOIN payment p ON p.id = o.payment_id WHERE p.reference = $1 ORDER BY seq`, s.reference)
	tell("idempotency", `
SELECT format('%s %s state %s attempt %s %s %s', method, key, state, attempt, resource, convert_from(answer, 'UTF8'))
  FROM idem WHERE key LIKE $1 || '/%' ORDER BY created_at`, s.reference)
	tell("webhooks", `
SELECT format('%s state %s %s', event_id, w.state, detail) FROM webhook w, operation o, payment p
 WHERE p.id = o.payment_id AND p.reference = $1 AND event #>> '{Outcome,ID}' = o.provider_id ORDER BY received_at`, s.reference)
	tell("events", `SELECT o.name FROM outbox o JOIN payment p ON subject = 'pay_' || p.id WHERE p.reference = $1 ORDER BY seq`, s.reference)
	out.WriteString("the provider\n")
	for _, e := range r.account(t, s).effects {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  %s\n", line)
	}
	return out.String()
}
