package batching

import (
	"context"

	"github.com/tieout/tieout/cmd/tieout/resend"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// Ended tells whether nothing more happens to a batch by itself.
func Ended(s billingv1.BatchState) bool {
	return s == billingv1.BatchState_BATCH_STATE_FINISHED || s == billingv1.BatchState_BATCH_STATE_CANCELLED
}

// Follow watches a batch until it has ended, and gives it as it stood then. Each is told how it stands, again and again.
// A stream that breaks is resumed for as long as the resender's patience lasts.
func Follow(ctx context.Context, client billingv1.BatchServiceClient, r *resend.Resender, batchID string, each func(*billingv1.Batch)) (*billingv1.Batch, error) {
	var last *billingv1.Batch
	err := resend.Follow(ctx, r, func(ctx context.Context) (resend.Stream[*billingv1.WatchBatchResponse], error) {
		return client.WatchBatch(ctx, &billingv1.WatchBatchRequest{BatchId: batchID})
	}, func(answer *billingv1.WatchBatchResponse) (bool, error) {
		last = answer.GetBatch()
		each(last)
		return Ended(last.GetState()), nil
	})
	return last, err
}
