package reconciliation

import (
	"context"
	"math"
	"strconv"

	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// server is the gRPC face of the runs.
type server struct {
	reconciliationv1.UnimplementedReconciliationServiceServer
	reconciliation *reconciliation
}

func register(g grpc.ServiceRegistrar, r *reconciliation) {
	reconciliationv1.RegisterReconciliationServiceServer(g, &server{reconciliation: r})
	reconciliationv1.RegisterStatementServiceServer(g, &statementServer{reconciliation: r})
	reconciliationv1.RegisterBreakServiceServer(g, &breakServer{reconciliation: r})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

func (s *server) store() store { return newStore(s.reconciliation.pool) }

// RunReconciliation implements reconciliationv1.ReconciliationServiceServer.
func (s *server) RunReconciliation(ctx context.Context, r *reconciliationv1.RunReconciliationRequest) (*reconciliationv1.RunReconciliationResponse, error) {
	rid, err := s.reconciliation.begin(ctx, requestOf(ctx, r.GetIdempotencyKey()), r.GetAsOf())
	if err != nil {
		return nil, err
	}
	begun, err := s.store().run(ctx, rid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.RunReconciliationResponse{Run: runToProto(begun)}, nil
}

// CancelRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) CancelRun(ctx context.Context, r *reconciliationv1.CancelRunRequest) (*reconciliationv1.CancelRunResponse, error) {
	rid, err := parseRunID(r.GetRunId())
	if err != nil {
		return nil, err
	}
	if err := s.reconciliation.cancel(ctx, requestOf(ctx, r.GetIdempotencyKey()), rid, r.GetReason()); err != nil {
		return nil, err
	}
	after, err := s.store().run(ctx, rid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.CancelRunResponse{Run: runToProto(after)}, nil
}

// GetRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) GetRun(ctx context.Context, r *reconciliationv1.GetRunRequest) (*reconciliationv1.GetRunResponse, error) {
	rid, err := parseRunID(r.GetRunId())
	if err != nil {
		return nil, err
	}
	found, err := s.store().run(ctx, rid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetRunResponse{Run: runToProto(found)}, nil
}

// ListRuns implements reconciliationv1.ReconciliationServiceServer.
func (s *server) ListRuns(ctx context.Context, r *reconciliationv1.ListRunsRequest) (*reconciliationv1.ListRunsResponse, error) {
	before, err := numberBehind(r.GetPageToken(), 32)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.store().runs(ctx, int32(before), n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, runInList, func(m *reconciliationv1.Run) string { return strconv.Itoa(int(m.GetNumber())) })
	return &reconciliationv1.ListRunsResponse{Runs: page, NextPageToken: next}, nil
}

// numberBehind reads the token of a page that goes on behind a number; 0 for the first page.
func numberBehind(token string, bits int) (int64, error) {
	key, err := rpc.ParsePageToken(token)
	if err != nil || key == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(key, 10, bits)
	if err != nil {
		return 0, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return n, nil
}

// WatchRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) WatchRun(r *reconciliationv1.WatchRunRequest, stream grpc.ServerStreamingServer[reconciliationv1.WatchRunResponse]) error {
	rid, err := parseRunID(r.GetRunId())
	if err != nil {
		return err
	}
	return s.reconciliation.watch(stream.Context(), rid, func(now *run) error {
		return stream.Send(&reconciliationv1.WatchRunResponse{Run: runToProto(now)})
	})
}

// ListMatches implements reconciliationv1.ReconciliationServiceServer.
func (s *server) ListMatches(ctx context.Context, r *reconciliationv1.ListMatchesRequest) (*reconciliationv1.ListMatchesResponse, error) {
	n := rpc.PageSize(r.GetPageSize())
	after, err := numberBehind(r.GetPageToken(), 64)
	if err != nil {
		return nil, err
	}
	if r.GetPageToken() == "" {
		after = math.MinInt64 // matches that people made have ids less than zero
	}
	q := matchQuery{payment: r.GetPaymentId(), after: after, n: n + 1}
	switch of := r.GetOf().(type) {
	case *reconciliationv1.ListMatchesRequest_RunId:
		q.run, err = parseRunID(of.RunId)
	case *reconciliationv1.ListMatchesRequest_MovementId:
		if q.movement, err = id.Parse[movementKind](of.MovementId); err != nil {
			err = rpcerr.ForField(rpcerr.RequestInvalid, "movement_id", "%v", err)
		}
	}
	if err != nil {
		return nil, err
	}
	found, err := s.store().matches(ctx, q)
	if err != nil {
		return nil, err
	}
	last := int64(0)
	page, next := rpc.Page(found, n, func(m *matched) *reconciliationv1.Match { last = m.id; return matchToProto(m) },
		func(*reconciliationv1.Match) string { return strconv.FormatInt(last, 10) })
	return &reconciliationv1.ListMatchesResponse{Matches: page, NextPageToken: next}, nil
}
