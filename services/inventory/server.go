package inventory

import (
	"context"

	"go.opentelemetry.io/otel/trace"
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
	return request{caller: rpc.Caller(ctx), key: key, span: trace.SpanContextFromContext(ctx)}
}

// handIn has a group write commands made of requests, and makes responses of its answers.
func handIn[C, A, Q, R any](ctx context.Context, g *group[C, A], requests []Q, command func(Q) C, response func(A) R) []rpc.Answered[R] {
	commands := make([]C, len(requests))
	for i, r := range requests {
		commands[i] = command(r)
	}
	answers := make([]rpc.Answered[R], len(requests))
	for i, done := range g.DoAll(ctx, commands) {
		answers[i].Err, answers[i].Replayed = done.Err, done.Value.Replayed
		if done.Err == nil {
			answers[i].Response = response(done.Value.Value)
		}
	}
	return answers
}

func (s *server) receive(ctx context.Context, requests []*inventoryv1.ReceiveStockRequest) []rpc.Answered[*inventoryv1.ReceiveStockResponse] {
	return handIn(ctx, s.inventory.receipts, requests,
		func(r *inventoryv1.ReceiveStockRequest) receiveCommand {
			return receiveCommand{requestOf(ctx, r.GetIdempotencyKey()), linesFromProto(r.GetLines())}
		},
		func(levels []levelAt) *inventoryv1.ReceiveStockResponse {
			return &inventoryv1.ReceiveStockResponse{Stock: levelsToProto(levels)}
		})
}

func (s *server) ReceiveStock(ctx context.Context, r *inventoryv1.ReceiveStockRequest) (*inventoryv1.ReceiveStockResponse, error) {
	return rpc.Single(ctx, r, s.receive)
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

func (s *server) reserve(ctx context.Context, requests []*inventoryv1.ReserveRequest) []rpc.Answered[*inventoryv1.ReserveResponse] {
	return handIn(ctx, s.inventory.reserves, requests,
		func(r *inventoryv1.ReserveRequest) reserveCommand {
			return reserveCommand{requestOf(ctx, r.GetIdempotencyKey()), r.GetReference(), linesFromProto(r.GetLines())}
		},
		func(made reservation) *inventoryv1.ReserveResponse {
			return &inventoryv1.ReserveResponse{Reservation: reservationToProto(made)}
		})
}

func (s *server) Reserve(ctx context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	return rpc.Single(ctx, r, s.reserve)
}

func (s *server) BatchReserve(ctx context.Context, r *inventoryv1.BatchReserveRequest) (*inventoryv1.BatchReserveResponse, error) {
	out := &inventoryv1.BatchReserveResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.reserve) {
		out.Results = append(out.Results, &inventoryv1.BatchReserveResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) release(ctx context.Context, requests []*inventoryv1.ReleaseRequest) []rpc.Answered[*inventoryv1.ReleaseResponse] {
	return handIn(ctx, s.inventory.releases, requests,
		func(r *inventoryv1.ReleaseRequest) request { return requestOf(ctx, r.GetIdempotencyKey()) },
		func(undone *reservation) *inventoryv1.ReleaseResponse {
			if undone == nil {
				return &inventoryv1.ReleaseResponse{}
			}
			return &inventoryv1.ReleaseResponse{Reservation: reservationToProto(*undone)}
		})
}

func (s *server) Release(ctx context.Context, r *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
	return rpc.Single(ctx, r, s.release)
}

func (s *server) BatchRelease(ctx context.Context, r *inventoryv1.BatchReleaseRequest) (*inventoryv1.BatchReleaseResponse, error) {
	out := &inventoryv1.BatchReleaseResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.release) {
		out.Results = append(out.Results, &inventoryv1.BatchReleaseResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) commit(ctx context.Context, requests []*inventoryv1.CommitRequest) []rpc.Answered[*inventoryv1.CommitResponse] {
	return handIn(ctx, s.inventory.commits, requests,
		func(r *inventoryv1.CommitRequest) commitCommand {
			return commitCommand{requestOf(ctx, r.GetIdempotencyKey()), r.GetReservationId()}
		},
		func(done reservation) *inventoryv1.CommitResponse {
			return &inventoryv1.CommitResponse{Reservation: reservationToProto(done)}
		})
}

func (s *server) Commit(ctx context.Context, r *inventoryv1.CommitRequest) (*inventoryv1.CommitResponse, error) {
	return rpc.Single(ctx, r, s.commit)
}

func (s *server) BatchCommit(ctx context.Context, r *inventoryv1.BatchCommitRequest) (*inventoryv1.BatchCommitResponse, error) {
	out := &inventoryv1.BatchCommitResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.commit) {
		out.Results = append(out.Results, &inventoryv1.BatchCommitResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}
