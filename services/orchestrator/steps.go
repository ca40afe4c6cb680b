package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

// action carries out one call that definitions name, for many sagas at once. It gives an answer for each, in their
// order; an error of its own is that of all.
type action func(ctx context.Context, calls []stepCall) ([]answer, error)

// stepCall is what a saga's part of a call is made from.
type stepCall struct {
	key     string
	sagaID  SagaID
	subject subject
	// result gives what an earlier step answered.
	result func(step string) json.RawMessage
	epoch  int64
	// traceparent is the trace of the saga, or of its step.
	traceparent string
}

func (c stepCall) origin() *commonv1.Origin {
	return &commonv1.Origin{Epoch: c.epoch, Traceparent: c.traceparent}
}

// answer is what came of a saga's part of a call: what later steps need of it, or its error.
type answer struct {
	result json.RawMessage
	err    error
}

// peers are the services that take part in sagas.
type peers struct {
	inventory, payment, shipment *grpc.ClientConn
}

// dialPeers connects to the participants.
func dialPeers(env *service.Env, cfg Config) (p peers, err error) {
	if p.inventory, err = env.Dial("inventory", cfg.InventoryAddr); err != nil {
		return p, err
	}
	if p.payment, err = env.Dial("payment", cfg.PaymentAddr); err != nil {
		return p, err
	}
	p.shipment, err = env.Dial("shipment", cfg.ShipmentAddr)
	return p, err
}

// reserved is what later steps need of the reserve step.
type reserved struct {
	ReservationID string `json:"reservation_id"`
}

// charged is what is told of the payment that a recurring payment made.
type charged struct {
	PaymentID string `json:"payment_id"`
}

// batchResult is what a participant answers to one request of a batch.
type batchResult interface{ GetStatus() *spb.Status }

// batched makes an action of a participant's batch method: request makes a saga's request, result takes what later
// steps need out of its answer, where they need anything.
func batched[Q any, R batchResult](request func(stepCall) (Q, error), send func(context.Context, []Q) ([]R, error),
	result func(R) (json.RawMessage, error),
) action {
	return func(ctx context.Context, calls []stepCall) ([]answer, error) {
		answers := make([]answer, len(calls))
		requests, at := make([]Q, 0, len(calls)), make([]int, 0, len(calls))
		for i, c := range calls {
			r, err := request(c)
			if err != nil {
				answers[i].err = err
				continue
			}
			requests, at = append(requests, r), append(at, i)
		}
		if len(requests) == 0 {
			return answers, nil
		}
		results, err := send(ctx, requests)
		if err != nil {
			return nil, err
		}
		if len(results) != len(requests) {
			return nil, fmt.Errorf("%d results for %d requests", len(results), len(requests))
		}
		for n, r := range results {
			a := &answers[at[n]]
			if s := r.GetStatus(); s.GetCode() != 0 {
				a.err = status.ErrorProto(s)
			} else if result != nil {
				a.result, a.err = result(r)
			}
		}
		return answers, nil
	}
}

