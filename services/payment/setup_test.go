package payment

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const key = "saga/sag_1/charge"

// bundle is a client of a running service, a look into its database, and the provider's own book.
type bundle struct {
	paymentv1.PaymentServiceClient
	dsn string
	db  *pgxpool.Pool
	psp *pspsim.Server

	// Of the process that was started last: where it serves HTTP, and its use cases. Its duties are run by hand.
	process  *service.Process
	http     string
	payments *payments
}

// setup runs the service with a provider. However a test ends, the ledger must balance, agree with what the
// provider has done, and be unchangeable.
func setup(t *testing.T, change ...func(*Config)) *bundle {
	t.Helper()
	b := &bundle{dsn: pgtest.DSN(t, Migrations()...), psp: startProvider(t, pspsim.Options{SlowDelay: 50 * time.Millisecond})}
	var err error
	if b.db, err = pgxpool.New(t.Context(), b.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.db.Close)
	b.PaymentServiceClient = b.start(t, change...)
	t.Cleanup(func() { b.checkBooks(t) })
	return b
}

func startProvider(t *testing.T, o pspsim.Options) *pspsim.Server {
	t.Helper()
	psp, err := pspsim.Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProvider(t, psp) })
	return psp
}

func stopProvider(t *testing.T, psp *pspsim.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := psp.Close(ctx); err != nil {
		t.Error(err)
	}
}

// hasty is for providers that do not answer anyway.
func hasty(c *Config) { c.Provider.PSP.Timeout = 400 * time.Millisecond }

// waiting is for what is not to end in doubt: not because the machine is busy, and not for a call that is never made.
func waiting(c *Config) { c.Provider.PSP.Timeout = time.Minute }

// start runs a process of the service on the bundle's database, and connects to it.
func (b *bundle) start(t *testing.T, change ...func(*Config)) paymentv1.PaymentServiceClient {
	t.Helper()
	return b.startIn(t, func(*service.Env) {}, change...)
}

// startIn is start in an environment that is changed.
func (b *bundle) startIn(t *testing.T, changeEnv func(*service.Env), change ...func(*Config)) paymentv1.PaymentServiceClient {
	t.Helper()
	p := servicetest.Start(t, b.service(changeEnv, change...))
	b.process, b.http = p, "http://"+p.HTTPAddr()
	return paymentv1.NewPaymentServiceClient(servicetest.Dial(t, p, "orchestrator"))
}

func (b *bundle) service(changeEnv func(*service.Env), change ...func(*Config)) service.Service {
	cfg := DefaultConfig()
	cfg.Provider.PSP.URL, cfg.Provider.PSP.Timeout, cfg.Provider.PSP.NotFoundLag = b.psp.URL(), 2*time.Second, 100*time.Millisecond
	for _, f := range change {
		f(&cfg)
	}
	return service.Service{
		Name: "payment", Migrations: Migrations(), Postgres: service.Postgres{DSN: b.dsn, MaxConns: cfg.Postgres.MaxConns},
		Run: func(_ context.Context, env *service.Env) error {
			changeEnv(env)
			s, err := wire(env, cfg)
			b.payments = s
			return err
		},
	}
}

