package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// action carries out one call that a definition names, and gives what later steps need of its answer.
type action func(ctx context.Context, c stepCall) (result json.RawMessage, err error)

// stepCall is what a call is made from.
type stepCall struct {
	key     string
	order   order
	results map[string]json.RawMessage // of the steps done, by step
}

// peers are the services that take part in sagas.
type peers struct {
	inventory, payment, shipment *grpc.ClientConn
}

// reserved is what later steps need of the reserve step.
type reserved struct {
	ReservationID string `json:"reservation_id"`
}

// actions are all calls that definitions may name.
func (p peers) actions() map[string]action {
	stock := inventoryv1.NewInventoryServiceClient(p.inventory)
	payments := paymentv1.NewPaymentServiceClient(p.payment)
	shipments := shipmentv1.NewShipmentServiceClient(p.shipment)
	return map[string]action{
		callReserve: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			answer, err := stock.Reserve(ctx, reserveRequest(c))
			if err != nil {
				return nil, err
			}
			return json.Marshal(reserved{answer.GetReservation().GetReservationId()})
		},
		callRelease: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			_, err := stock.Release(ctx, &inventoryv1.ReleaseRequest{IdempotencyKey: c.key})
			return nil, err
		},
		callCommit: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			var r reserved
			if err := json.Unmarshal(c.results[stepReserve], &r); err != nil {
				return nil, fmt.Errorf("decoding result of %s: %w", stepReserve, err)
			}
			_, err := stock.Commit(ctx, &inventoryv1.CommitRequest{IdempotencyKey: c.key, ReservationId: r.ReservationID})
			return nil, err
		},
		callCharge: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			_, err := payments.Charge(ctx, chargeRequest(c))
			return nil, err
		},
		callRefund: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			_, err := payments.Refund(ctx, &paymentv1.RefundRequest{IdempotencyKey: c.key})
			return nil, err
		},
		callSchedule: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			_, err := shipments.Schedule(ctx, &shipmentv1.ScheduleRequest{
				IdempotencyKey: c.key, Reference: c.order.id.String(), Address: addressToProto(c.order.shipTo),
			})
			return nil, err
		},
		callCancel: func(ctx context.Context, c stepCall) (json.RawMessage, error) {
			_, err := shipments.Cancel(ctx, &shipmentv1.CancelRequest{IdempotencyKey: c.key})
			return nil, err
		},
	}
}

func reserveRequest(c stepCall) *inventoryv1.ReserveRequest {
	r := &inventoryv1.ReserveRequest{IdempotencyKey: c.key, Reference: c.order.id.String()}
	for _, l := range c.order.lines {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	return r
}

func chargeRequest(c stepCall) *paymentv1.ChargeRequest {
	return &paymentv1.ChargeRequest{
		IdempotencyKey: c.key, Amount: amountToProto(c.order.total), PaymentMethod: c.order.paymentMethod,
		CustomerId: c.order.customerID, Reference: c.order.id.String(),
	}
}

// checkDefinitions refuses definitions that are wrong or name calls that do not exist.
func checkDefinitions(defs map[definitionKey]saga.Definition, actions map[string]action) error {
	for _, d := range defs {
		if err := d.Check(); err != nil {
			return err
		}
		for _, s := range d.Steps {
			for _, name := range []string{s.Execute, s.Compensate} {
				if _, ok := actions[name]; !ok && name != "" {
					return fmt.Errorf("definition %s v%d: step %s names call %q, which does not exist", d.Name, d.Version, s.Name, name)
				}
			}
		}
	}
	return nil
}

// unknownSKUs asks inventory which SKUs it does not know, by their index.
func (p peers) unknownSKUs(ctx context.Context, skus []string) ([]int, error) {
	_, err := inventoryv1.NewInventoryServiceClient(p.inventory).BatchGetStock(ctx, &inventoryv1.BatchGetStockRequest{Skus: skus})
	if err == nil {
		return nil, nil
	}
	e, ok := rpcerr.FromError(err)
	if !ok || e.Reason != rpcerr.SKUUnknown {
		return nil, err
	}
	var unknown []int
	for _, f := range e.Fields {
		var i int
		if _, err := fmt.Sscanf(f.Path, "skus[%d]", &i); err == nil && i >= 0 && i < len(skus) {
			unknown = append(unknown, i)
		}
	}
	return unknown, nil
}