// actions are all calls that definitions may name.
func (p peers) actions() map[string]action {
	stock := inventoryv1.NewInventoryServiceClient(p.inventory)
	payments := paymentv1.NewPaymentServiceClient(p.payment)
	shipments := shipmentv1.NewShipmentServiceClient(p.shipment)
	chargeAll := func(ctx context.Context, r []*paymentv1.ChargeRequest) ([]*paymentv1.BatchChargeResponse_Result, error) {
		all, err := payments.BatchCharge(ctx, &paymentv1.BatchChargeRequest{Requests: r})
		return all.GetResults(), err
	}
	return map[string]action{
		callReserve: batched(reserveRequest, func(ctx context.Context, r []*inventoryv1.ReserveRequest) ([]*inventoryv1.BatchReserveResponse_Result, error) {
			all, err := stock.BatchReserve(ctx, &inventoryv1.BatchReserveRequest{Requests: r})
			return all.GetResults(), err
		}, func(r *inventoryv1.BatchReserveResponse_Result) (json.RawMessage, error) {
			return json.Marshal(reserved{r.GetResponse().GetReservation().GetReservationId()})
		}),
		callRelease: batched(releaseRequest, func(ctx context.Context, r []*inventoryv1.ReleaseRequest) ([]*inventoryv1.BatchReleaseResponse_Result, error) {
			all, err := stock.BatchRelease(ctx, &inventoryv1.BatchReleaseRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callCommit: batched(commitRequest, func(ctx context.Context, r []*inventoryv1.CommitRequest) ([]*inventoryv1.BatchCommitResponse_Result, error) {
			all, err := stock.BatchCommit(ctx, &inventoryv1.BatchCommitRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callCharge: batched(chargeRequest, chargeAll, nil),
		callChargeRecurring: batched(chargeRequest, chargeAll, func(r *paymentv1.BatchChargeResponse_Result) (json.RawMessage, error) {
			return json.Marshal(charged{r.GetResponse().GetPayment().GetPaymentId()})
		}),
		callRefund: batched(refundRequest, func(ctx context.Context, r []*paymentv1.RefundRequest) ([]*paymentv1.BatchRefundResponse_Result, error) {
			all, err := payments.BatchRefund(ctx, &paymentv1.BatchRefundRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callAuthorize: batched(authorizeRequest, func(ctx context.Context, r []*paymentv1.AuthorizeRequest) ([]*paymentv1.BatchAuthorizeResponse_Result, error) {
			all, err := payments.BatchAuthorize(ctx, &paymentv1.BatchAuthorizeRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callVoid: batched(voidRequest, func(ctx context.Context, r []*paymentv1.VoidRequest) ([]*paymentv1.BatchVoidResponse_Result, error) {
			all, err := payments.BatchVoid(ctx, &paymentv1.BatchVoidRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callCapture: batched(captureRequest, func(ctx context.Context, r []*paymentv1.CaptureRequest) ([]*paymentv1.BatchCaptureResponse_Result, error) {
			all, err := payments.BatchCapture(ctx, &paymentv1.BatchCaptureRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callSchedule: batched(scheduleRequest, func(ctx context.Context, r []*shipmentv1.ScheduleRequest) ([]*shipmentv1.BatchScheduleResponse_Result, error) {
			all, err := shipments.BatchSchedule(ctx, &shipmentv1.BatchScheduleRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callLookUp: batched(scheduleRequest, func(ctx context.Context, r []*shipmentv1.ScheduleRequest) ([]*shipmentv1.BatchScheduleResponse_Result, error) {
			all, err := shipments.BatchLookUpSchedule(ctx, &shipmentv1.BatchLookUpScheduleRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
		callCancel: batched(cancelRequest, func(ctx context.Context, r []*shipmentv1.CancelRequest) ([]*shipmentv1.BatchCancelResponse_Result, error) {
			all, err := shipments.BatchCancel(ctx, &shipmentv1.BatchCancelRequest{Requests: r})
			return all.GetResults(), err
		}, nil),
	}
}

func reserveRequest(c stepCall) (*inventoryv1.ReserveRequest, error) {
	r := &inventoryv1.ReserveRequest{IdempotencyKey: c.key, Reference: c.subject.reference, Origin: c.origin()}
	for _, l := range c.subject.lines {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	return r, nil
}

func releaseRequest(c stepCall) (*inventoryv1.ReleaseRequest, error) {
	return &inventoryv1.ReleaseRequest{IdempotencyKey: c.key, Origin: c.origin()}, nil
}

func commitRequest(c stepCall) (*inventoryv1.CommitRequest, error) {
	var r reserved
	if err := json.Unmarshal(c.result(stepReserve), &r); err != nil {
		return nil, fmt.Errorf("decoding result of %s: %w", stepReserve, err)
	}
	return &inventoryv1.CommitRequest{IdempotencyKey: c.key, ReservationId: r.ReservationID, Origin: c.origin()}, nil
}

func chargeRequest(c stepCall) (*paymentv1.ChargeRequest, error) {
	return &paymentv1.ChargeRequest{
		IdempotencyKey: c.key, Amount: amountToProto(c.subject.total), PaymentMethod: c.subject.paymentMethod,
		CustomerId: c.subject.customerID, Reference: c.subject.reference, Origin: c.origin(),
	}, nil
}

func refundRequest(c stepCall) (*paymentv1.RefundRequest, error) {
	return &paymentv1.RefundRequest{IdempotencyKey: c.key, Origin: c.origin()}, nil
}

func authorizeRequest(c stepCall) (*paymentv1.AuthorizeRequest, error) {
	return &paymentv1.AuthorizeRequest{
		IdempotencyKey: c.key, Amount: amountToProto(c.subject.total), PaymentMethod: c.subject.paymentMethod,
		CustomerId: c.subject.customerID, Reference: c.subject.reference, Origin: c.origin(),
	}, nil
}

func voidRequest(c stepCall) (*paymentv1.VoidRequest, error) {
	return &paymentv1.VoidRequest{IdempotencyKey: c.key, Origin: c.origin()}, nil
}

// captureRequest asks for all of what the authorize step has set aside, which is known by that step's key.
func captureRequest(c stepCall) (*paymentv1.CaptureRequest, error) {
	return &paymentv1.CaptureRequest{
		IdempotencyKey: c.key, Origin: c.origin(),
		Authorization: &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: stepKey(c.sagaID, stepAuthorize)},
	}, nil
}

func scheduleRequest(c stepCall) (*shipmentv1.ScheduleRequest, error) {
	return &shipmentv1.ScheduleRequest{
		IdempotencyKey: c.key, Reference: c.subject.reference, Address: addressToProto(c.subject.shipTo), Origin: c.origin(),
	}, nil
}

func cancelRequest(c stepCall) (*shipmentv1.CancelRequest, error) {
	return &shipmentv1.CancelRequest{IdempotencyKey: c.key, Origin: c.origin()}, nil
}

// unknownSKUs asks inventory which SKUs it does not know, by their index. What is learnt serves many orders, so that the call is
// in a trace of its own.
func (p peers) unknownSKUs(ctx context.Context, skus []string) ([]int, error) {
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
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
