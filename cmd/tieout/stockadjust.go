package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

func (c *cli) stockAdjustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "adjust SKU --by PIECES", Short: "Correct the stock of a SKU by what a count found", Args: args(cobra.ExactArgs(1)),
		Long: `Corrects the stock of a SKU: --by says how many pieces more there are than the books say, or with a minus how many
fewer. Pieces that are promised cannot be taken away. Without --yes nothing is done: it shows the stock as it stands.`,
	}
	request := &inventoryv1.AdjustStockRequest{}
	format := formatFlag(cmd)
	cmd.Flags().Int32Var(&request.Quantity, "by", 0, "how many pieces more, as in 3, or fewer, as in -3 (required)")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "why, for the record (required)")
	cmd.Flags().StringVar(&request.IdempotencyKey, "key", "", "idempotency key: the same correction under it again is made once (default: made, and printed)")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case request.GetQuantity() == 0:
			return usageError{errors.New("--by says how many pieces more or fewer there are, and cannot be 0")}
		case request.GetReason() == "":
			return usageError{errNoReason}
		}
		request.Sku = args[0]
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if !*yes {
				stock, err := getStock(ctx, r, &inventoryv1.GetStockRequest{Sku: request.GetSku()})
				if err != nil {
					return err
				}
				c.note("nothing was done: this is the stock as it stands; correct it by %+d with --yes", request.GetQuantity())
				return output.One(c.stdout, *format, stockView, stock)
			}
			return c.adjustStock(ctx, r, request, *format)
		})
	}
	return cmd
}

func (c *cli) adjustStock(ctx context.Context, r *remote, request *inventoryv1.AdjustStockRequest, format output.Format) error {
	if err := contact(ctx, r); err != nil {
		return err
	}
	request.IdempotencyKey = c.keyOf(request.GetIdempotencyKey(), "adjust", "correction")
	answer, replayed, err := send(ctx, r, inventoryv1.NewInventoryServiceClient(r.conn).AdjustStock, request)
	if err != nil {
		return err
	}
	if replayed {
		c.note("replayed: it was corrected before under this key, and nothing was done again")
	}
	return output.One(c.stdout, format, stockView, answer.GetStock())
}

func getStock(ctx context.Context, r *remote, request *inventoryv1.GetStockRequest) (*inventoryv1.Stock, error) {
	ctx, cancel := r.callContext(ctx)
	defer cancel()
	found, err := inventoryv1.NewInventoryServiceClient(r.conn).GetStock(ctx, request)
	return found.GetStock(), err
}
