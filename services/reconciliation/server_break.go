package reconciliation

import (
	"context"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpc"
)

// breakServer is the gRPC face of breaks.
type breakServer struct {
	reconciliationv1.UnimplementedBreakServiceServer
	reconciliation *reconciliation
}

// GetBreak implements reconciliationv1.BreakServiceServer.
func (s *breakServer) GetBreak(ctx context.Context, r *reconciliationv1.GetBreakRequest) (*reconciliationv1.GetBreakResponse, error) {
	bid, err := parseBreakID(r.GetBreakId())
	if err != nil {
		return nil, err
	}
	found, err := s.reconciliation.readBreak(ctx, bid)
	if err != nil {
		return nil, err
	}
	return s.inFull(found), nil
}

// ListBreaks implements reconciliationv1.BreakServiceServer.
func (s *breakServer) ListBreaks(ctx context.Context, r *reconciliationv1.ListBreaksRequest) (*reconciliationv1.ListBreaksResponse, error) {
	f, err := s.reconciliation.breakFilter(r.GetFilter())
	if err != nil {
		return nil, err
	}
	behind, err := filter.PageBehind(f, r.GetPageToken(), BreakID{}, id.Parse[breakKind])
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.reconciliation.listBreaks(ctx, f, behind, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, s.toProto, func(b *reconciliationv1.Break) string { return f.PageKey(b.GetBreakId()) })
	return &reconciliationv1.ListBreaksResponse{Breaks: page, NextPageToken: next}, nil
}

// OperateBreak implements reconciliationv1.BreakServiceServer.
func (s *breakServer) OperateBreak(ctx context.Context, r *reconciliationv1.OperateBreakRequest) (*reconciliationv1.OperateBreakResponse, error) {
	bid, err := parseBreakID(r.GetBreakId())
	if err != nil {
		return nil, err
	}
	after, err := s.reconciliation.operateBreak(ctx, operateBreakCommand{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), breakID: bid, decision: decisionFromProto(r.GetDecision()),
	})
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.OperateBreakResponse{Break: s.toProto(after)}, nil
}

// PlanBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) PlanBreakOperation(ctx context.Context, r *reconciliationv1.PlanBreakOperationRequest) (*reconciliationv1.PlanBreakOperationResponse, error) {
	op, err := s.reconciliation.planBreaks(ctx, planBreaksCommand{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), filter: r.GetFilter(), decision: decisionFromProto(r.GetDecision()),
	})
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.PlanBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}

// ApplyBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) ApplyBreakOperation(ctx context.Context, r *reconciliationv1.ApplyBreakOperationRequest) (*reconciliationv1.ApplyBreakOperationResponse, error) {
	op, err := s.reconciliation.applyBreaks(ctx, changeBreaksCommand{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), operationID: r.GetOperationId()})
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.ApplyBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}

// CancelBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) CancelBreakOperation(ctx context.Context, r *reconciliationv1.CancelBreakOperationRequest) (*reconciliationv1.CancelBreakOperationResponse, error) {
	op, err := s.reconciliation.cancelBreaks(ctx, changeBreaksCommand{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), operationID: r.GetOperationId(), reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.CancelBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}

// ListBreakOperations implements reconciliationv1.BreakServiceServer.
func (s *breakServer) ListBreakOperations(ctx context.Context, r *reconciliationv1.ListBreakOperationsRequest) (*reconciliationv1.ListBreakOperationsResponse, error) {
	before, err := rpc.PageBefore[breakOperationKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := newStore(s.reconciliation.pool).breakOperations(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, breakOperationToProto, (*reconciliationv1.BreakOperation).GetOperationId)
	return &reconciliationv1.ListBreakOperationsResponse{Operations: page, NextPageToken: next}, nil
}

// GetBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) GetBreakOperation(ctx context.Context, r *reconciliationv1.GetBreakOperationRequest) (*reconciliationv1.GetBreakOperationResponse, error) {
	oid, err := parseBreakOperationID(r.GetOperationId())
	if err != nil {
		return nil, err
	}
	op, err := newStore(s.reconciliation.pool).breakOperation(ctx, oid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}
