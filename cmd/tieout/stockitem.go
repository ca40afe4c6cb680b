package main

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

var itemView = output.View[*inventoryv1.Item]{
	JSON: output.Message[*inventoryv1.Item],
	Columns: []output.Column[*inventoryv1.Item]{
		{Name: "sku", Value: (*inventoryv1.Item).GetSku},
		{Name: "unit", Value: (*inventoryv1.Item).GetUnit},
		{Name: "description", Value: (*inventoryv1.Item).GetDescription},
		{Name: "update_time", Value: func(i *inventoryv1.Item) string { return instant(i.GetUpdateTime()) }},
	},
}

func (c *cli) stockItemCommand() *cobra.Command {
	get := &cobra.Command{Use: "get SKU", Short: "Show what a SKU is", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List what all SKUs are, by SKU"}
	return group("item", "Say and see what SKUs are", c.stockItemPutCommand(),
		object(c, get, itemView, func(ctx context.Context, r *remote, args []string) (*inventoryv1.Item, error) {
			found, err := inventoryv1.NewInventoryServiceClient(r.conn).GetItem(ctx, &inventoryv1.GetItemRequest{Sku: args[0]})
			return found.GetItem(), err
		}),
		list(c, all, itemView, func(ctx context.Context, r *remote, size int32, token string) ([]*inventoryv1.Item, string, error) {
			p, err := inventoryv1.NewInventoryServiceClient(r.conn).ListItems(ctx, &inventoryv1.ListItemsRequest{PageSize: size, PageToken: token})
			return p.GetItems(), p.GetNextPageToken(), err
		}))
}

func (c *cli) stockItemPutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "put SKU --description TEXT", Short: "Say what a SKU is; one that is not known becomes so", Args: args(cobra.ExactArgs(1)),
	}
	request := &inventoryv1.PutItemRequest{}
	cmd.Flags().StringVar(&request.Description, "description", "", "what it is (required)")
	cmd.Flags().StringVar(&request.Unit, "unit", "", "what a quantity of it counts (default: piece)")
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if request.GetDescription() == "" {
			return usageError{errors.New("say what it is with --description")}
		}
		request.Sku, request.IdempotencyKey = args[0], "item/"+uuid.NewString()
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			answer, _, err := send(ctx, r, inventoryv1.NewInventoryServiceClient(r.conn).PutItem, request)
			if err != nil {
				return err
			}
			return output.One(c.stdout, *format, itemView, answer.GetItem())
		})
	}
	return cmd
}
