package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// participants are inventory, payment and shipment as working fakes: they keep what took effect under each key,
// answer it again, and accept the compensation of what they never saw. Trouble, when set, is asked before a call
// takes effect and after; an error of it is the call's, and after the effect a lost answer. What no orchestrator may
// ever ask – a second capture of an authorization, one of nothing, a void of what was captured – fails the test.
type participants struct {
	inventoryv1.UnimplementedInventoryServiceServer
	paymentv1.UnimplementedPaymentServiceServer
	shipmentv1.UnimplementedShipmentServiceServer

	t       testing.TB
	trouble func(call, key string, nth int, applied bool) error

	mu      sync.Mutex
	calls   []string          // every call as it came
	counts  map[string]int    // calls by name and key
	effects map[string]string // key → executed | undone
	taken   map[string]string // key of an authorization → that of its capture
	batches map[string][]int  // how many requests each call carried, by call
	classes map[string]int    // how many calls came, by call and class
}

func newParticipants(t testing.TB) *participants {
	return &participants{t: t, counts: map[string]int{}, effects: map[string]string{}, taken: map[string]string{}, classes: map[string]int{}}
}

// services are the fakes as services of a process.
func (p *participants) services() []service.Service {
	run := func(register func(grpc.ServiceRegistrar)) func(context.Context, *service.Env) error {
		return func(_ context.Context, env *service.Env) error { register(env.GRPC); return nil }
	}
	return []service.Service{
		{Name: "inventory", Run: run(func(r grpc.ServiceRegistrar) { inventoryv1.RegisterInventoryServiceServer(r, p) })},
		{Name: "payment", Run: run(func(r grpc.ServiceRegistrar) { paymentv1.RegisterPaymentServiceServer(r, p) })},
		{Name: "shipment", Run: run(func(r grpc.ServiceRegistrar) { shipmentv1.RegisterShipmentServiceServer(r, p) })},
	}
}

// with are the fakes and an orchestrator that knows some versions of the order saga; it is in *o once it is wired. The
// fakes keep nothing, and share its database.
func (p *participants) with(dsn string, o **orchestrator, orders ...saga.Definition) []service.Service {
	all := append(p.services(), service.Service{
		Name: "orchestrator", Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) (err error) {
			*o, err = wire(ctx, env, DefaultConfig(), orders...)
			return err
		},
	})
	for i := range all {
		all[i].Postgres = service.Postgres{DSN: dsn, MaxConns: 24}
	}
	return all
}

// call is a call that leads to an effect, if it may: allowed, where there is one, is asked with mu held.
func (p *participants) call(name, key, effect string, allowed ...func() error) error {
	p.mu.Lock()
	p.calls = append(p.calls, name)
	p.counts[name+key]++
	nth := p.counts[name+key]
	p.mu.Unlock()
	if p.trouble != nil {
		if err := p.trouble(name, key, nth, false); err != nil {
			return err
		}
	}
	if err := p.take(key, effect, allowed); err != nil {
		return err
	}
	if p.trouble != nil {
		return p.trouble(name, key, nth, true)
	}
	return nil
}

func (p *participants) take(key, effect string, allowed []func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ask := range allowed {
		if err := ask(); err != nil {
			return err
		}
	}
	if p.effects[key] == "undone" && effect == "executed" {
		return rpcerr.New(rpcerr.StepTombstoned, "%s was compensated", key)
	}
	p.effects[key] = effect
	return nil
}

// seen gives the calls so far.
func (p *participants) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.calls...)
}

// carried gives how many requests each call of a kind carried.
func (p *participants) carried(call string) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.batches[call])
}

// forget forgets what was called.
func (p *participants) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.batches = nil, nil
	clear(p.counts)
	clear(p.effects)
	clear(p.taken)
}

// effect tells what became of a step of a saga.
func (p *participants) effect(sagaID, step string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.effects[fmt.Sprintf("saga/%s/%s", sagaID, step)]
}

func (p *participants) BatchGetStock(context.Context, *inventoryv1.BatchGetStockRequest) (*inventoryv1.BatchGetStockResponse, error) {
	return &inventoryv1.BatchGetStockResponse{}, nil
}

