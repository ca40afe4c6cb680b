package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

var differenceView = output.View[*inventoryv1.StockDifference]{
	JSON: output.Message[*inventoryv1.StockDifference],
	Columns: []output.Column[*inventoryv1.StockDifference]{
		{Name: "sku", Value: (*inventoryv1.StockDifference).GetSku},
		{Name: "level", Value: func(d *inventoryv1.StockDifference) string { return levelText(d.GetLevel(), "none") }},
		{Name: "events", Value: func(d *inventoryv1.StockDifference) string { return levelText(d.GetEvents(), d.GetDamage()) }},
	},
}

func levelText(s *inventoryv1.Stock, none string) string {
	if s == nil {
		return none
	}
	return fmt.Sprintf("%d available, %d reserved, %d shipped, %d adjusted", s.GetAvailable(), s.GetReserved(), s.GetShipped(), s.GetAdjusted())
}

// rebuilding is what a rebuild was told, and what came of it.
type rebuilding struct {
	reason string
	apply  bool // else it only looks
	writer *output.Writer[*inventoryv1.StockDifference]

	skus, found, mended int
	events              int64
}

func (c *cli) stockRebuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rebuild {--verify | --reason REASON}", Short: "Add up all stock events, and compare with the levels or mend them", Args: args(cobra.NoArgs),
		Long: `Adds up the events of every SKU and prints those whose level is not what comes of it, while the system works.

--verify only looks. Without it, and with --yes, the level of each SKU that is printed is written anew from its events.
Exits with 8 when there are differences that were not mended.`,
	}
	b := &rebuilding{}
	format := formatFlag(cmd)
	verify := cmd.Flags().Bool("verify", false, "only look")
	asFlag(cmd)
	yes := yesFlag(cmd)
	cmd.Flags().StringVar(&b.reason, "reason", "", "why, for the record (required, unless --verify)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *verify && *yes:
			return usageError{errors.New("--verify and --yes exclude each other")}
		case !*verify && b.reason == "":
			return usageError{errNoReason}
		}
		b.apply = *yes
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			b.writer = output.NewWriter(c.stdout, *format, differenceView)
			if err := b.writer.End(c.rebuildAll(ctx, cmd, r, b)); err != nil {
				return err
			}
			c.note("%d SKUs with %d events: %d differ, %d of them were written anew", b.skus, b.events, b.found, b.mended)
			if b.found == b.mended {
				return nil
			}
			if !*verify && !*yes {
				c.note("nothing was done: this is the plan; do it with --yes")
			}
			return &exit{code: exitFindings}
		})
	}
	return cmd
}

// rebuildAll goes through all SKUs, page by page. One that cannot be mended goes to stderr, and the rest goes on.
func (c *cli) rebuildAll(ctx context.Context, cmd *cobra.Command, r *remote, b *rebuilding) error {
	client := inventoryv1.NewInventoryServiceClient(r.conn)
	for token, more := "", true; more; more = token != "" {
		callCtx, cancel := r.callContext(ctx)
		page, err := client.ListStockDifferences(callCtx, &inventoryv1.ListStockDifferencesRequest{PageSize: pageSize, PageToken: token})
		cancel()
		if err != nil {
			return err
		}
		token = page.GetNextPageToken()
		b.skus, b.events = b.skus+int(page.GetSkuCount()), b.events+page.GetEventCount()
		for _, d := range page.GetDifferences() {
			b.found++
			if err := b.writer.Write(d); err != nil {
				return err
			}
			if !b.apply {
				continue
			}
			if err := rebuildOne(ctx, r, client, d.GetSku(), b.reason); resend.Transient(err) {
				return err
			} else if err != nil {
				c.note("%s was left as it is", d.GetSku())
				c.printError(cmd, err)
				continue
			}
			b.mended++
		}
		if err := b.writer.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func rebuildOne(ctx context.Context, r *remote, client inventoryv1.InventoryServiceClient, sku, reason string) error {
	request := &inventoryv1.RebuildStockRequest{IdempotencyKey: "rebuild/" + uuid.NewString(), Sku: sku, Reason: reason}
	_, _, err := send(ctx, r, client.RebuildStock, request)
	return err
}
