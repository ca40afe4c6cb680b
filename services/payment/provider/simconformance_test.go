package provider_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/provider/providertest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

const webhookSecret = "whsec_conformance"

func instruments() provider.Instruments {
	return provider.Instruments{Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{}, Tracer: tracenoop.NewTracerProvider().Tracer("test")}
}

// mailbox keeps the webhooks that arrive.
type mailbox struct {
	mu   sync.Mutex
	mail []letter
}

type letter struct {
	header http.Header
	body   []byte
}

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail = append(m.mail, letter{r.Header, body})
}

// about gives the first webhook that mentions a text.
func (m *mailbox) about(t *testing.T, text string) (found letter) {
	t.Helper()
	waittest.Until(t, "the webhook arrives", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, l := range m.mail {
			if bytes.Contains(l.body, []byte(text)) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

func TestSim_Conforms(t *testing.T) {
	t.Parallel()
	mail := &mailbox{}
	receiver := httptest.NewServer(mail)
	t.Cleanup(receiver.Close)
	psp, err := pspsim.Start(t.Context(), pspsim.Options{Webhooks: pspsim.Webhooks{URL: receiver.URL, Secret: webhookSecret}})
	if err != nil {
		t.Fatal(err)
	}
	sim, err := provider.NewSim(provider.SimConfig{
		URL: psp.URL(), Timeout: 10 * time.Second, Webhook: provider.WebhookConfig{Secret: "whsec_old", NextSecret: webhookSecret},
	}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	providertest.Run(t, providertest.Harness{
		Provider: sim, Method: "pm_ok", Declined: "pm_declined", Reason: "insufficient_funds", Unknown: "pm_none",
		LoseAnswer: func(t *testing.T) {
			if err := psp.Inject(pspsim.Fault{Kind: pspsim.FaultErrorAfter, Count: 1}); err != nil {
				t.Fatal(err)
			}
		},
		Effects: func(_ *testing.T, key string) (n int) {
			for _, e := range psp.Journal() {
				if e.IdempotencyKey == key {
					n++
				}
			}
			return n
		},
		Webhook: func(t *testing.T, key string) (http.Header, []byte) {
			l := mail.about(t, key)
			return l.header, l.body
		},
		Chargeback: func(t *testing.T, chargeID string) (http.Header, []byte) {
			made, err := psp.Chargeback(pspsim.ChargebackOrder{Charge: chargeID})
			if err != nil {
				t.Fatal(err)
			}
			l := mail.about(t, made.ID)
			return l.header, l.body
		},
		WinChargeback: func(t *testing.T, chargebackID string) (http.Header, []byte) {
			made, err := psp.ReverseChargeback(pspsim.ReversalOrder{Chargeback: chargebackID, ReturnFee: true})
			if err != nil {
				t.Fatal(err)
			}
			l := mail.about(t, made.ID)
			return l.header, l.body
		},
	})
}
