package orchestrator

import (
	"context"

	"google.golang.org/grpc"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

func register(r grpc.ServiceRegistrar, o *orchestrator) {
	orderv1.RegisterOrderServiceServer(r, &orderServer{orchestrator: o})
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
	return s.orchestrator.watch(stream.Context(), r.GetOrderId(), func(v orderView) error {
		return stream.Send(&orderv1.WatchOrderResponse{Order: orderToProto(v)})
	})
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
	told, err := runToProto(found)
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
	told, err := runToProto(done)
	return &sagav1.OperateSagaResponse{Saga: told}, err
}

func (s *sagaServer) ListSagas(ctx context.Context, r *sagav1.ListSagasRequest) (*sagav1.ListSagasResponse, error) {
	before, err := rpc.PageBefore[sagaKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	views, err := s.orchestrator.listSagas(ctx, before, n+1, phaseFromProto(r.GetPhase()))
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(views, n, sagaToProto, (*sagav1.Saga).GetSagaId)
	return &sagav1.ListSagasResponse{Sagas: page, NextPageToken: next}, nil
}
