package systemtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/cmd/tieout/batching"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// PaymentFile is a CSV file of so many payments of 1.00 EUR and more, each with the payment method that method gives.
func PaymentFile(n int, method func(i int) string) string {
	var b strings.Builder
	b.WriteString("reference,customer_id,payment_method,amount,currency,description\n")
	for i := range n {
		fmt.Fprintf(&b, "INV-%06d,c-%d,%s,%d.%02d,EUR,dues\n", i, i%997, method(i), 1+i%50, i%100)
	}
	return b.String()
}

// Upload uploads a file as a batch.
func Upload(ctx context.Context, batches billingv1.BatchServiceClient, key string, h *billingv1.BatchHeader, file string) (*billingv1.Batch, error) {
	stream, err := batches.UploadBatch(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&billingv1.UploadBatchRequest{IdempotencyKey: key, Part: &billingv1.UploadBatchRequest_Header{Header: h}})
	for err == nil && len(file) > 0 {
		n := min(len(file), 256<<10)
		err = stream.Send(&billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: []byte(file[:n])}})
		file = file[n:]
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetBatch(), err
}

// EndBatch waits until a batch has ended and gives it. It watches again when a watch breaks, as a client would.
func EndBatch(t testing.TB, batches billingv1.BatchServiceClient, batchID string, limit time.Duration) *billingv1.Batch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last *billingv1.Batch
	for {
		stream, err := batches.WatchBatch(ctx, &billingv1.WatchBatchRequest{BatchId: batchID})
		for err == nil {
			var answer *billingv1.WatchBatchResponse
			if answer, err = stream.Recv(); err == nil {
				last = answer.GetBatch()
			}
		}
		if batching.Ended(last.GetState()) {
			return last
		}
		if ctx.Err() != nil {
			t.Fatalf("batch %s does not end; at last %s: %v", batchID, last.GetProgress(), err)
		}
	}
}