// each answers the requests of a batch one by one, at once.
func each[Q rpc.Item, A any, R any](ctx context.Context, p *participants, name string, requests []Q, one func(context.Context, Q) (A, error), result func(rpc.Answered[A]) R) ([]R, error) {
	p.mu.Lock()
	if p.batches == nil {
		p.batches = map[string][]int{}
	}
	p.batches[name] = append(p.batches[name], len(requests))
	p.classes[name+" "+shed.ClassOf(ctx).String()]++
	p.mu.Unlock()
	answers := rpc.Batch(ctx, requests, func(ctx context.Context, good []Q) []rpc.Answered[A] {
		out := make([]rpc.Answered[A], len(good))
		var all sync.WaitGroup
		for i, r := range good {
			all.Go(func() { out[i].Response, out[i].Err = one(ctx, r) })
		}
		all.Wait()
		return out
	})
	out := make([]R, len(answers))
	for i, a := range answers {
		out[i] = result(a)
	}
	return out, ctx.Err()
}

func (p *participants) BatchReserve(ctx context.Context, r *inventoryv1.BatchReserveRequest) (*inventoryv1.BatchReserveResponse, error) {
	results, err := each(ctx, p, callReserve, r.GetRequests(), func(_ context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
		return &inventoryv1.ReserveResponse{Reservation: &inventoryv1.Reservation{ReservationId: "res_of " + r.GetReference()}},
			p.call(callReserve, r.GetIdempotencyKey(), "executed")
	}, func(a rpc.Answered[*inventoryv1.ReserveResponse]) *inventoryv1.BatchReserveResponse_Result {
		return &inventoryv1.BatchReserveResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &inventoryv1.BatchReserveResponse{Results: results}, err
}

func (p *participants) BatchRelease(ctx context.Context, r *inventoryv1.BatchReleaseRequest) (*inventoryv1.BatchReleaseResponse, error) {
	results, err := each(ctx, p, callRelease, r.GetRequests(), func(_ context.Context, r *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
		return &inventoryv1.ReleaseResponse{}, p.call(callRelease, r.GetIdempotencyKey(), "undone")
	}, func(a rpc.Answered[*inventoryv1.ReleaseResponse]) *inventoryv1.BatchReleaseResponse_Result {
		return &inventoryv1.BatchReleaseResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &inventoryv1.BatchReleaseResponse{Results: results}, err
}

func (p *participants) BatchCommit(ctx context.Context, r *inventoryv1.BatchCommitRequest) (*inventoryv1.BatchCommitResponse, error) {
	results, err := each(ctx, p, callCommit, r.GetRequests(), func(_ context.Context, r *inventoryv1.CommitRequest) (*inventoryv1.CommitResponse, error) {
		return &inventoryv1.CommitResponse{}, p.call(callCommit, r.GetIdempotencyKey(), "executed")
	}, func(a rpc.Answered[*inventoryv1.CommitResponse]) *inventoryv1.BatchCommitResponse_Result {
		return &inventoryv1.BatchCommitResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &inventoryv1.BatchCommitResponse{Results: results}, err
}

func (p *participants) BatchCharge(ctx context.Context, r *paymentv1.BatchChargeRequest) (*paymentv1.BatchChargeResponse, error) {
	results, err := each(ctx, p, callCharge, r.GetRequests(), func(_ context.Context, r *paymentv1.ChargeRequest) (*paymentv1.ChargeResponse, error) {
		return &paymentv1.ChargeResponse{Payment: &paymentv1.Payment{PaymentId: "pay_of " + r.GetReference()}}, p.call(callCharge, r.GetIdempotencyKey(), "executed")
	}, func(a rpc.Answered[*paymentv1.ChargeResponse]) *paymentv1.BatchChargeResponse_Result {
		return &paymentv1.BatchChargeResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &paymentv1.BatchChargeResponse{Results: results}, err
}

func (p *participants) BatchRefund(ctx context.Context, r *paymentv1.BatchRefundRequest) (*paymentv1.BatchRefundResponse, error) {
	results, err := each(ctx, p, callRefund, r.GetRequests(), func(_ context.Context, r *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
		return &paymentv1.RefundResponse{}, p.call(callRefund, r.GetIdempotencyKey(), "undone")
	}, func(a rpc.Answered[*paymentv1.RefundResponse]) *paymentv1.BatchRefundResponse_Result {
		return &paymentv1.BatchRefundResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &paymentv1.BatchRefundResponse{Results: results}, err
}

func (p *participants) BatchAuthorize(ctx context.Context, r *paymentv1.BatchAuthorizeRequest) (*paymentv1.BatchAuthorizeResponse, error) {
	results, err := each(ctx, p, callAuthorize, r.GetRequests(), func(_ context.Context, r *paymentv1.AuthorizeRequest) (*paymentv1.AuthorizeResponse, error) {
		return &paymentv1.AuthorizeResponse{}, p.call(callAuthorize, r.GetIdempotencyKey(), "executed")
	}, func(a rpc.Answered[*paymentv1.AuthorizeResponse]) *paymentv1.BatchAuthorizeResponse_Result {
		return &paymentv1.BatchAuthorizeResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &paymentv1.BatchAuthorizeResponse{Results: results}, err
}

func (p *participants) BatchCapture(ctx context.Context, r *paymentv1.BatchCaptureRequest) (*paymentv1.BatchCaptureResponse, error) {
	results, err := each(ctx, p, callCapture, r.GetRequests(), func(_ context.Context, r *paymentv1.CaptureRequest) (*paymentv1.CaptureResponse, error) {
		key, of := r.GetIdempotencyKey(), r.GetAuthorizationKey()
		return &paymentv1.CaptureResponse{}, p.call(callCapture, key, "executed", func() error {
			if p.effects[of] != "executed" || p.taken[of] != "" && p.taken[of] != key || r.GetAmount() != nil {
				p.t.Errorf("%s captures %s of %q, which is %q and captured by %q", key, r.GetAmount(), of, p.effects[of], p.taken[of])
				return rpcerr.New(rpcerr.PaymentStateRefused, "there is nothing to capture under %q", of)
			}
			p.taken[of] = key
			return nil
		})
	}, func(a rpc.Answered[*paymentv1.CaptureResponse]) *paymentv1.BatchCaptureResponse_Result {
		return &paymentv1.BatchCaptureResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &paymentv1.BatchCaptureResponse{Results: results}, err
}

func (p *participants) BatchVoid(ctx context.Context, r *paymentv1.BatchVoidRequest) (*paymentv1.BatchVoidResponse, error) {
	results, err := each(ctx, p, callVoid, r.GetRequests(), func(_ context.Context, r *paymentv1.VoidRequest) (*paymentv1.VoidResponse, error) {
		key := r.GetIdempotencyKey()
		return &paymentv1.VoidResponse{}, p.call(callVoid, key, "undone", func() error {
			if by := p.taken[key]; by != "" {
				p.t.Errorf("%s is voided, and was captured by %s", key, by)
			}
			return nil
		})
	}, func(a rpc.Answered[*paymentv1.VoidResponse]) *paymentv1.BatchVoidResponse_Result {
		return &paymentv1.BatchVoidResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &paymentv1.BatchVoidResponse{Results: results}, err
}

func (p *participants) BatchSchedule(ctx context.Context, r *shipmentv1.BatchScheduleRequest) (*shipmentv1.BatchScheduleResponse, error) {
	results, err := each(ctx, p, callSchedule, r.GetRequests(), func(_ context.Context, r *shipmentv1.ScheduleRequest) (*shipmentv1.ScheduleResponse, error) {
		return &shipmentv1.ScheduleResponse{}, p.call(callSchedule, r.GetIdempotencyKey(), "executed")
	}, scheduleResult)
	return &shipmentv1.BatchScheduleResponse{Results: results}, err
}

// BatchLookUpSchedule tells what took effect.
func (p *participants) BatchLookUpSchedule(ctx context.Context, r *shipmentv1.BatchLookUpScheduleRequest) (*shipmentv1.BatchLookUpScheduleResponse, error) {
	results, err := each(ctx, p, callLookUp, r.GetRequests(), func(_ context.Context, r *shipmentv1.ScheduleRequest) (*shipmentv1.ScheduleResponse, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, callLookUp)
		if p.effects[r.GetIdempotencyKey()] != "executed" {
			return nil, rpcerr.New(rpcerr.NotFound, "%s was never seen", r.GetIdempotencyKey())
		}
		return &shipmentv1.ScheduleResponse{}, nil
	}, scheduleResult)
	return &shipmentv1.BatchLookUpScheduleResponse{Results: results}, err
}

func scheduleResult(a rpc.Answered[*shipmentv1.ScheduleResponse]) *shipmentv1.BatchScheduleResponse_Result {
	return &shipmentv1.BatchScheduleResponse_Result{Status: a.Status(), Response: a.Response}
}

func (p *participants) BatchCancel(ctx context.Context, r *shipmentv1.BatchCancelRequest) (*shipmentv1.BatchCancelResponse, error) {
	results, err := each(ctx, p, callCancel, r.GetRequests(), func(_ context.Context, r *shipmentv1.CancelRequest) (*shipmentv1.CancelResponse, error) {
		return &shipmentv1.CancelResponse{}, p.call(callCancel, r.GetIdempotencyKey(), "undone")
	}, func(a rpc.Answered[*shipmentv1.CancelResponse]) *shipmentv1.BatchCancelResponse_Result {
		return &shipmentv1.BatchCancelResponse_Result{Status: a.Status(), Response: a.Response}
	})
	return &shipmentv1.BatchCancelResponse{Results: results}, err
}
