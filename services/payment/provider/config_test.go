package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
)

// fromEnviron loads the configuration as a process does.
func fromEnviron(t *testing.T, environ ...string) provider.Config {
	t.Helper()
	cfg := struct {
		Provider provider.Config `koanf:"provider"`
	}{provider.DefaultConfig()}
	if err := service.Load(&cfg, service.Sources{Environ: environ}); err != nil {
		t.Fatal(err)
	}
	return cfg.Provider
}

func TestNew_MakesTheProviderThatIsUsed(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("sk_test_1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		url    = "TIEOUT_PROVIDER_PSP_URL=http://127.0.0.1:7490"
		stripe = "TIEOUT_PROVIDER_USE=stripe"
	)
	for name, tt := range map[string]struct {
		environ []string
		timeout time.Duration
	}{
		"psp":    {[]string{url, "TIEOUT_PROVIDER_PSP_WEBHOOK_SECRET_FILE=" + secret}, 2 * time.Second},
		"stripe": {[]string{stripe, "TIEOUT_PROVIDER_STRIPE_SECRET_KEY_FILE=" + secret}, 20 * time.Second},
	} {
		cfg := fromEnviron(t, tt.environ...)
		a, err := provider.New(cfg, instruments())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.Name() != name || a.Capabilities().CallTimeout != tt.timeout || a.Breaker().State() != provider.BreakerClosed {
			t.Errorf("%s: got %s, %s, breaker %s", name, a.Name(), a.Capabilities().CallTimeout, a.Breaker().State())
		}
		if read := cfg.PSP.Webhook.Secret + cfg.Stripe.SecretKey; read != "sk_test_1" {
			t.Errorf("%s: got secret %q of its file", name, read)
		}
	}
	for want, environ := range map[string][]string{
		"psp: url: ":                      nil,
		"stripe: secret_key: there is no": {stripe, url},
		`there is no provider "paypal"`:   {"TIEOUT_PROVIDER_USE=paypal", url},
	} {
		if a, err := provider.New(fromEnviron(t, environ...), instruments()); err == nil || !strings.Contains(err.Error(), want) || a != nil {
			t.Errorf("%v: got %v, error %v; want %q", environ, a, err, want)
		}
	}
}
