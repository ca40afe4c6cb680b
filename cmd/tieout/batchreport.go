package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

// batchLines adds what the commands have in common that print all lines of a batch, a page at a time. Its format is CSV
// unless told otherwise: what they print is a file.
func batchLines(c *cli, cmd *cobra.Command, print func(ctx context.Context, r *remote, id string, format output.Format) error) *cobra.Command {
	format := output.CSV
	cmd.Flags().VarP(&format, "output", "o", "print as "+output.List())
	cmd.Args = args(cobra.ExactArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error { return print(ctx, r, args[0], format) })
	}
	return cmd
}

// printAll prints all pages of a list.
func printAll[T any](ctx context.Context, c *cli, r *remote, format output.Format, view output.View[T], read page[T]) error {
	w := output.NewWriter(c.stdout, format, view)
	_, err := listInto(ctx, r, w, 0, read)
	return w.End(err)
}

func (c *cli) batchReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report BATCH", Short: "Print what came of each item of a batch, as CSV or JSON",
		Long: `Prints what came of each item of a batch, in the order of the file, however many they are. JSON has each attempt.
States: ` + strings.Join(enumNames[billingv1.ItemState](itemStatePrefix), ", ") + `.`,
	}
	state := cmd.Flags().String("state", "", "only items in this state, as in failed")
	return batchLines(c, cmd, func(ctx context.Context, r *remote, id string, format output.Format) error {
		wanted, err := enumFlag[billingv1.ItemState]("state", itemStatePrefix, *state)
		if err != nil {
			return err
		}
		return printAll(ctx, c, r, format, batchItemView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.BatchItem, string, error) {
			p, err := billingv1.NewBatchServiceClient(r.conn).ListBatchItems(ctx, &billingv1.ListBatchItemsRequest{
				BatchId: id, PageSize: size, PageToken: token, State: wanted,
			})
			return p.GetItems(), p.GetNextPageToken(), err
		})
	})
}

func (c *cli) batchDuplicatesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "duplicates BATCH", Short: "Print the items of a batch whose references earlier batches have, and what came of those",
	}
	return batchLines(c, cmd, func(ctx context.Context, r *remote, id string, format output.Format) error {
		return printAll(ctx, c, r, format, duplicateView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.BatchDuplicate, string, error) {
			p, err := billingv1.NewBatchServiceClient(r.conn).ListBatchDuplicates(ctx, &billingv1.ListBatchDuplicatesRequest{
				BatchId: id, PageSize: size, PageToken: token,
			})
			return p.GetDuplicates(), p.GetNextPageToken(), err
		})
	})
}

func (c *cli) batchRejectedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rejected BATCH", Short: "Print the rows of a batch's file that are no payments, and why",
		Long: `Prints the rows of a batch's file that are no payments, and why. As CSV it can be opened in a spreadsheet: what would
be taken for a formula there has an apostrophe in front.`,
	}
	return batchLines(c, cmd, func(ctx context.Context, r *remote, id string, format output.Format) error {
		if format == output.CSV {
			return writeRejections(ctx, r, id, c.stdout)
		}
		return printAll(ctx, c, r, format, rejectionView, rejections(id))
	})
}

func rejections(id string) page[*billingv1.BatchRejection] {
	return func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.BatchRejection, string, error) {
		p, err := billingv1.NewBatchServiceClient(r.conn).ListBatchRejections(ctx, &billingv1.ListBatchRejectionsRequest{
			BatchId: id, PageSize: size, PageToken: token,
		})
		return p.GetRejections(), p.GetNextPageToken(), err
	}
}

// writeRejections writes the rows of a batch's file that are no payments, as CSV.
func writeRejections(ctx context.Context, r *remote, id string, to io.Writer) error {
	var w *paymentfile.RejectionWriter
	for token := ""; ; {
		callCtx, cancel := r.callContext(ctx)
		rows, next, err := rejections(id)(callCtx, r, pageSize, token)
		cancel()
		if err != nil {
			return err
		}
		if w == nil {
			w = paymentfile.NewRejectionWriter(to)
		}
		for _, row := range rows {
			w.Write(paymentfile.Rejection{
				Line: int(row.GetLine()), Field: row.GetField(), Reason: paymentfile.Reason(row.GetReason()), Text: row.GetMessage(), Raw: row.GetRaw(),
			})
		}
		if token = next; token == "" {
			break
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the rejected rows: %w", err)
	}
	return nil
}
