package provider

import "fmt"

// The names of the providers there are.
const (
	usePSP    = "psp"
	useStripe = "stripe"
)

// Config says which provider is used, and how it is reached. Only the one that is used needs to be configured.
type Config struct {
	// Use is the name of the provider: psp, which is the simulator, or stripe. Default psp.
	Use string `koanf:"use"`
	// PSP is the simulator.
	PSP SimConfig `koanf:"psp"`
	// Stripe is an account at Stripe.
	Stripe StripeConfig `koanf:"stripe"`
}

// DefaultConfig is the configuration where nothing else is said; the simulator's URL has no default.
func DefaultConfig() Config { return Config{Use: usePSP, PSP: DefaultSimConfig()} }

// Account is an account at a provider.
type Account interface {
	Provider
	// Name is the provider's, as in Config.
	Name() string
	// Breaker holds back the account's calls while the provider is down, or an operator says so.
	Breaker() *Breaker
}

// New makes the connector to the provider that is used. It does not wait for the provider to answer. Errors are faults
// of the configuration.
func New(cfg Config, in Instruments) (Account, error) {
	switch cfg.Use {
	case usePSP, "":
		sim, err := NewSim(cfg.PSP, in)
		if err != nil {
			return nil, fmt.Errorf("psp: %w", err)
		}
		return sim, nil
	case useStripe:
		account, err := NewStripe(cfg.Stripe, in)
		if err != nil {
			return nil, fmt.Errorf("stripe: %w", err)
		}
		return account, nil
	}
	return nil, fmt.Errorf("use: there is no provider %q, but psp and stripe", cfg.Use)
}
