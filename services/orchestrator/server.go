package orchestrator

import (
	"context"

	"google.golang.org/grpc"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	recurringv1 "github.com/tieout/tieout/gen/tieout/recurring/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

func register(r grpc.ServiceRegistrar, o *orchestrator) {
	orderv1.RegisterOrderServiceServer(r, &orderServer{orchestrator: o})
	recurringv1.RegisterRecurringServiceServer(r, &recurringServer{orchestrator: o})
	sagav1.RegisterSagaServiceServer(r, &sagaServer{orchestrator: o})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

// orderServer is the gRPC face that clients see.
type orderServer struct {
	orderv1.UnimplementedOrderServiceServer
	orchestrator *orchestrator
}

func (s *orderServer) PlaceOrder(ctx context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	v, err := s.orchestrator.place(ctx, placeCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), customerID: r.GetCustomerId(), lines: linesFromProto(r.GetLines()),
		paymentMethod: r.GetPaymentMethod(), shipTo: addressFromProto(r.GetShipTo()),
	})
	if err != nil {
		return nil, err
	}
	return &orderv1.PlaceOrderResponse{Order: orderToProto(v)}, nil
}

func (s *orderServer) GetOrder(ctx context.Context, r *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	v, timeline, err := s.orchestrator.getOrder(ctx, r.GetOrderId())
	if err != nil {
		return nil, err
	}
	o := orderToProto(v)
	o.Timeline = timelineToProto(timeline)
	return &orderv1.GetOrderResponse{Order: o}, nil
}

func (s *orderServer) ListOrders(ctx context.Context, r *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	before, err := rpc.PageBefore[orderKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	views, err := s.orchestrator.listOrders(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(views, n, orderToProto, (*orderv1.Order).GetOrderId)
	return &orderv1.ListOrdersResponse{Orders: page, NextPageToken: next}, nil
}

func (s *orderServer) CancelOrder(ctx context.Context, r *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	v, err := s.orchestrator.cancel(ctx, cancelCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), orderID: r.GetOrderId(), reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &orderv1.CancelOrderResponse{Order: orderToProto(v)}, nil
}

func (s *orderServer) WatchOrder(r *orderv1.WatchOrderRequest, stream grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
	return s.orchestrator.watch(stream.Context(), r.GetOrderId(), r.GetCursor(), func(seen sighting) error {
		return stream.Send(sightingToProto(seen))
	})
}

// recurringServer is the gRPC face that billing sees.
type recurringServer struct {
	recurringv1.UnimplementedRecurringServiceServer
	orchestrator *orchestrator
}

// start starts recurring payments. One that nobody can be charged is refused by itself.
func (s *recurringServer) start(ctx context.Context, requests []*recurringv1.StartRecurringPaymentRequest) []rpc.Answered[*recurringv1.StartRecurringPaymentResponse] {
	answers := make([]rpc.Answered[*recurringv1.StartRecurringPaymentResponse], len(requests))
	var batch []starting
	var at []int
	traceparent := telemetry.OriginOf(ctx)
	for i, r := range requests {
		p, err := newRecurring(r.GetReference(), subject{
			customerID: r.GetCustomerId(), paymentMethod: r.GetPaymentMethod(), total: amountFromProto(r.GetAmount()),
		})
		if answers[i].Err = err; err == nil {
			batch, at = append(batch, starting{requestOf(ctx, r.GetIdempotencyKey()), p, traceparent}), append(at, i)
		}
	}
	for n, done := range s.orchestrator.recurring.DoAll(ctx, batch) {
		a := &answers[at[n]]
		a.Err, a.Replayed = done.Err, done.Value.Replayed
		if v := done.Value.Value; a.Err == nil {
			a.Response = &recurringv1.StartRecurringPaymentResponse{RecurringPaymentId: v.ID.String(), SagaId: v.SagaID.String()}
		}
	}
	s.orchestrator.engine.yieldIntake(ctx, len(batch))
	return answers
}

func (s *recurringServer) StartRecurringPayment(ctx context.Context, r *recurringv1.StartRecurringPaymentRequest) (*recurringv1.StartRecurringPaymentResponse, error) {
	return rpc.Single(ctx, r, s.start)
}

func (s *recurringServer) BatchStartRecurringPayment(ctx context.Context, r *recurringv1.BatchStartRecurringPaymentRequest) (*recurringv1.BatchStartRecurringPaymentResponse, error) {
	out := &recurringv1.BatchStartRecurringPaymentResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.start) {
		out.Results = append(out.Results, &recurringv1.BatchStartRecurringPaymentResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

// sagaServer is the gRPC face that operators see.
type sagaServer struct {
	sagav1.UnimplementedSagaServiceServer
	orchestrator *orchestrator
}

func (s *sagaServer) GetSaga(ctx context.Context, r *sagav1.GetSagaRequest) (*sagav1.GetSagaResponse, error) {
	found, err := s.orchestrator.getSaga(ctx, r.GetSagaId(), int(r.GetAsOfSequence()))
	if err != nil {
		return nil, err
	}
	told, err := drivenToProto(found)
	return &sagav1.GetSagaResponse{Saga: told}, err
}

func (s *sagaServer) ExplainSaga(ctx context.Context, r *sagav1.ExplainSagaRequest) (*sagav1.ExplainSagaResponse, error) {
	x, err := s.orchestrator.explain(ctx, r.GetSagaId())
	return &sagav1.ExplainSagaResponse{WaitsFor: x.Waits, Why: x.Why, UnblockedBy: x.Unblocks}, err
}

func (s *sagaServer) OperateSaga(ctx context.Context, r *sagav1.OperateSagaRequest) (*sagav1.OperateSagaResponse, error) {
	done, err := s.orchestrator.operate(ctx, operateCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), sagaID: r.GetSagaId(),
		instruction: saga.Instruction{
			Verb: sagaVerbs[r.GetVerb()], Actor: rpc.Caller(ctx), Reason: r.GetReason(), Step: r.GetStep(), Evidence: r.GetEvidence(),
		},
	})
	if err != nil {
		return nil, err
	}
	told, err := drivenToProto(done)
	return &sagav1.OperateSagaResponse{Saga: told}, err
}

func (s *sagaServer) ListSagas(ctx context.Context, r *sagav1.ListSagasRequest) (*sagav1.ListSagasResponse, error) {
	f, err := parseFilter(r.GetFilter(), s.orchestrator.engine.definitions.known())
	if err != nil {
		return nil, err
	}
	before, err := sagaBehind(f, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	listed, err := s.orchestrator.listSagas(ctx, f, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(listed, n, sagaToProto, func(m *sagav1.Saga) string { return f.PageKey(m.GetSagaId()) })
	return &sagav1.ListSagasResponse{Sagas: page, NextPageToken: next}, nil
}

func (s *sagaServer) WatchSaga(r *sagav1.WatchSagaRequest, stream grpc.ServerStreamingServer[sagav1.WatchSagaResponse]) error {
	return s.orchestrator.watchSaga(stream.Context(), r.GetSagaId(), int(r.GetAfterSequence()), func(d driven) error {
		told, err := drivenToProto(d)
		if err != nil {
			return err
		}
		return stream.Send(&sagav1.WatchSagaResponse{Saga: told})
	})
}

func (s *sagaServer) PlanSagaOperation(ctx context.Context, r *sagav1.PlanSagaOperationRequest) (*sagav1.PlanSagaOperationResponse, error) {
	op, err := s.orchestrator.plan(ctx, planCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), filter: r.GetFilter(), instruction: saga.Instruction{
			Verb: sagaVerbs[r.GetVerb()], Actor: rpc.Caller(ctx), Reason: r.GetReason(), Step: r.GetStep(), Evidence: r.GetEvidence(),
		},
	})
	if err != nil {
		return nil, err
	}
	return &sagav1.PlanSagaOperationResponse{Operation: operationToProto(op)}, nil
}

func (s *sagaServer) ApplySagaOperation(ctx context.Context, r *sagav1.ApplySagaOperationRequest) (*sagav1.ApplySagaOperationResponse, error) {
	op, err := s.orchestrator.apply(ctx, applyCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), operationID: r.GetOperationId(), rate: r.GetRatePerSecond(),
	})
	if err != nil {
		return nil, err
	}
	return &sagav1.ApplySagaOperationResponse{Operation: operationToProto(op)}, nil
}

