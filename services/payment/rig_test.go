package payment

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

const hookSecret = "whsec_rig"

// rig is two processes of the service on one database, whose COMMITs and calls to the provider go wrong on order. What
// is done on a rig takes turns, so that orders meet what they are meant for; rigs run side by side.
type rig struct {
	*bundle
	on      [2]process
	orders  orders
	commits *pgtest.FaultySwitch // of both processes
	mail    mailbox
	ahead   atomic.Int64 // how far the provider's clock is ahead, in nanoseconds
}

// process is one of them.
type process struct {
	client   paymentv1.PaymentServiceClient
	payments *payments
	http     http.Handler
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{bundle: &bundle{dsn: pgtest.DSN(t, Migrations()...)}}
	r.orders.due, r.orders.held, r.orders.awake = map[spot][]mishap{}, make(chan struct{}), make(chan struct{})
	r.mail.arrived = make(chan struct{}, 1)
	box := httptest.NewServer(&r.mail)
	t.Cleanup(box.Close)
	r.psp = startProvider(t, pspsim.Options{
		SlowDelay: 5 * time.Millisecond, Webhooks: pspsim.Webhooks{URL: box.URL, Secret: hookSecret},
		Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) },
	})
	var err error
	if r.db, err = pgxpool.New(t.Context(), r.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.db.Close)
	var pool *pgxpool.Pool
	pool, r.commits = pgtest.Faulty(t, r.db)
	for i := range r.on {
		r.on[i] = r.startFaulty(t, pool)
	}
	t.Cleanup(func() { r.checkBooks(t) })
	return r
}

// startFaulty runs a process on a pool, whose calls and writes go wrong on order.
func (r *rig) startFaulty(t *testing.T, pool *pgxpool.Pool) (p process) {
	t.Helper()
	p.client = r.startIn(t, func(env *service.Env) {
		env.Pool, env.Log, p.http = pool, slog.New(slog.DiscardHandler), env.HTTP
	}, patient, func(c *Config) {
		c.Provider.PSP.Webhook.Secret = hookSecret
		c.Provider.PSP.Breaker.MinimumCalls, c.Provider.PSP.Breaker.Window = 1<<30, time.Hour // its test is another one
	})
	p.payments = r.payments
	p.payments.provider = faultyAccount{p.payments.provider, r}
	for _, kind := range p.payments.errands {
		begin, end := kind.Begin, kind.End
		kind.Begin = func(ctx context.Context, all []*command) []groupcommit.Result[idem.Begun[*payment]] {
			return written(r, atIntent, len(all), func() []groupcommit.Result[idem.Begun[*payment]] { return begin(ctx, all) })
		}
		kind.End = func(ctx context.Context, all []ending) []groupcommit.Result[*payment] {
			return written(r, atOutcome, len(all), func() []groupcommit.Result[*payment] { return end(ctx, all) })
		}
	}
	return p
}

// spot is where something can go wrong.
type spot string

const (
	atIntent  spot = "intent"  // the COMMIT of it
	atDo      spot = "call"    // that asks the provider to do something
	atOutcome spot = "outcome" // the COMMIT of it
	atLookUp  spot = "look-up"
	atFinding spot = "finding" // the COMMIT after a look-up, or after a webhook
)

// mishap is what goes wrong.
type mishap string

const (
	lostBefore mishap = "lost, not applied"
	lostAfter  mishap = "lost, but applied"
	diedBefore mishap = "died, not applied" // the process ends
	diedAfter  mishap = "died, but applied"
	heldBefore mishap = "asleep before it" // until it is too late for the call
	heldAfter  mishap = "asleep after it"
	slow       mishap = "on its way for long" // but not for too long
	notSent    mishap = "not sent"
	refuses    mishap = "refused"
)

var (
	errDied = errors.New("the process has ended")
	errLost = errors.New("the answer is lost")
)

// orders say what goes wrong next at a place.
type orders struct {
	mu    sync.Mutex
	due   map[spot][]mishap
	held  chan struct{} // gets an element from whoever falls asleep
	awake chan struct{} // closed to wake them all
}

func (o *orders) add(p spot, m mishap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due[p] = append(o.due[p], m)
}

func (o *orders) take(p spot) mishap {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.due[p]) == 0 {
		return ""
	}
	m := o.due[p][0]
	o.due[p] = o.due[p][1:]
	return m
}

// first is add before all others; drop takes it back, where nobody has met it.
func (o *orders) first(p spot, m mishap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due[p] = append([]mishap{m}, o.due[p]...)
}

func (o *orders) drop(p spot, m mishap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := slices.Index(o.due[p], m); at >= 0 {
		o.due[p] = slices.Delete(o.due[p], at, at+1)
	}
}

// clear forgets them.
func (o *orders) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.due)
}

// wake wakes all who sleep.
func (o *orders) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.awake)
	o.awake = make(chan struct{})
}

// hold sleeps until all are woken.
func (o *orders) hold() {
	o.mu.Lock()
	awake := o.awake
	o.mu.Unlock()
	o.held <- struct{}{}
	<-awake
}

// written has a group write, and its COMMIT go wrong as ordered.
func written[R any](r *rig, p spot, n int, write func() []groupcommit.Result[R]) []groupcommit.Result[R] {
	how := r.orders.take(p)
	if how == diedBefore || how == diedAfter {
		if how == diedAfter {
			write()
		}
		dead := make([]groupcommit.Result[R], n)
		for i := range dead {
			dead[i].Err = errDied
		}
		return dead
	}
	r.lose(how)
	return write()
}

// lose has the next COMMIT go wrong.
func (r *rig) lose(how mishap) {
	switch how {
	case lostBefore:
		r.commits.SetOnce(pgtest.NotApplied)
	case lostAfter:
		r.commits.SetOnce(pgtest.Applied)
	}
}

