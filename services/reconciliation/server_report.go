package reconciliation

import (
	"context"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// GetReport implements reconciliationv1.ReconciliationServiceServer.
func (s *server) GetReport(ctx context.Context, r *reconciliationv1.GetReportRequest) (*reconciliationv1.GetReportResponse, error) {
	q := reportQuery{account: r.GetAccount(), currency: r.GetCurrencyCode()}
	var err error
	if q.from, err = parseDay("from", r.GetFrom()); err != nil {
		return nil, err
	}
	if q.to, err = parseDay("to", r.GetTo()); err != nil {
		return nil, err
	}
	made, err := s.reconciliation.report(ctx, q)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetReportResponse{Report: reportToProto(made)}, nil
}

// ListReportLines implements reconciliationv1.ReconciliationServiceServer.
func (s *server) ListReportLines(ctx context.Context, r *reconciliationv1.ListReportLinesRequest) (*reconciliationv1.ListReportLinesResponse, error) {
	to, err := parseDay("to", r.GetTo())
	if err != nil {
		return nil, err
	}
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	after, err := parseLineKey(token)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	q := reportQuery{account: r.GetAccount(), currency: r.GetCurrencyCode(), from: to, to: to}
	found, err := s.reconciliation.reportLines(ctx, q, after, n+1)
	if err != nil {
		return nil, err
	}
	last := ""
	page, next := rpc.Page(found, n, func(l *reportLine) *reconciliationv1.ReportLine {
		last = l.at.String()
		return reportLineToProto(l, r.GetCurrencyCode())
	}, func(*reconciliationv1.ReportLine) string { return last })
	return &reconciliationv1.ListReportLinesResponse{Lines: page, NextPageToken: next}, nil
}
