package reconciliation

import (
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// statementServer is the gRPC face of what is taken in.
type statementServer struct {
	reconciliationv1.UnimplementedStatementServiceServer
	reconciliation *reconciliation
}
