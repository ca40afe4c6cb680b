package main

import (
	"context"

	"github.com/spf13/cobra"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

func (c *cli) stockCommand() *cobra.Command {
	all := &cobra.Command{Use: "list", Short: "List the stock of all SKUs, by SKU"}
	return c.remoteGroup("stock", "Receive, correct and look at stock",
		c.stockReceiveCommand(), c.stockAdjustCommand(), c.stockItemCommand(),
		c.stockGetCommand(), c.stockEventsCommand(), c.stockMovementsCommand(), c.stockRebuildCommand(),
		list(c, all, stockView, func(ctx context.Context, r *remote, size int32, token string) ([]*inventoryv1.Stock, string, error) {
			p, err := inventoryv1.NewInventoryServiceClient(r.conn).ListStock(ctx, &inventoryv1.ListStockRequest{PageSize: size, PageToken: token})
			return p.GetStock(), p.GetNextPageToken(), err
		}))
}
