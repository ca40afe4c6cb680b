package rpc_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/telemetry"
)

// setupAdmission is a server that lets at most so many calls in, and has quotas.
func setupAdmission(t *testing.T, limit int, w *warehouse, rules ...quota.Rule) (fixture, *shed.Gate) {
	t.Helper()
	f := fixture{T: t, log: &logtest.Book{}, tel: newTelemetry(t)}
	gate, err := shed.NewGate(shed.Config{Limit: shed.LimitConfig{Min: limit, Initial: limit, Max: limit}})
	if err != nil {
		t.Fatal(err)
	}
	quotas, err := quota.New(quota.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := quotas.Set(quota.Config{Rules: rules}); err != nil {
		t.Fatal(err)
	}
	f.server, err = rpc.NewServer(rpc.ServerConfig{
		Log: telemetry.NewLogger(f.log, slog.LevelDebug), Telemetry: f.tel, Tracers: f.tel.Tracers("test"), Gate: gate, Quotas: quotas,
	})
	if err != nil {
		t.Fatal(err)
	}
	inventoryv1.RegisterInventoryServiceServer(f.server, w)
	orderv1.RegisterOrderServiceServer(f.server, &orders{watch: func(_ *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
		if err := s.Send(&orderv1.WatchOrderResponse{}); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}})
	f.addr = nettest.ServeGRPC(t, f.server.Server)
	return f, gate
}

// fill takes all the room of a gate until the test ends.
func fill(t *testing.T, gate *shed.Gate, class shed.Class) (leave func()) {
	t.Helper()
	var leaves []func()
	for {
		leave, err := gate.Enter(t.Context(), shed.Call{Class: class})
		if err != nil {
			return func() {
				for _, l := range leaves {
					l()
				}
			}
		}
		leaves = append(leaves, leave)
	}
}

func answerStock(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	return &inventoryv1.GetStockResponse{}, nil
}

func answerReserve(context.Context, *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	return &inventoryv1.ReserveResponse{}, nil
}

func someReserve() *inventoryv1.ReserveRequest {
	return &inventoryv1.ReserveRequest{
		IdempotencyKey: "saga/1/reserve", Reference: "ord_1", Lines: []*inventoryv1.StockLine{{Sku: "A1", Quantity: 1}},
	}
}

func wantPushback(t *testing.T, trailer metadata.MD, e *rpcerr.Error) {
	t.Helper()
	if got, want := trailer.Get("grpc-retry-pushback-ms"), strconv.FormatInt(e.RetryAfter.Milliseconds(), 10); len(got) != 1 || got[0] != want || e.RetryAfter <= 0 {
		t.Errorf("the trailer says %v, RetryInfo %v", got, e.RetryAfter)
	}
}

func TestServer_RefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 10, &warehouse{getStock: answerStock, reserve: answerReserve})
	leave := fill(t, gate, shed.New)
	var trailer metadata.MD
	_, err := f.inventory().GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}, grpc.Trailer(&trailer))
	wantPushback(t, trailer, rpcerrtest.Want(t, err, rpcerr.Overloaded))
	if _, err := f.inventory().Reserve(t.Context(), someReserve()); err != nil {
		t.Errorf("work that was started: %v", err)
	}
	leave()
	if _, err := f.inventory().GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// In a flood, refusals are cheaper and say the same, but for the trailer.
func TestServer_RefusesAFlood(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 100, &warehouse{getStock: answerStock, reserve: answerReserve})
	gate.Before(shed.NewBacklog(shed.BacklogConfig{
		Name: "orders", UnderWay: func() int { return 10 }, Target: time.Second, Limit: shed.LimitConfig{Min: 10, Initial: 10, Max: 10},
	}))
	client := f.inventory()
	lowered := metadata.AppendToOutgoingContext(t.Context(), "x-request-priority", "new")
	var curt atomic.Int64
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			for range 200 {
				var trailer metadata.MD
				_, err := client.Reserve(lowered, someReserve(), grpc.Trailer(&trailer))
				if e, ok := rpcerr.FromError(err); !ok || e.Reason != rpcerr.Overloaded || e.RetryAfter <= 0 {
					t.Errorf("got %v, want OVERLOADED with RetryInfo", err)
					return
				}
				if len(trailer.Get("grpc-retry-pushback-ms")) == 0 {
					curt.Add(1)
				}
			}
		})
	}
	callers.Wait()
	if n := curt.Load(); n == 0 || n > 3900 {
		t.Errorf("%d of 4000 refusals came without the trailer, want those behind the first 100 of a second", n)
	}
	if _, err := client.Reserve(t.Context(), someReserve()); err != nil {
		t.Errorf("work that was started: %v", err)
	}
}

// While new work is refused, so are reads, which are worth less; but not those of who operates the system.
func TestServer_LetsOperatorsLookWhileNewWorkIsRefused(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 100, &warehouse{getStock: answerStock})
	gate.Before(shed.NewBacklog(shed.BacklogConfig{
		Name: "orders", UnderWay: func() int { return 10 }, Target: time.Second, Limit: shed.LimitConfig{Min: 10, Initial: 10, Max: 10},
	}))
	_, err := f.inventory().GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"})
	rpcerrtest.Want(t, err, rpcerr.Overloaded)
	_, err = f.inventory().BatchGetReservation(t.Context(), &inventoryv1.BatchGetReservationRequest{IdempotencyKeys: []string{"saga/1/reserve"}})
	if status.Code(err) != codes.Unimplemented { // this warehouse has no such method; it was asked
		t.Errorf("an operator's read: %v", err)
	}
}

