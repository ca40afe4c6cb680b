package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/telemetry"
)

func getStock(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := inventoryv1.NewInventoryServiceClient(conn).GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"})
	return err
}

func TestClient_SaysThatNothingWasSentWhereNobodyListens(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{}, &orders{})
	addr := nettest.FreeAddr(t)
	conn := f.dial(func(cfg *rpc.ClientConfig) { cfg.Target = addr })
	for range 2 {
		err := getStock(t.Context(), conn)
		got := rpcerrtest.Want(t, err, rpcerr.DestinationDown)
		if got.RetryAfter <= 0 || !strings.Contains(got.Message, "inventory") {
			t.Errorf("got %+v; want the destination's name and when to ask again", got)
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("got code %s", status.Code(err))
		}
		if told := rpcerr.ToStatus(err).String(); strings.Contains(told, addr) || !strings.Contains(err.Error(), addr) {
			t.Errorf("the address is for the log and not for clients: told %q, logged %q", told, err)
		}
	}
}

func TestClient_LeavesAnAnswerAsItIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer error
		want   rpcerr.Reason
	}{
		"UNAVAILABLE about something else":      {rpcerr.New(rpcerr.CarrierOutcomeUnknown, "lost"), rpcerr.CarrierOutcomeUnknown},
		"DESTINATION_DOWN about somebody else":  {rpcerr.New(rpcerr.DestinationDown, "payment is down"), rpcerr.DestinationDown},
		"a refusal":                             {rpcerr.New(rpcerr.InsufficientStock, "none left"), rpcerr.InsufficientStock},
		"UNAVAILABLE because it is going to be": {rpcerr.New(rpcerr.ShuttingDown, "stopping"), rpcerr.ShuttingDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := answering(t, test.answer)
			got := rpcerrtest.Want(t, f.getStock(), test.want)
			if want, _ := rpcerr.FromError(test.answer); got.Message != want.Message {
				t.Errorf("got message %q, want %q", got.Message, want.Message)
			}
		})
	}
}

// A proxy or an older server answers without a reason. It may have passed the request on.
func TestClient_TakesABareUnavailableForUnknown(t *testing.T) {
	t.Parallel()
	plain := grpc.NewServer(grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Unavailable, "upstream reset")
	}))
	inventoryv1.RegisterInventoryServiceServer(plain, &warehouse{})
	f := fixture{T: t, addr: nettest.ServeGRPC(t, plain), tel: newTelemetry(t)}
	err := f.getStock()
	if _, ours := rpcerr.FromError(err); ours || status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE without a reason", err)
	}
}

func TestClient_TakesALostConnectionForUnknown(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	f := setup(t, &warehouse{getStock: func(ctx context.Context, _ *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		close(arrived)
		<-ctx.Done()
		return nil, ctx.Err()
	}}, &orders{})
	outcome := make(chan error, 1)
	conn := f.dial(nil)
	go func() { outcome <- getStock(t.Context(), conn) }()
	<-arrived
	f.server.Stop() // cuts the connection
	err := <-outcome
	if _, ours := rpcerr.FromError(err); ours || status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE without a reason", err)
	}
	rpcerrtest.Want(t, getStock(t.Context(), conn), rpcerr.DestinationDown)
}

func TestClient_SendsAMutationOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	f := setup(t, &warehouse{reserve: func(context.Context, *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
		calls++
		return nil, rpcerr.New(rpcerr.CarrierOutcomeUnknown, "lost")
	}}, &orders{})
	_, err := f.inventory().Reserve(t.Context(), reserveRequest())
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	if calls != 1 {
		t.Errorf("sent %d times, want once", calls)
	}
}

func TestClient_FailsFastOnceTheDestinationIsKnownToBeDown(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{}, &orders{})
	breaker, err := rpc.NewBreaker("inventory", rpc.BreakerConfig{MinimumCalls: 3})
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	addr := nettest.FreeAddr(t)
	conn := f.dial(func(cfg *rpc.ClientConfig) {
		cfg.Target, cfg.Breaker = addr, breaker
		cfg.Options = append(cfg.Options, grpc.WithChainUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				attempts++
				return invoke(ctx, method, req, reply, cc, opts...)
			}))
	})
	for range 10 {
		rpcerrtest.Want(t, getStock(t.Context(), conn), rpcerr.DestinationDown)
	}
	if attempts != 3 {
		t.Errorf("%d calls were attempted, want 3", attempts)
	}
}

func TestClient_CarriesTraceAndSagaToTheServersLog(t *testing.T) {
	t.Parallel()
	f := answering(t, errors.New(secret))
	ctx, span := f.tel.Tracers("client").Tracer("test").Start(telemetry.WithSaga(t.Context(), "sag_1"), "place")
	defer span.End()
	rpcerrtest.Want(t, getStock(ctx, f.dial(nil)), rpcerr.Internal)
	line := f.log.Find("call ended with an internal error")
	if line["saga_id"] != "sag_1" || line["trace_id"] != span.SpanContext().TraceID().String() {
		t.Errorf("got %v, want saga sag_1 and trace %s", line, span.SpanContext().TraceID())
	}
}

func TestDial_RefusesATargetThatIsNone(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	_, err := rpc.Dial(rpc.ClientConfig{Destination: "inventory", Target: "%zz", Telemetry: tel, Tracers: tel.Tracers("client")})
	if err == nil || !strings.Contains(err.Error(), "inventory") {
		t.Errorf("got %v, want an error that names the destination", err)
	}
}