// between carries calls to a provider. Meddle is given each POST's path and what delivers it, and says whether the
// answer comes back.
func between(t *testing.T, to string, meddle func(path string, deliver func()) bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		deliver := func() {
			sent, err := http.NewRequest(r.Method, to+r.URL.RequestURI(), bytes.NewReader(body))
			if err != nil {
				panic(err)
			}
			sent.Header = r.Header
			got, err := http.DefaultClient.Do(sent)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			defer got.Body.Close()
			answer.WriteHeader(got.StatusCode)
			_, _ = io.Copy(answer, got.Body)
		}
		if r.Method != http.MethodPost {
			deliver()
		} else if !meddle(r.URL.Path, deliver) {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// await waits for a signal, or for the test to be over.
func await(t *testing.T, signal <-chan struct{}) {
	select {
	case <-signal:
	case <-t.Context().Done():
	}
}

func toCharge(key, method string) *paymentv1.ChargeRequest {
	return &paymentv1.ChargeRequest{
		IdempotencyKey: key, Amount: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250},
		PaymentMethod: method, CustomerId: "cus_1", Reference: "ord_1",
	}
}

// again asks as a saga does: until the outcome is known.
func again[A any](t *testing.T, ask func() (A, error)) (answer A, err error) {
	t.Helper()
	waittest.Until(t, "the outcome is known", func() bool {
		answer, err = ask()
		return !slices.Contains([]codes.Code{codes.Unavailable, codes.Aborted, codes.DeadlineExceeded}, status.Code(err))
	})
	return answer, err
}

func (b *bundle) charge(t *testing.T, key, method string) (*paymentv1.Payment, error) {
	t.Helper()
	answer, err := b.Charge(t.Context(), toCharge(key, method))
	return answer.GetPayment(), err
}

func (b *bundle) mustCharge(t *testing.T, key, method string) *paymentv1.Payment {
	t.Helper()
	p, err := again(t, func() (*paymentv1.Payment, error) { return b.charge(t, key, method) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *bundle) refund(t *testing.T, key string) (*paymentv1.Payment, error) {
	t.Helper()
	answer, err := b.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key})
	return answer.GetPayment(), err
}

func (b *bundle) mustRefund(t *testing.T, key string) *paymentv1.Payment {
	t.Helper()
	p, err := again(t, func() (*paymentv1.Payment, error) { return b.refund(t, key) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// only gives the one payment there is.
func (b *bundle) only(t *testing.T) *paymentv1.Payment {
	t.Helper()
	answer, err := b.ListPayments(t.Context(), &paymentv1.ListPaymentsRequest{})
	if err != nil || len(answer.GetPayments()) != 1 {
		t.Fatalf("got payments %v, error %v; want one", answer.GetPayments(), err)
	}
	return answer.GetPayments()[0]
}

// wantState fails the test unless the only payment is in a state.
func (b *bundle) wantState(t *testing.T, want paymentv1.PaymentState) {
	t.Helper()
	if p := b.only(t); p.GetState() != want {
		t.Errorf("got state %s, want %s; payment %v", p.GetState(), want, p)
	}
}

// wantEffects fails the test unless this is all that the provider has done, in order.
func (b *bundle) wantEffects(t *testing.T, want ...pspsim.EntryType) {
	t.Helper()
	var got []pspsim.EntryType
	for _, e := range b.psp.Journal() {
		got = append(got, e.Type)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("effects at the provider (-want +got):\n%s", diff)
	}
}

// wantEvents fails the test unless these are the events written, in order.
func (b *bundle) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	got := pgtest.Column[string](t, b.db, `SELECT name FROM outbox ORDER BY seq`)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// checkBooks proves the ledger, against itself and, when no payment is in doubt, against the provider's journal.
func (b *bundle) checkBooks(t *testing.T) {
	for _, sum := range pgtest.Column[int64](t, b.db, `SELECT sum(amount_minor)::bigint FROM posting GROUP BY journal_id, currency`) {
		if sum != 0 {
			t.Errorf("a journal sums to %d", sum)
		}
	}
	if inDoubt := pgtest.Column[int64](t, b.db, `SELECT count(*) FROM operation WHERE state IN (2, 3)`)[0]; inDoubt == 0 {
		var held int64
		for _, e := range b.psp.Journal() {
			switch e.Type {
			case pspsim.TypeCharge, pspsim.TypeCapture:
				held += e.AmountMinor
			case pspsim.TypeRefund:
				held -= e.AmountMinor
			case pspsim.TypeChargeback:
				held -= e.AmountMinor + e.FeeMinor
			case pspsim.TypeChargebackReversal:
				held += e.AmountMinor - e.FeeMinor
			}
		}
		const clearing = `
SELECT coalesce(sum(p.amount_minor), 0)::bigint FROM posting p JOIN journal j ON j.id = p.journal_id
 WHERE p.account = 'provider_clearing' AND j.kind <= 4` // what follows from payments
		if got := pgtest.Column[int64](t, b.db, clearing)[0]; got != held {
			t.Errorf("the ledger says that the provider holds %d, the provider says %d", got, held)
		}
	}
	for _, tamper := range []string{
		`UPDATE journal SET kind = 2`, `DELETE FROM journal`, `TRUNCATE journal CASCADE`,
		`UPDATE posting SET amount_minor = amount_minor + 1`, `DELETE FROM posting`, `TRUNCATE posting`,
	} {
		if _, err := b.db.Exec(context.WithoutCancel(t.Context()), tamper); err == nil {
			t.Errorf("the ledger allowed %s", tamper)
		}
	}
}

// replayed tells whether an answer's header says that it was given before.
func replayed(header metadata.MD) bool {
	return slices.Equal(header.Get("idempotency-replayed"), []string{"true"})
}