// faultyAccount is an account whose calls go wrong as ordered.
type faultyAccount struct {
	provider.Account
	rig *rig
}

func (a faultyAccount) Do(ctx context.Context, q provider.Request) provider.Outcome {
	return a.ask(atDo, func() provider.Outcome { return a.Account.Do(ctx, q) })
}

func (a faultyAccount) LookUp(ctx context.Context, q provider.Request) provider.Outcome {
	said := a.ask(atLookUp, func() provider.Outcome { return a.Account.LookUp(ctx, q) })
	a.rig.lose(a.rig.orders.take(atFinding))
	return said
}

func (a faultyAccount) ask(p spot, call func() provider.Outcome) provider.Outcome {
	how := a.rig.orders.take(p)
	switch how {
	case lostBefore:
		return provider.Outcome{Kind: provider.Unknown, Err: errLost}
	case diedBefore:
		panic(errDied)
	case heldBefore: // its deadline has passed when it wakes
		a.rig.orders.hold()
		return provider.Outcome{Kind: provider.NotSent, Err: context.DeadlineExceeded}
	case slow:
		a.rig.orders.hold()
	case notSent:
		return provider.Outcome{Kind: provider.NotSent, Err: errLost}
	case refuses:
		return provider.Outcome{Kind: provider.Declined, Reason: "refused"}
	}
	said := call()
	switch how {
	case lostAfter:
		return provider.Outcome{Kind: provider.Unknown, Err: errLost}
	case diedAfter:
		panic(errDied)
	case heldAfter:
		a.rig.orders.hold()
	}
	return said
}

// mailbox keeps the webhooks that the provider sends, for a test to deliver as late and as often as it likes.
type mailbox struct {
	mu      sync.Mutex
	bodies  [][]byte
	arrived chan struct{}
}

// ServeHTTP implements http.Handler.
func (m *mailbox) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bodies = append(m.bodies, body)
	select {
	case m.arrived <- struct{}{}:
	default:
	}
}

// since gives what was sent of the provider's effects from the n-th on, when all of it is there.
func (r *rig) since(t *testing.T, n int) [][]byte {
	t.Helper()
	want := len(r.psp.Journal())
	for {
		r.mail.mu.Lock()
		there := r.mail.bodies
		r.mail.mu.Unlock()
		if len(there) >= want {
			return there[n:want]
		}
		await(t, r.mail.arrived)
		if t.Context().Err() != nil {
			t.Fatal("the webhooks do not come")
		}
	}
}

// deliver sends webhooks as the provider signs them now.
func (p process) deliver(t *testing.T, bodies ...[]byte) {
	t.Helper()
	for _, body := range bodies {
		if code := post(p.http, body, signed(hookSecret, time.Now(), body)).Code; code != http.StatusNoContent {
			t.Errorf("a webhook is answered %d", code)
		}
	}
}

// deliverAll delivers all that the provider has sent since a subject was named, twice, and has it applied.
func (r *rig) deliverAll(t *testing.T, p process, s *subject) {
	t.Helper()
	all := r.since(t, s.since)
	p.deliver(t, all...)
	p.deliver(t, all...)
	r.applyAll(t, p)
}

// applyAll has a process apply the webhooks that were received; the first COMMIT may go wrong as ordered.
func (r *rig) applyAll(t *testing.T, p process) {
	t.Helper()
	r.lose(r.orders.take(atFinding))
	for again := true; again; {
		again, _ = p.payments.applyWebhooks(t.Context()) // what it could not write is there the next time
	}
}

// inquire asks what became of a subject's payment, where there is one; the COMMIT of what it finds may go wrong.
func (r *rig) inquire(t *testing.T, s *subject) {
	t.Helper()
	if pid := r.paymentID(t, s); pid != "" {
		_, _ = r.on[0].client.InquirePayment(t.Context(), &paymentv1.InquirePaymentRequest{PaymentId: pid})
	}
}

// heal has nothing go wrong any more.
func (r *rig) heal() {
	r.orders.clear()
	r.commits.Set(pgtest.Healthy)
	r.psp.ClearFaults()
}

// age has time pass for a subject: its operations were sent so much earlier, are due to be asked about, and nobody
// works on its requests any more. It tells whether an operation is in doubt.
func (r *rig) age(t *testing.T, s *subject, by time.Duration) (inDoubt bool) {
	t.Helper()
	if _, err := r.db.Exec(t.Context(), `UPDATE idem SET lease_until = now() WHERE state = 1 AND key LIKE $1 || '/%'`, s.reference); err != nil {
		t.Fatal(err)
	}
	for _, open := range pgtest.Column[bool](t, r.db, `
UPDATE operation SET last_sent_at = last_sent_at - $2::interval, created_at = created_at - $2::interval,
       look_at = CASE WHEN look_at IS NOT NULL THEN now() - interval '1 s' END
 WHERE payment_id IN (SELECT id FROM payment WHERE reference = $1)
RETURNING state IN (2, 3)`, s.reference, by) {
		inDoubt = inDoubt || open
	}
	return inDoubt
}

// expire ends the leases of a subject's requests.
func (r *rig) expire(t *testing.T, s *subject) { r.age(t, s, 0) }

// resolve has a process ask about all that is due.
func (r *rig) resolve(t *testing.T, p process) {
	t.Helper()
	for again := true; again; {
		again, _ = p.payments.resolveOnce(t.Context()) // what it could not write is due again
	}
}

// newSubject is a payment that nothing is known of.
func (r *rig) newSubject(reference string) *subject {
	return &subject{reference: reference, paymentMethod: "pm_ok", since: len(r.psp.Journal())}
}
