package reconciliation

import (
	"context"
	"strconv"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// PutRuleSet implements reconciliationv1.ReconciliationServiceServer.
func (s *server) PutRuleSet(ctx context.Context, r *reconciliationv1.PutRuleSetRequest) (*reconciliationv1.PutRuleSetResponse, error) {
	version, err := s.reconciliation.putRules(ctx, requestOf(ctx, r.GetIdempotencyKey()), r.GetDocument(), r.GetNote())
	if err != nil {
		return nil, err
	}
	put, err := s.store().ruleSet(ctx, version)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.PutRuleSetResponse{RuleSet: ruleSetToProto(put)}, nil
}

// ActivateRuleSet implements reconciliationv1.ReconciliationServiceServer.
func (s *server) ActivateRuleSet(ctx context.Context, r *reconciliationv1.ActivateRuleSetRequest) (*reconciliationv1.ActivateRuleSetResponse, error) {
	if err := s.reconciliation.activateRules(ctx, requestOf(ctx, r.GetIdempotencyKey()), r.GetVersion(), r.GetReason()); err != nil {
		return nil, err
	}
	active, err := s.store().ruleSet(ctx, r.GetVersion())
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.ActivateRuleSetResponse{RuleSet: ruleSetToProto(active)}, nil
}

// GetRuleSet implements reconciliationv1.ReconciliationServiceServer.
func (s *server) GetRuleSet(ctx context.Context, r *reconciliationv1.GetRuleSetRequest) (*reconciliationv1.GetRuleSetResponse, error) {
	found, err := s.store().ruleSet(ctx, r.GetVersion())
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetRuleSetResponse{RuleSet: ruleSetToProto(found)}, nil
}

// ListRuleSets implements reconciliationv1.ReconciliationServiceServer.
func (s *server) ListRuleSets(ctx context.Context, r *reconciliationv1.ListRuleSetsRequest) (*reconciliationv1.ListRuleSetsResponse, error) {
	before, err := numberBehind(r.GetPageToken(), 32)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.store().ruleSets(ctx, int32(before), n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, ruleSetToProto, func(m *reconciliationv1.RuleSet) string { return strconv.Itoa(int(m.GetVersion())) })
	return &reconciliationv1.ListRuleSetsResponse{RuleSets: page, NextPageToken: next}, nil
}
