package payment

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// instant is an account whose provider is in the process, and says yes at once.
type instant struct {
	provider.Account
	done *atomic.Int64
}

func (a instant) Do(context.Context, provider.Request) provider.Outcome {
	return provider.Outcome{Kind: provider.Succeeded, ID: fmt.Sprintf("now_%d", a.done.Add(1))}
}

// bench is a service whose database syncs every commit.
type bench struct {
	server   *local.Server
	payments *payments
	client   paymentv1.PaymentServiceClient
}

func startBench(b *testing.B, overHTTP bool) bench {
	b.Helper()
	psp, err := pspsim.Start(b.Context(), pspsim.Options{})
	if err != nil {
		b.Fatal(err)
	}
	server := pgtest.Durable(b)
	in := &bundle{dsn: pgtest.DurableDSN(b, server, "payment", Migrations()...), psp: psp}
	p := servicetest.Start(b, in.service(func(*service.Env) {}))
	if !overHTTP {
		in.payments.provider = instant{in.payments.provider, &atomic.Int64{}}
	}
	return bench{server, in.payments, paymentv1.NewPaymentServiceClient(servicetest.Dial(b, p, "bench"))}
}

// BenchmarkCharge tells charges per second, how long each takes, and its commits and bytes of WAL; with the provider's
// simulator over HTTP and with a provider that answers at once, asked over gRPC and without.
func BenchmarkCharge(b *testing.B) {
	for _, overHTTP := range []bool{false, true} {
		for _, overGRPC := range []bool{false, true} {
			for _, inFlight := range []int{1, 64, 512} {
				b.Run(fmt.Sprintf("http=%t/grpc=%t/in_flight=%d", overHTTP, overGRPC, inFlight), func(b *testing.B) {
					on := startBench(b, overHTTP)
					benchtest.Load(b, on.server, "charge", inFlight, func(n int64) (time.Duration, error) {
						begun := time.Now()
						err := on.charge(b.Context(), fmt.Sprintf("bench-charge-%08d", n), overGRPC)
						return time.Since(begun), err
					})
				})
			}
		}
	}
}

func (on bench) charge(ctx context.Context, key string, overGRPC bool) error {
	if overGRPC {
		_, err := on.client.Charge(ctx, toCharge(key, "pm_ok"))
		return err
	}
	return on.payments.errands[methodCharge].Do(ctx, &command{
		request: request{caller: "bench", key: key, token: uuid.New()}, method: methodCharge,
		amount: money.Amount{Currency: "GBP", Minor: 1250}, paymentMethod: "pm_ok", customerID: "cus_1", reference: "ord_1",
	}).Err
}

// BenchmarkAuthorizeCapture is the same for an authorization and its capture, over gRPC.
func BenchmarkAuthorizeCapture(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) {
			on := startBench(b, false)
			benchtest.Load(b, on.server, "pair", inFlight, func(n int64) (time.Duration, error) {
				begun, key := time.Now(), fmt.Sprintf("bench-authorize-%08d", n)
				if _, err := on.client.Authorize(b.Context(), toAuthorize(key, gbp(1250))); err != nil {
					return 0, err
				}
				capture := toCapture(fmt.Sprintf("bench-capture-%08d", n), nil)
				capture.Authorization = &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: key}
				_, err := on.client.Capture(b.Context(), capture)
				return time.Since(begun), err
			})
		})
	}
}
