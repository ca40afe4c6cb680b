package reconciliation

import (
	"context"

	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
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

// GetRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) GetRun(ctx context.Context, r *reconciliationv1.GetRunRequest) (*reconciliationv1.GetRunResponse, error) {
	return s.UnimplementedReconciliationServiceServer.GetRun(ctx, r)
}
