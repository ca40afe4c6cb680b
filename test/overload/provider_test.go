package overload

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"

	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// provider is the payment provider's simulator in a process of its own, which has the generator's core: a provider is somebody else's
// machine. It goes after the generator, whose clock is the one that counts.
type provider struct {
	url, secret string
}

// startProvider starts it, and has a system that is started after it pay there.
func startProvider(t *testing.T, binary string) provider {
	t.Helper()
	addr := nettest.FreeAddr(t)
	p := provider{url: "http://" + addr, secret: rand.Text()}
	systemtest.Start(t, exec.Command("nice", binary, "psp", "serve", "--addr", addr))
	waittest.Until(t, "the provider answers", func() bool {
		answer, err := benchtest.Get(t.Context(), p.url+"/healthz")
		if err != nil {
			return false
		}
		_ = answer.Close()
		return true
	})
	t.Setenv("TIEOUT_PAYMENT_PROVIDER_PSP_URL", p.url)
	t.Setenv("TIEOUT_PAYMENT_PROVIDER_PSP_WEBHOOK_SECRET", p.secret)
	return p
}

// tell has it tell a system of what it has done.
func (p provider) tell(t *testing.T, system *systemtest.Dev) {
	t.Helper()
	body, err := json.Marshal(pspsim.Webhooks{URL: system.Ready.HTTP + payment.WebhookPath, Secret: p.secret, DelayMillis: 1000})
	if err != nil {
		t.Fatal(err)
	}
	order, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url+"/admin/webhooks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(order)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the provider answered %s", answer.Status)
	}
}
