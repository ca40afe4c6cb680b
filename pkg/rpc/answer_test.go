package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

const secret = "dial tcp 10.0.0.5:5432: password=hunter2"

// logged is what the log has of it.
const logged = "dial tcp 10.0.0.5:5432: password=[secret]"

// answering is a server whose GetStock ends with err.
func answering(t *testing.T, err error) fixture {
	t.Helper()
	return setup(t, &warehouse{getStock: func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		return nil, err
	}}, &orders{})
}

func (f fixture) getStock() error {
	f.Helper()
	_, err := f.inventory().GetStock(f.Context(), &inventoryv1.GetStockRequest{Sku: "A1"})
	return err
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if text := status.Convert(err).String(); strings.Contains(text, "hunter2") || strings.Contains(text, "10.0.0.5") {
		t.Errorf("the client is told %q", text)
	}
}

func TestServer_TellsTheClientNothingOfItsInside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want rpcerr.Reason
	}{
		"an ordinary error":           {errors.New(secret), rpcerr.Internal},
		"somebody else's status":      {status.Error(codes.Unavailable, secret), rpcerr.Internal},
		"the same, wrapped":           {fmt.Errorf("asking: %w", status.Error(codes.NotFound, secret)), rpcerr.Internal},
		"a refusal wrapped in text":   {fmt.Errorf("%s: %w", secret, rpcerr.New(rpcerr.SKUUnknown, "no such SKU")), rpcerr.SKUUnknown},
		"another service's refusal":   {rpcerr.New(rpcerr.SKUUnknown, "no such SKU").GRPCStatus().Err(), rpcerr.SKUUnknown},
		"a deadline of its own":       {fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), rpcerr.DeadlineExceeded},
		"a cancellation of its own":   {fmt.Errorf("%s: %w", secret, context.Canceled), rpcerr.Cancelled},
		"another service's deadline":  {status.Error(codes.DeadlineExceeded, secret), rpcerr.DeadlineExceeded},
		"a destination that was down": {fmt.Errorf("%w: %s", rpcerr.New(rpcerr.DestinationDown, "payment is down"), secret), rpcerr.DestinationDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := answering(t, test.err)
			err := f.getStock()
			rpcerrtest.Want(t, err, test.want)
			wantNoSecret(t, err)
		})
	}
}

func TestServer_LogsTheInternalErrorItHides(t *testing.T) {
	t.Parallel()
	f := answering(t, errors.New(secret))
	rpcerrtest.Want(t, f.getStock(), rpcerr.Internal)
	line := f.log.Find("call ended with an internal error")
	if line == nil {
		t.Fatal("nothing was logged")
	}
	if line["error"] != logged || line["method"] != inventoryv1.InventoryService_GetStock_FullMethodName || line["trace_id"] == nil {
		t.Errorf("got %v", line)
	}
}

func TestServer_SurvivesAPanicAndKeepsItsText(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{getStock: func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		panic(secret)
	}}, &orders{})
	for range 2 {
		err := f.getStock()
		rpcerrtest.Want(t, err, rpcerr.Internal)
		wantNoSecret(t, err)
	}
	line := f.log.Find("panic in handler")
	if line == nil {
		t.Fatal("nothing was logged")
	}
	if stack, _ := line["stack"].(string); line["panic"] != logged || !strings.Contains(stack, "answer_test.go") {
		t.Errorf("got %v", line)
	}
}

func TestServer_SaysOfAMethodThatIsNotThereThatItIsNotThere(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{}, &orders{})
	_, err := f.inventory().ListStock(t.Context(), &inventoryv1.ListStockRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v, want Unimplemented", err)
	}
}

func TestServer_TellsTheHandlerWhoCalls(t *testing.T) {
	t.Parallel()
	var caller string
	f := setup(t, &warehouse{getStock: func(ctx context.Context, _ *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		caller = rpc.Caller(ctx)
		return &inventoryv1.GetStockResponse{}, nil
	}}, &orders{})
	for name, test := range map[string]struct {
		claims []string
		want   string
	}{
		"none":             {nil, "anonymous"},
		"one":              {[]string{"shop"}, "shop"},
		"two":              {[]string{"shop", "bank"}, "anonymous"},
		"an empty one":     {[]string{""}, "anonymous"},
		"an unusable long": {[]string{strings.Repeat("x", 129)}, "anonymous"},
	} {
		t.Run(name, func(t *testing.T) {
			client := inventoryv1.NewInventoryServiceClient(f.stranger())
			if _, err := client.GetStock(claim(t.Context(), test.claims), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
				t.Fatal(err)
			}
			if caller != test.want {
				t.Errorf("got %q, want %q", caller, test.want)
			}
		})
	}
	if err := f.getStock(); err != nil || caller != "orchestrator" {
		t.Errorf("a client of the system: got %q, %v; want orchestrator", caller, err)
	}
}
