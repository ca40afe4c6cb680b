package inventory

import (
	"context"

	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of the use cases.
type server struct {
	inventoryv1.UnimplementedInventoryServiceServer
	inventory *inventory
}

func register(r grpc.ServiceRegistrar, i *inventory) {
	inventoryv1.RegisterInventoryServiceServer(r, &server{inventory: i})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

func (s *server) ReceiveStock(ctx context.Context, r *inventoryv1.ReceiveStockRequest) (*inventoryv1.ReceiveStockResponse, error) {
	levels, err := s.inventory.receive(ctx, receiveCommand{requestOf(ctx, r.GetIdempotencyKey()), linesFromProto(r.GetLines())})
	if err != nil {
		return nil, err
	}
	return &inventoryv1.ReceiveStockResponse{Stock: levelsToProto(levels)}, nil
}

func (s *server) GetStock(ctx context.Context, r *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	levels, err := s.inventory.getStock(ctx, []string{r.GetSku()}, skuField)
	if err != nil {
		return nil, err
	}
	return &inventoryv1.GetStockResponse{Stock: levelToProto(levels[0])}, nil
}

func (s *server) BatchGetStock(ctx context.Context, r *inventoryv1.BatchGetStockRequest) (*inventoryv1.BatchGetStockResponse, error) {
	levels, err := s.inventory.getStock(ctx, r.GetSkus(), skusField)
	if err != nil {
		return nil, err
	}
	return &inventoryv1.BatchGetStockResponse{Stock: levelsToProto(levels)}, nil
}

func (s *server) ListStock(ctx context.Context, r *inventoryv1.ListStockRequest) (*inventoryv1.ListStockResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	levels, err := s.inventory.listStock(ctx, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(levels, n, levelToProto, (*inventoryv1.Stock).GetSku)
	return &inventoryv1.ListStockResponse{Stock: page, NextPageToken: next}, nil
}

func (s *server) Reserve(ctx context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	made, err := s.inventory.reserve(ctx, reserveCommand{requestOf(ctx, r.GetIdempotencyKey()), r.GetReference(), linesFromProto(r.GetLines())})
	if err != nil {
		return nil, err
	}
	return &inventoryv1.ReserveResponse{Reservation: reservationToProto(made)}, nil
}

func (s *server) Release(ctx context.Context, r *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
	undone, err := s.inventory.release(ctx, requestOf(ctx, r.GetIdempotencyKey()))
	if err != nil || undone == nil {
		return &inventoryv1.ReleaseResponse{}, err
	}
	return &inventoryv1.ReleaseResponse{Reservation: reservationToProto(*undone)}, nil
}

func (s *server) Commit(ctx context.Context, r *inventoryv1.CommitRequest) (*inventoryv1.CommitResponse, error) {
	done, err := s.inventory.commit(ctx, commitCommand{requestOf(ctx, r.GetIdempotencyKey()), r.GetReservationId()})
	if err != nil {
		return nil, err
	}
	return &inventoryv1.CommitResponse{Reservation: reservationToProto(done)}, nil
}
