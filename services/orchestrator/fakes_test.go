package orchestrator

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

// participants are inventory, payment and shipment as working fakes: they keep what took effect under each key,
// answer it again, and accept the compensation of what they never saw. Trouble, when set, is asked before a call
// takes effect and after; an error of it is the call's, and after the effect a lost answer.
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
}

func newParticipants(t testing.TB) *participants {
	return &participants{t: t, counts: map[string]int{}, effects: map[string]string{}}
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

func (p *participants) call(name, key, effect string) error {
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
	p.mu.Lock()
	if p.effects[key] == "undone" && effect == "executed" {
		p.mu.Unlock()
		return rpcerr.New(rpcerr.StepTombstoned, "%s was compensated", key)
	}
	p.effects[key] = effect
	p.mu.Unlock()
	if p.trouble != nil {
		return p.trouble(name, key, nth, true)
	}
	return nil
}

// seen gives the calls so far.
func (p *participants) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.calls...)
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

func (p *participants) Reserve(_ context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	return &inventoryv1.ReserveResponse{Reservation: &inventoryv1.Reservation{ReservationId: "res_of " + r.GetReference()}},
		p.call(callReserve, r.GetIdempotencyKey(), "executed")
}

func (p *participants) Release(_ context.Context, r *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
	return &inventoryv1.ReleaseResponse{}, p.call(callRelease, r.GetIdempotencyKey(), "undone")
}

func (p *participants) Commit(_ context.Context, r *inventoryv1.CommitRequest) (*inventoryv1.CommitResponse, error) {
	if r.GetReservationId() == "" {
		p.t.Error("commit without a reservation")
	}
	return &inventoryv1.CommitResponse{}, p.call(callCommit, r.GetIdempotencyKey(), "executed")
}

func (p *participants) Charge(_ context.Context, r *paymentv1.ChargeRequest) (*paymentv1.ChargeResponse, error) {
	return &paymentv1.ChargeResponse{}, p.call(callCharge, r.GetIdempotencyKey(), "executed")
}

func (p *participants) Refund(_ context.Context, r *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	return &paymentv1.RefundResponse{}, p.call(callRefund, r.GetIdempotencyKey(), "undone")
}

func (p *participants) Schedule(_ context.Context, r *shipmentv1.ScheduleRequest) (*shipmentv1.ScheduleResponse, error) {
	return &shipmentv1.ScheduleResponse{}, p.call(callSchedule, r.GetIdempotencyKey(), "executed")
}

func (p *participants) Cancel(_ context.Context, r *shipmentv1.CancelRequest) (*shipmentv1.CancelResponse, error) {
	return &shipmentv1.CancelResponse{}, p.call(callCancel, r.GetIdempotencyKey(), "undone")
}
