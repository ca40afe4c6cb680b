package reconciliation

import (
	"context"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
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
	behind, err := rpc.PageBefore[breakKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if r.GetPageToken() == "" {
		behind = BreakID{} // the first page
	}
	which, err := selectionFromProto(r.GetSelection())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.reconciliation.listBreaks(ctx, which, behind, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, s.toProto, (*reconciliationv1.Break).GetBreakId)
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
	which, err := selectionFromProto(r.GetSelection())
	if err != nil {
		return nil, err
	}
	op, err := s.reconciliation.planBreaks(ctx, planBreaksCommand{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), selection: which, decision: decisionFromProto(r.GetDecision()),
	})
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.PlanBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}

// ApplyBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) ApplyBreakOperation(ctx context.Context, r *reconciliationv1.ApplyBreakOperationRequest) (*reconciliationv1.ApplyBreakOperationResponse, error) {
	oid, err := parseBreakOperationID(r.GetOperationId())
	if err != nil {
		return nil, err
	}
	op, err := s.reconciliation.applyBreaks(ctx, rpc.Caller(ctx), r.GetIdempotencyKey(), oid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.ApplyBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}

// GetBreakOperation implements reconciliationv1.BreakServiceServer.
func (s *breakServer) GetBreakOperation(ctx context.Context, r *reconciliationv1.GetBreakOperationRequest) (*reconciliationv1.GetBreakOperationResponse, error) {
	oid, err := parseBreakOperationID(r.GetOperationId())
	if err != nil {
		return nil, err
	}
	op, err := s.reconciliation.breakOperation(ctx, oid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetBreakOperationResponse{Operation: breakOperationToProto(op)}, nil
}
