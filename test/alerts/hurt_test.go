package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// ask asks the provider's simulator for something, and reads the answer unless into is nil.
func (s *system) ask(t *testing.T, verb, path string, body, into any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), verb, s.psp+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Idempotency-Key", fmt.Sprintf("by-hand-%d", s.placed.Add(1)))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s", verb, path, answer.Status)
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

func providerDown(t *testing.T, s *system) {
	s.ask(t, http.MethodPost, "/admin/down", pspsim.Outage{ForMillis: int(time.Hour / time.Millisecond), Refuse: true}, nil)
}

// loseAnswers also has the provider send no webhooks, which would tell.
func loseAnswers(t *testing.T, s *system) {
	s.ask(t, http.MethodPut, "/admin/webhooks", pspsim.Webhooks{}, nil)
	for range 3 {
		if _, err := s.place(t.Context(), "pm_lookup_fails"); err != nil {
			t.Fatal(err)
		}
	}
}

// refuseCaptures has the money of so many orders, which was set aside, be released at the provider before it is captured.
func refuseCaptures(n int) func(*testing.T, *system) {
	const method = "pm_lag" // nobody else pays with it
	return func(t *testing.T, s *system) {
		s.ask(t, http.MethodPost, "/admin/faults", pspsim.Fault{Kind: pspsim.FaultErrorBefore, Op: pspsim.TypeCapture, PaymentMethod: method}, nil)
		for range n {
			if _, err := s.place(t.Context(), method); err != nil {
				t.Fatal(err)
			}
		}
		voided := map[string]bool{}
		waittest.Until(t, "the money is set aside, and released again", func() bool {
			for _, e := range s.journal(t) {
				if e.Type == pspsim.TypeAuthorize && e.PaymentMethod == method && !voided[e.ID] {
					voided[e.ID] = true
					s.ask(t, http.MethodPost, "/v1/voids", map[string]string{"charge": e.ID}, nil)
				}
			}
			return len(voided) == n
		})
		s.ask(t, http.MethodDelete, "/admin/faults", nil, nil)
	}
}

// journal is what happened at the provider.
func (s *system) journal(t *testing.T) []pspsim.Entry {
	t.Helper()
	answer, err := http.Get(s.psp + "/v1/journal")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all []pspsim.Entry
	for lines := json.NewDecoder(answer.Body); lines.More(); {
		var e pspsim.Entry
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func poison(t *testing.T, s *system) {
	conn, err := nats.Connect(s.dev.Ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish("evt.payment.payment.captured.pay_poison", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if err := conn.FlushTimeout(5 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// database opens a service's database as its superuser would.
func (s *system) database(t *testing.T, service string) *pgx.Conn {
	t.Helper()
	dsn, err := url.Parse(s.dev.Ready.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + service
	conn, err := pgx.Connect(t.Context(), dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// write changes a database by hand.
func (s *system) write(t *testing.T, service, statement string) *pgx.Conn {
	t.Helper()
	conn := s.database(t, service)
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return conn
}

// lockInbox holds a lock until the test ends.
func lockInbox(t *testing.T, s *system) {
	s.write(t, "reconciliation", `BEGIN; LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE`)
}

func changeLevel(t *testing.T, s *system) {
	s.write(t, "inventory", `UPDATE stock_level SET available = available + 1`)
}

const report = `automatic_payout_id,automatic_payout_effective_at_utc,balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category,source_id,charge_id,payment_intent_id,payment_metadata[order_id]
po_1,2026-11-03 00:00:00,txn_1,2026-11-02 10:00:00,2026-11-03 00:00:00,eur,20000.00,5.00,19995.00,charge,ch_1,ch_1,,ord_1
`

func strangeCharge(t *testing.T, s *system) {
	file := filepath.Join(t.TempDir(), "report.csv")
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tieout(t, "statement", "import", "--format", "stripe", file)
	s.tieout(t, "recon", "run")
}

func ageRun(t *testing.T, s *system) {
	s.tieout(t, "recon", "run")
	s.write(t, "reconciliation", `UPDATE run SET started_at = started_at - interval '30 hours', ended_at = ended_at - interval '30 hours'`)
}

func crawlingBatch(t *testing.T, s *system) {
	file := filepath.Join(t.TempDir(), "payments.csv")
	if err := os.WriteFile(file, []byte(systemtest.PaymentFile(2000, func(int) string { return "pm_ok" })), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tieout(t, "limit", "set", "default", "--rate", "1", "--concurrency", "1", "--reason", "crawl", "--yes")
	s.tieout(t, "batch", "start", "-f", file, "--cut-off", time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339))
}

// flood has sixteen clients place orders one after the other until the test ends. They do not wait as they are told.
func flood(t *testing.T, s *system) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				_, _ = s.place(ctx, "pm_ok")
				<-tick.C
			}
		})
	}
	t.Cleanup(func() { cancel(); clients.Wait() })
}

func kill(_ *testing.T, s *system) { s.dev.Kill() }

func stopNATS(_ *testing.T, s *system) { s.nats.Shutdown() }

func stopPostgres(t *testing.T, s *system) { s.postgres.Stop(t) }

// hangShipment stops the process without ending it: it takes connections, and answers nothing.
func hangShipment(t *testing.T, s *system) {
	process := s.split.Process("shipment")
	process.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { process.Signal(syscall.SIGCONT) })
}
