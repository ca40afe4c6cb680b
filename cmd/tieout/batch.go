package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/batching"
	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

func (c *cli) batchCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get BATCH", Short: "Show a batch: its plan, what has come of it, and the proof of its totals", Args: args(cobra.ExactArgs(1)),
	}
	all := &cobra.Command{Use: "list", Short: "List batches, newest first"}
	return c.remoteGroup("batch", "Plan, start and follow batches of recurring payments",
		c.batchPlanCommand(), c.batchStartCommand(),
		object(c, get, batchView, func(ctx context.Context, r *remote, args []string) (*billingv1.Batch, error) {
			found, err := billingv1.NewBatchServiceClient(r.conn).GetBatch(ctx, &billingv1.GetBatchRequest{BatchId: args[0]})
			return found.GetBatch(), err
		}),
		list(c, all, batchView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.Batch, string, error) {
			p, err := billingv1.NewBatchServiceClient(r.conn).ListBatches(ctx, &billingv1.ListBatchesRequest{PageSize: size, PageToken: token})
			return p.GetBatches(), p.GetNextPageToken(), err
		}),
		c.batchWatchCommand(), c.batchPauseCommand(), c.batchResumeCommand(), c.batchCancelCommand(), c.batchRetryCommand(),
		c.batchReportCommand(), c.batchRejectedCommand(), c.batchDuplicatesCommand())
}

func (c *cli) batchWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch BATCH", Short: "Show how far a batch is, until it has ended, and what came of it", Args: args(cobra.ExactArgs(1)),
		Long: `Shows how far a batch is, until it has ended, and then what came of it, as "batch start --wait" does; the duration
is counted from the batch's start. Ctrl-C detaches, and the batch goes on.

` + batchExits,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			last, err := c.followBatch(ctx, r, args[0])
			if err != nil && ctx.Err() != nil {
				return nil // detaching is what was asked for
			}
			if err != nil {
				return err
			}
			return c.concludeBatch(last, tookBatch(last), *format)
		})
	}
	return cmd
}

// tookBatch is how long a batch that has ended took from its start; nothing when it was never started.
func tookBatch(b *billingv1.Batch) time.Duration {
	if b.GetStartTime() == nil {
		return 0
	}
	return b.GetEndTime().AsTime().Sub(b.GetStartTime().AsTime())
}

// batchExits is what the help says of the exit codes of commands that wait for the end of a batch.
const batchExits = `Exits with 0 when every row of the file was paid, with 7 when items failed, are in doubt or were cancelled, or rows
were rejected, and with 8 when the proof of the batch's totals does not hold.`

// followBatch shows how far a batch is until it has ended, and gives it as it ended. Whoever interrupts it detaches, and
// is told how to attach again.
func (c *cli) followBatch(ctx context.Context, r *remote, id string) (*billingv1.Batch, error) {
	var now atomic.Pointer[billingv1.Batch]
	shown, pace := newProgress(c.stderr), &batching.Pace{}
	stop := repeat(shown.every, func() {
		if b := now.Load(); b != nil {
			pace.See(time.Now(), batching.Known(b.GetProgress()))
			shown.show(batchProgress(b, pace, shown.tty))
		}
	})
	last, err := batching.Follow(ctx, billingv1.NewBatchServiceClient(r.conn), resend.New(patience), id, now.Store)
	stop()
	shown.clear()
	if err != nil && ctx.Err() != nil {
		c.note("detached; the batch goes on. Watch it again with: %s batch watch %s", c.program, id)
	}
	return last, err
}

// batchProgress says how far a batch is, with a bar for a terminal.
func batchProgress(b *billingv1.Batch, pace *batching.Pace, bar bool) string {
	p, items := b.GetProgress(), b.GetPlan().GetItems()
	past := batching.Known(p) + p.GetCancelled()
	text := fmt.Sprintf("%d of %d items: %d succeeded, %d failed, %d unknown", past, items, p.GetSucceeded(), p.GetFailed(), p.GetUnknown())
	if taken := amounts(p.GetCollected()); taken != "" {
		text += "; " + taken + " taken"
	}
	if state := b.GetState(); state != billingv1.BatchState_BATCH_STATE_RUNNING {
		text += "; " + enum(state, batchStatePrefix)
	} else if perSecond := pace.PerSecond(); perSecond > 0 {
		text += fmt.Sprintf("; %.0f/s, %s left", perSecond, pace.Left(items-past))
	}
	if !bar || items == 0 {
		return text
	}
	return progressBar(past, items) + text
}

// concludeBatch prints what came of a batch that took that long. Its error is that not all was paid.
func (c *cli) concludeBatch(b *billingv1.Batch, took time.Duration, format output.Format) error {
	s := batching.Summarize(b, took)
	if err := output.One(c.stdout, format, batchSummaryView, s); err != nil {
		return err
	}
	if s.Failed+s.Unknown > 0 {
		c.note("what failed, and why: %s batch report %s", c.program, s.BatchID)
	}
	switch {
	case s.Difference != "":
		return &exit{code: exitFindings, err: fmt.Errorf("the totals of batch %s are not what they should be: %s", s.BatchID, s.Difference)}
	case !s.All():
		return &exit{code: exitPartial}
	}
	return nil
}

const (
	batchStatePrefix = "BATCH_STATE_"
	itemStatePrefix  = "ITEM_STATE_"
)

// amounts are sums, per currency: "12.50 EUR, 900 JPY".
func amounts(sums []*billingv1.Sum) string {
	var texts []string
	for _, s := range sums {
		texts = append(texts, amount(s.GetAmount()))
	}
	return strings.Join(texts, ", ")
}
