package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// batchVerb adds what the commands have in common that change a batch: do is given its id and a key of its own, for
// each time the command is run is a decision of its own.
func (c *cli) batchVerb(cmd *cobra.Command, do func(ctx context.Context, r *remote, id, key string) (*billingv1.Batch, error)) *cobra.Command {
	cmd.Args = args(cobra.ExactArgs(1))
	asFlag(cmd)
	verb := cmd.Name()
	return object(c, cmd, batchView, func(ctx context.Context, r *remote, args []string) (*billingv1.Batch, error) {
		if err := contact(ctx, r); err != nil {
			return nil, err
		}
		return do(ctx, r, args[0], verb+"/"+uuid.NewString())
	})
}

// withReason adds --reason to a command that needs one.
func (c *cli) withReason(cmd *cobra.Command, do func(ctx context.Context, r *remote, id, key, reason string) (*billingv1.Batch, error)) *cobra.Command {
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *reason == "" {
			return usageError{errNoReason}
		}
		return nil
	}
	return c.batchVerb(cmd, func(ctx context.Context, r *remote, id, key string) (*billingv1.Batch, error) {
		return do(ctx, r, id, key, *reason)
	})
}

func (c *cli) batchPauseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "pause BATCH", Short: "Start no more items of a running batch; those under way end"}
	return c.withReason(cmd, func(ctx context.Context, r *remote, id, key, reason string) (*billingv1.Batch, error) {
		request := &billingv1.PauseBatchRequest{IdempotencyKey: key, BatchId: id, Reason: reason}
		answer, _, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).PauseBatch, request)
		return answer.GetBatch(), err
	})
}

func (c *cli) batchResumeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "resume BATCH", Short: "Go on with a paused batch"}
	return c.batchVerb(cmd, func(ctx context.Context, r *remote, id, key string) (*billingv1.Batch, error) {
		request := &billingv1.ResumeBatchRequest{IdempotencyKey: key, BatchId: id}
		answer, _, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).ResumeBatch, request)
		return answer.GetBatch(), err
	})
}

func (c *cli) batchCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel BATCH", Short: "Cancel all items that were not started, for ever; those under way end",
		Long: `Cancels all items of a batch that were not started, for ever. Those under way end, and what is charged stays charged.
To stop for a while, pause it.`,
	}
	return c.withReason(cmd, func(ctx context.Context, r *remote, id, key, reason string) (*billingv1.Batch, error) {
		request := &billingv1.CancelBatchRequest{IdempotencyKey: key, BatchId: id, Reason: reason}
		answer, _, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).CancelBatch, request)
		return answer.GetBatch(), err
	})
}

func (c *cli) batchRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry-failed BATCH", Short: "Try the failed items of a finished batch again, and nothing else",
		Long: `Tries the failed items of a finished batch again, and nothing else. Items that were declined for good, as for a lost
card, are left as they are, and so are those whose outcome is not known.`,
	}
	return c.batchVerb(cmd, func(ctx context.Context, r *remote, id, key string) (*billingv1.Batch, error) {
		request := &billingv1.RetryFailedItemsRequest{IdempotencyKey: key, BatchId: id}
		answer, _, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).RetryFailedItems, request)
		if err == nil {
			c.note("%d items are tried again; %d were declined for good and are left as they are", answer.GetRetried(), answer.GetHard())
			c.note("follow it with: %s batch watch %s", c.program, id)
		}
		return answer.GetBatch(), err
	})
}
