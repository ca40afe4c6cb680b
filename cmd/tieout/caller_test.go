package main

import (
	"context"
	"strings"
	"testing"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// callerDesk keeps who has called it last.
type callerDesk struct {
	*paymentDesk
	caller string
}

// ForceBreaker implements paymentv1.ProviderServiceServer.
func (d *callerDesk) ForceBreaker(ctx context.Context, r *paymentv1.ForceBreakerRequest) (*paymentv1.ForceBreakerResponse, error) {
	d.caller = rpc.Caller(ctx)
	return d.paymentDesk.ForceBreaker(ctx, r)
}

// RefundPayment implements paymentv1.PaymentServiceServer.
func (d *callerDesk) RefundPayment(ctx context.Context, r *paymentv1.RefundPaymentRequest) (*paymentv1.RefundPaymentResponse, error) {
	d.caller = rpc.Caller(ctx)
	return d.paymentDesk.RefundPayment(ctx, r)
}

func TestCaller_IsWhoDecides(t *testing.T) {
	t.Parallel()
	d := &callerDesk{paymentDesk: &paymentDesk{provider: &paymentv1.Provider{Name: "stripe"}, payment: aPayment()}}
	d.addr = serveDesk(t, d)
	const breaker = "payment breaker open --reason x --yes"
	for _, test := range []struct{ line, environ, want string }{
		{breaker, "", "cli"},
		{breaker, "ada", "ada"},
		{breaker + " --as grace", "ada", "grace"},
		{breaker + " --as grace@example.org", "", "grace@example.org"},
		// Whoever asks again under a key asks for the same.
		{"payment refund pay_1 --reason x --yes --key refund/1", "ada", "cli"},
	} {
		environ := []string{envAddr + "=" + d.addr, envCaller + "=" + test.environ}
		if code, _, stderr := call(t, environ, strings.Fields(test.line)...); code != exitOK || d.caller != test.want {
			t.Errorf("%s as $%q: exit %d, called by %q, want %q: %s", test.line, test.environ, code, d.caller, test.want, stderr)
		}
	}
}

func TestCaller_HasAName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zoë", " ada", "ada ", "a\nb", strings.Repeat("x", maxCaller+1), "\x7f"} {
		for _, args := range [][]string{{"--as", name}, nil} {
			code, _, stderr := call(t, []string{envCaller + "=" + name, envAddr + "=127.0.0.1:1"}, append([]string{"payment", "breaker", "open", "--reason", "x"}, args...)...)
			if code != exitUsage || !strings.Contains(stderr, envCaller) {
				t.Errorf("%q: exit %d, %s", name, code, stderr)
			}
		}
	}
	if code, _, stderr := call(t, nil, "payment", "refund", "pay_1", "--reason", "x", "--as", "ada"); code != exitUsage || !strings.Contains(stderr, "unknown flag: --as") {
		t.Errorf("as somebody, under a key: exit %d, %s", code, stderr)
	}
}