// A request that is refused is not read: one that could not be decoded is refused like any other.
func TestServer_RefusesBeforeItDecodes(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 10, &warehouse{getStock: answerStock})
	fill(t, gate, shed.New)
	garbage, answer := []byte{0xff, 0xff, 0xff}, []byte(nil)
	var codec encoding.CodecV2 = passThrough{}
	err := f.stranger().Invoke(t.Context(), inventoryv1.InventoryService_GetStock_FullMethodName, &garbage, &answer, grpc.ForceCodecV2(codec))
	rpcerrtest.Want(t, err, rpcerr.Overloaded)
}

func TestServer_TakesACallersWordForLessOnly(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 100, &warehouse{getStock: answerStock, reserve: answerReserve})
	fill(t, gate, shed.Batch)
	with := func(class string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "x-request-priority", class)
	}
	getStock := func(class string) error {
		_, err := f.inventory().GetStock(with(class), &inventoryv1.GetStockRequest{Sku: "A1"})
		return err
	}
	if err := getStock("read"); err != nil {
		t.Errorf("a read: %v", err)
	}
	rpcerrtest.Want(t, getStock("batch"), rpcerr.Overloaded)
	if err := getStock("at once"); err != nil {
		t.Errorf("a class that there is not: %v", err)
	}
	fill(t, gate, shed.New)
	rpcerrtest.Want(t, getStock("finish"), rpcerr.Overloaded)
	// Step has used up what is its own; only finish has something left.
	fill(t, gate, shed.Step)
	if _, err := f.inventory().Reserve(with("finish"), someReserve()); err != nil {
		t.Errorf("the system, which is believed that a step finishes something: %v", err)
	}
	if _, err := f.inventory().Reserve(with("new"), someReserve()); !rpcerr.Is(err, rpcerr.Overloaded) {
		t.Errorf("a step that is lowered: got %v, want OVERLOADED", err)
	}
}

func TestServer_AdmitsAStreamAndDoesNotCountIt(t *testing.T) {
	t.Parallel()
	f, gate := setupAdmission(t, 4, &warehouse{getStock: answerStock})
	client := orderv1.NewOrderServiceClient(f.dial(nil))
	watch := func(trailer *metadata.MD) error {
		stream, err := client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: "ord_019a0000-0000-7000-8000-000000000000"}, grpc.Trailer(trailer))
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	for range 20 {
		if err := watch(&metadata.MD{}); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, gate, shed.New)
	var trailer metadata.MD
	refusal := rpcerrtest.Want(t, watch(&trailer), rpcerr.Overloaded)
	wantPushback(t, trailer, refusal)
}

func TestServer_HoldsCallersToTheirQuota(t *testing.T) {
	t.Parallel()
	f, _ := setupAdmission(t, 100, &warehouse{getStock: answerStock, reserve: answerReserve},
		quota.Rule{Caller: "*", Class: "read", Rate: 0.001, Burst: 3})
	client := f.inventory()
	for range 3 {
		if _, err := client.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
			t.Fatal(err)
		}
	}
	var trailer metadata.MD
	_, err := client.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}, grpc.Trailer(&trailer))
	e := rpcerrtest.Want(t, err, rpcerr.QuotaExceeded, "caller:orchestrator/class:read")
	wantPushback(t, trailer, e)
	if e.RetryAfter < 900*time.Second || e.RetryAfter > 1000*time.Second {
		t.Errorf("told to come back after %v, want a thousand seconds", e.RetryAfter)
	}
	// Neither another caller nor another class, nor a call that only the system makes, is held to it.
	stranger := inventoryv1.NewInventoryServiceClient(f.stranger())
	if _, err := stranger.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Errorf("another caller: %v", err)
	}
	for range 10 {
		if _, err := client.Reserve(t.Context(), someReserve()); err != nil {
			t.Fatalf("a call of the system: %v", err)
		}
	}
}

func TestClient_SaysWhatTheCallIsWorth(t *testing.T) {
	t.Parallel()
	var seen []string
	f := setup(t, &warehouse{getStock: func(ctx context.Context, _ *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen = md.Get("x-request-priority")
		return &inventoryv1.GetStockResponse{}, nil
	}}, &orders{})
	for class, want := range map[shed.Class]int{shed.Finish: 1, shed.Batch: 1, 0: 0} {
		ctx := t.Context()
		if class != 0 {
			ctx = shed.WithClass(ctx, class)
		}
		if _, err := f.inventory().GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
			t.Fatal(err)
		}
		if len(seen) != want || want == 1 && seen[0] != class.String() {
			t.Errorf("class %q arrived as %v", class, seen)
		}
	}
}

func TestClient_SendsNothingWhenNoTimeIsLeft(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	ctx, cancel := context.WithTimeout(t.Context(), 19*time.Millisecond)
	defer cancel()
	_, err := f.inventory().GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"})
	rpcerrtest.Want(t, err, rpcerr.DeadlineTooShort)
}
