package shipment

import (
	"context"

	"google.golang.org/grpc"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of the use cases.
type server struct {
	shipmentv1.UnimplementedShipmentServiceServer
	shipments *shipments
}

func register(r grpc.ServiceRegistrar, s *shipments) {
	shipmentv1.RegisterShipmentServiceServer(r, &server{shipments: s})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

func (s *server) Schedule(ctx context.Context, r *shipmentv1.ScheduleRequest) (*shipmentv1.ScheduleResponse, error) {
	made, err := s.shipments.schedule(ctx, scheduleCommand{
		requestOf(ctx, r.GetIdempotencyKey()), r.GetReference(), addressFromProto(r.GetAddress()),
	})
	if err != nil {
		return nil, err
	}
	return &shipmentv1.ScheduleResponse{Shipment: shipmentToProto(made)}, nil
}

func (s *server) Cancel(ctx context.Context, r *shipmentv1.CancelRequest) (*shipmentv1.CancelResponse, error) {
	undone, err := s.shipments.cancel(ctx, requestOf(ctx, r.GetIdempotencyKey()))
	if err != nil || undone == nil {
		return &shipmentv1.CancelResponse{}, err
	}
	return &shipmentv1.CancelResponse{Shipment: shipmentToProto(*undone)}, nil
}

func (s *server) GetShipment(ctx context.Context, r *shipmentv1.GetShipmentRequest) (*shipmentv1.GetShipmentResponse, error) {
	sh, err := s.shipments.get(ctx, r.GetShipmentId())
	if err != nil {
		return nil, err
	}
	return &shipmentv1.GetShipmentResponse{Shipment: shipmentToProto(sh)}, nil
}

func (s *server) ListShipments(ctx context.Context, r *shipmentv1.ListShipmentsRequest) (*shipmentv1.ListShipmentsResponse, error) {
	before, err := rpc.PageBefore[shipmentKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	list, err := s.shipments.list(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(list, n, shipmentToProto, (*shipmentv1.Shipment).GetShipmentId)
	return &shipmentv1.ListShipmentsResponse{Shipments: page, NextPageToken: next}, nil
}
