package provider_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// simulated is a connector to a simulator of its own, whose next request or lookup is to go wrong.
func simulated(t *testing.T, kind pspsim.FaultKind) (*provider.Sim, *pspsim.Server) {
	t.Helper()
	timeout := 10 * time.Second
	if kind == pspsim.FaultTimeoutBefore || kind == pspsim.FaultTimeoutAfter {
		timeout = 400 * time.Millisecond
	}
	psp, err := pspsim.Start(t.Context(), pspsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sim, err := provider.NewSim(provider.SimConfig{URL: psp.URL(), Timeout: timeout}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	return sim, psp
}

// toBeAsked is a request for an operation, with the charge that it follows.
func toBeAsked(t *testing.T, p provider.Provider, op provider.Op) provider.Request {
	t.Helper()
	r := provider.Request{Op: op, Key: "k", Amount: money.Amount{Currency: "GBP", Minor: 1250}}
	if !op.Follows() {
		r.PaymentMethod, r.Reference = "pm_ok", "ord_1"
		return r
	}
	first := provider.Charge
	if op != provider.Refund {
		first = provider.Authorize
	}
	of := toBeAsked(t, p, first)
	of.Key = "followed"
	made := p.Do(t.Context(), of)
	if made.Kind != provider.Succeeded {
		t.Fatalf("%s: got %s, error %v", first, made.Kind, made.Err)
	}
	r.ChargeID = made.ID
	return r
}

var operations = []provider.Op{provider.Charge, provider.Authorize, provider.Capture, provider.Void, provider.Refund}

// However an answer goes wrong, nobody is told more than is known, and the lookup and the next request tell the rest.
func TestSim_NeverGuessesWhatBecameOfARequest(t *testing.T) {
	t.Parallel()
	const succeeded, unknown, notFound = provider.Succeeded, provider.Unknown, provider.NotFound
	for kind, want := range map[pspsim.FaultKind]struct{ do, lookUp, again provider.Kind }{
		pspsim.FaultTimeoutBefore: {unknown, notFound, succeeded},
		pspsim.FaultTimeoutAfter:  {unknown, succeeded, succeeded},
		pspsim.FaultLostBefore:    {unknown, notFound, succeeded},
		pspsim.FaultLostAfter:     {unknown, succeeded, succeeded},
		pspsim.FaultErrorBefore:   {unknown, notFound, succeeded},
		pspsim.FaultErrorAfter:    {unknown, succeeded, succeeded},
		pspsim.FaultRateLimited:   {unknown, notFound, succeeded},
		pspsim.FaultMalformed:     {unknown, succeeded, succeeded},
		pspsim.FaultOtherAmount:   {unknown, unknown, unknown},
		pspsim.FaultDrip:          {succeeded, succeeded, succeeded},
		pspsim.FaultSlow:          {succeeded, succeeded, succeeded},
	} {
		for _, op := range operations {
			t.Run(fmt.Sprintf("%s %s", kind, op), func(t *testing.T) {
				t.Parallel()
				sim, psp := simulated(t, kind)
				r := toBeAsked(t, sim, op)
				if err := psp.Inject(pspsim.Fault{Kind: kind, Op: pspsim.EntryType(op), Count: 1, DelayMillis: 1}); err != nil {
					t.Fatal(err)
				}
				if got := sim.Do(t.Context(), r); got.Kind != want.do {
					t.Errorf("got %s, error %v; want %s", got.Kind, got.Err, want.do)
				}
				if got := sim.LookUp(t.Context(), r); got.Kind != want.lookUp {
					t.Errorf("looked up: got %s, error %v; want %s", got.Kind, got.Err, want.lookUp)
				}
				waittest.Until(t, "it is "+want.again.String()+" when it is asked again, and not in flight any more", func() bool {
					return sim.Do(t.Context(), r).Kind == want.again
				})
			})
		}
	}
}

// A lookup that goes wrong says nothing, and above all not that there is nothing.
func TestSim_NeverGuessesFromALookup(t *testing.T) {
	t.Parallel()
	for kind, want := range map[pspsim.FaultKind]provider.Kind{
		pspsim.FaultTimeoutBefore: provider.Unknown, pspsim.FaultTimeoutAfter: provider.Unknown,
		pspsim.FaultLostBefore: provider.Unknown, pspsim.FaultLostAfter: provider.Unknown,
		pspsim.FaultErrorBefore: provider.Unknown, pspsim.FaultErrorAfter: provider.Unknown,
		pspsim.FaultRateLimited: provider.Unknown, pspsim.FaultMalformed: provider.Unknown,
		pspsim.FaultDrip: provider.Succeeded, pspsim.FaultSlow: provider.Succeeded,
	} {
		for _, op := range operations {
			t.Run(fmt.Sprintf("%s %s", kind, op), func(t *testing.T) {
				t.Parallel()
				sim, psp := simulated(t, kind)
				r := toBeAsked(t, sim, op)
				if got := sim.Do(t.Context(), r); got.Kind != provider.Succeeded {
					t.Fatalf("got %s, error %v", got.Kind, got.Err)
				}
				if err := psp.Inject(pspsim.Fault{Kind: kind, Lookup: true, Op: pspsim.EntryType(op), Count: 1, DelayMillis: 1}); err != nil {
					t.Fatal(err)
				}
				if got := sim.LookUp(t.Context(), r); got.Kind != want {
					t.Errorf("got %s, error %v; want %s", got.Kind, got.Err, want)
				}
				if got := sim.LookUp(t.Context(), r); got.Kind != provider.Succeeded {
					t.Errorf("again: got %s, error %v; want success", got.Kind, got.Err)
				}
			})
		}
	}
}
