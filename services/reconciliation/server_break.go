package reconciliation

import (
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// breakServer is the gRPC face of breaks.
type breakServer struct {
	reconciliationv1.UnimplementedBreakServiceServer
	reconciliation *reconciliation
}
