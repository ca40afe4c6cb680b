package rpc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// declared is the default deadline of GetStock in its proto.
const declared = 5 * time.Second

func claim(ctx context.Context, callers []string) context.Context {
	for _, c := range callers {
		ctx = metadata.AppendToOutgoingContext(ctx, "tieout-caller", c)
	}
	return ctx
}

// arrival is a call as a handler saw it.
type arrival struct {
	at       time.Time
	deadline time.Time
	bounded  bool
}

// setupArrivals is a server that tells of each GetStock when it came and how long it may take.
func setupArrivals(t *testing.T) (fixture, *arrival) {
	t.Helper()
	seen := &arrival{}
	return setup(t, &warehouse{getStock: func(ctx context.Context, _ *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		seen.at = time.Now()
		seen.deadline, seen.bounded = ctx.Deadline()
		return &inventoryv1.GetStockResponse{}, nil
	}}, &orders{}), seen
}

// want says how long the handler should have been given by a call that was sent at a time. What the call took on its
// way may be missing or not: the deadline travels as the time that is left.
func (a *arrival) want(t *testing.T, sent time.Time, given time.Duration) {
	t.Helper()
	early, late := sent.Add(given-time.Millisecond), a.at.Add(given+time.Millisecond)
	if !a.bounded || a.deadline.Before(early) || a.deadline.After(late) {
		t.Errorf("the handler has until %v (bounded %v), want %v to %v", a.deadline, a.bounded, early, late)
	}
}

func TestServer_KeepsTwentyMillisecondsOfTheDeadline(t *testing.T) {
	t.Parallel()
	f, seen := setupArrivals(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sent := time.Now()
	if _, err := f.inventory().GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Fatal(err)
	}
	seen.want(t, sent, time.Minute-20*time.Millisecond)
}

func TestServer_GivesACallWithoutADeadlineTheDeclaredOne(t *testing.T) {
	t.Parallel()
	f, seen := setupArrivals(t)
	sent := time.Now()
	client := inventoryv1.NewInventoryServiceClient(f.stranger())
	if _, err := client.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Fatal(err)
	}
	seen.want(t, sent, declared-20*time.Millisecond)
}

// A handler learns of a hopeless call only by its absence, so a client is used that waits for ever.
func TestServer_RefusesACallThatHasNoTimeLeft(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	payload, err := proto.Marshal(&inventoryv1.GetStockRequest{Sku: "A1"})
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0, 0, 0, 0, byte(len(payload))}, payload...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+f.addr+inventoryv1.InventoryService_GetStock_FullMethodName, bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	r.Header.Set("Grpc-Timeout", "19m") // milliseconds
	var cleartext http.Protocols
	cleartext.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &cleartext}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	encoded, err := base64.RawStdEncoding.DecodeString(resp.Header.Get("Grpc-Status-Details-Bin"))
	if err != nil {
		t.Fatal(err)
	}
	answered := &spb.Status{}
	if err := proto.Unmarshal(encoded, answered); err != nil {
		t.Fatal(err)
	}
	rpcerrtest.Want(t, status.FromProto(answered).Err(), rpcerr.DeadlineTooShort)
}

func TestClient_GivesACallWithoutADeadlineTheDeclaredOne(t *testing.T) {
	t.Parallel()
	f, _ := setupArrivals(t)
	var given time.Duration
	observe := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		deadline, _ := ctx.Deadline()
		given = time.Until(deadline)
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	client := inventoryv1.NewInventoryServiceClient(f.dial(func(cfg *rpc.ClientConfig) {
		cfg.Options = append(cfg.Options, grpc.WithChainUnaryInterceptor(observe))
	}))
	if _, err := client.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Fatal(err)
	}
	if given <= 0 || given > declared {
		t.Errorf("got %v, want up to %v", given, declared)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := client.GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Fatal(err)
	}
	if given <= declared {
		t.Errorf("with a deadline of an hour: got %v", given)
	}
}
