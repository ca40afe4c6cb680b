package billing

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	recurringv1 "github.com/tieout/tieout/gen/tieout/recurring/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// startAt hands items to the orchestrator at the other end of a connection: the feeder's start.
func startAt(conn *grpc.ClientConn) func(context.Context, []starting) ([]outcome, error) {
	client := recurringv1.NewRecurringServiceClient(conn)
	return func(ctx context.Context, items []starting) (refused []outcome, err error) {
		r := &recurringv1.BatchStartRecurringPaymentRequest{}
		for _, i := range items {
			key := itemKey(i.batchID, i.line, i.attempt)
			r.Requests = append(r.Requests, &recurringv1.StartRecurringPaymentRequest{
				IdempotencyKey: key, Reference: key, CustomerId: i.customerID, PaymentMethod: i.paymentMethod, Amount: amountToProto(i.amount),
			})
		}
		answer, err := client.BatchStartRecurringPayment(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("starting recurring payments: %w", err)
		}
		if len(answer.GetResults()) != len(items) {
			return nil, fmt.Errorf("starting recurring payments: %d results for %d requests", len(answer.GetResults()), len(items))
		}
		for n, result := range answer.GetResults() {
			if result.GetStatus().GetCode() == 0 {
				continue
			}
			err := status.ErrorProto(result.GetStatus())
			e, known := rpcerr.FromError(err)
			switch {
			case known && e.Reason == rpcerr.IdempotencyKeyExpired: // it was started long ago, and is told of by event
			case known && e.Definite():
				i := items[n]
				refused = append(refused, outcome{
					batchID: i.batchID, line: i.line, attempt: i.attempt, state: itemFailed, reason: string(e.Reason), detail: e.Message,
				})
			default:
				return nil, fmt.Errorf("starting recurring payments: %w", err)
			}
		}
		return refused, nil
	}
}