func (s *sagaServer) CancelSagaOperation(ctx context.Context, r *sagav1.CancelSagaOperationRequest) (*sagav1.CancelSagaOperationResponse, error) {
	op, err := s.orchestrator.cancelOperation(ctx, cancelOperationCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), operationID: r.GetOperationId(), reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &sagav1.CancelSagaOperationResponse{Operation: operationToProto(op)}, nil
}

func (s *sagaServer) GetSagaOperation(ctx context.Context, r *sagav1.GetSagaOperationRequest) (*sagav1.GetSagaOperationResponse, error) {
	op, err := s.orchestrator.getOperation(ctx, r.GetOperationId())
	if err != nil {
		return nil, err
	}
	return &sagav1.GetSagaOperationResponse{Operation: operationToProto(op)}, nil
}

func (s *sagaServer) ListSagaOperations(ctx context.Context, r *sagav1.ListSagaOperationsRequest) (*sagav1.ListSagaOperationsResponse, error) {
	before, err := rpc.PageBefore[operationKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	ops, err := s.orchestrator.listOperations(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(ops, n, operationToProto, (*sagav1.SagaOperation).GetOperationId)
	return &sagav1.ListSagaOperationsResponse{Operations: page, NextPageToken: next}, nil
}

func (s *sagaServer) WatchSagaOperation(r *sagav1.WatchSagaOperationRequest, stream grpc.ServerStreamingServer[sagav1.WatchSagaOperationResponse]) error {
	return s.orchestrator.watchOperation(stream.Context(), r.GetOperationId(), func(op operation) error {
		return stream.Send(&sagav1.WatchSagaOperationResponse{Operation: operationToProto(op)})
	})
}
