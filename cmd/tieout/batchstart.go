package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// startFlags are what `batch start` was told.
type startFlags struct {
	acceptDuplicates, wait bool
	began                  time.Time
	format                 *output.Format
}

func (c *cli) batchStartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start {BATCH | -f FILE}", Short: "Have the items of a planned batch charged, or plan a file and have it charged in one go",
		Args: args(cobra.MaximumNArgs(1)),
		Long: `Has the items of a planned batch charged; or with -f plans a file as "batch plan" does, and has it charged in one go.
Rows of the file that are no payments are left out. Items with references that earlier batches have are charged only
with --accept-duplicates. Started again, a batch that was started stays as it is.

With --wait it shows how far the batch is, until it has ended, and then what came of it; Ctrl-C detaches, and the
batch goes on.

` + batchExits + `

` + paymentFileHelp,
	}
	upload, f := newUploadFlags(cmd), &startFlags{format: formatFlag(cmd)}
	cmd.Flags().BoolVar(&f.acceptDuplicates, "accept-duplicates", false, "charge also the items whose references earlier batches have")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "follow the batch to its end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.began = time.Now()
		given := upload.given()
		switch {
		case (len(args) == 1) == (upload.file != ""):
			return usageError{errors.New("say what to start: either a batch or -f FILE")}
		case len(args) == 1 && len(given) > 0:
			return usageError{fmt.Errorf("%s: only a file that is uploaded takes it", strings.Join(given, ", "))}
		case len(args) == 1:
			return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
				if err := contact(ctx, r); err != nil {
					return err
				}
				return c.startBatch(ctx, r, args[0], f)
			})
		}
		return c.withUpload(cmd, upload, func(ctx context.Context, r *remote, upload func() (*billingv1.Batch, error)) error {
			planned, err := upload()
			if err != nil {
				return err
			}
			if err := c.startBatch(ctx, r, planned.GetBatchId(), f); err != nil {
				return err
			}
			return rowsRejected(planned)
		})
	}
	return cmd
}

// startBatch starts a batch, and follows it when that was asked for.
func (c *cli) startBatch(ctx context.Context, r *remote, id string, f *startFlags) error {
	request := &billingv1.StartBatchRequest{
		// A batch is started once, however often that is asked for.
		IdempotencyKey: fmt.Sprintf("start/%s/%t", id, f.acceptDuplicates), BatchId: id, AcceptDuplicates: f.acceptDuplicates,
	}
	answer, replayed, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).StartBatch, request)
	switch e, _ := rpcerr.FromError(err); {
	case err != nil && ctx.Err() != nil:
		c.note("interrupted: batch %s may have been started. See %s batch get %s", id, c.program, id)
		return &exit{code: exitPartial}
	case e != nil && e.Reason == rpcerr.BatchHasDuplicates:
		c.note("nothing was charged. Look at them with: %s batch duplicates %s\nCharge them too with: %s batch start %s --accept-duplicates",
			c.program, id, c.program, id)
	}
	if err != nil {
		return err
	}
	if replayed {
		c.note("replayed: batch %s was started before", id)
	}
	if !f.wait {
		return output.One(c.stdout, *f.format, batchView, answer.GetBatch())
	}
	last, err := c.followBatch(ctx, r, id)
	if err != nil && ctx.Err() != nil {
		return &exit{code: exitPartial}
	}
	if err != nil {
		return err
	}
	took := time.Since(f.began)
	if replayed {
		took = tookBatch(last) // whoever started it knows how long it took from its upload
	}
	return c.concludeBatch(last, took, *f.format)
}
