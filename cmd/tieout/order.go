package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

// patience is how long a call is repeated whose answer is lost. A restart of the server takes less.
const patience = 2 * time.Minute

func (c *cli) orderCommand() *cobra.Command {
	get := &cobra.Command{Use: "get ORDER", Short: "Show an order with its timeline", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List orders, newest first"}
	return c.remoteGroup("order", "Place and follow orders",
		c.orderPlaceCommand(),
		object(c, get, orderView, func(ctx context.Context, r *remote, args []string) (*orderv1.Order, error) {
			found, err := orderv1.NewOrderServiceClient(r.conn).GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: args[0]})
			return found.GetOrder(), err
		}),
		list(c, all, orderView, func(ctx context.Context, r *remote, size int32, token string) ([]*orderv1.Order, string, error) {
			p, err := orderv1.NewOrderServiceClient(r.conn).ListOrders(ctx, &orderv1.ListOrdersRequest{PageSize: size, PageToken: token})
			return p.GetOrders(), p.GetNextPageToken(), err
		}),
		c.orderCancelCommand(), c.orderWatchCommand())
}

func (c *cli) orderCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel ORDER", Short: "Cancel an order that has not come to shipping", Args: args(cobra.ExactArgs(1)),
	}
	reason := cmd.Flags().String("reason", "", "why, for the history")
	return object(c, cmd, orderView, func(ctx context.Context, r *remote, args []string) (*orderv1.Order, error) {
		if err := contact(ctx, r); err != nil {
			return nil, err
		}
		// The same command again is the same request: it tells how the order stands and cancels nothing anew.
		key := fmt.Sprintf("cancel/%s/%x", args[0], sha256.Sum256([]byte(*reason)))
		answer, replayed, err := send(ctx, r, orderv1.NewOrderServiceClient(r.conn).CancelOrder,
			&orderv1.CancelOrderRequest{IdempotencyKey: key, OrderId: args[0], Reason: *reason})
		if err == nil && replayed {
			c.note("replayed: the order was cancelled before")
		}
		return answer.GetOrder(), err
	})
}

func (c *cli) orderWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch ORDER", Short: "Print an order at every change, until it has ended", Args: args(cobra.ExactArgs(1)),
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			w := output.NewWriter(c.stdout, *format, orderView)
			_, err := placing.Follow(ctx, orderv1.NewOrderServiceClient(r.conn), resend.New(patience), args[0], func(o *orderv1.Order) error {
				if err := w.Write(o); err != nil {
					return err
				}
				return w.Flush()
			})
			if err != nil && ctx.Err() != nil {
				c.note("detached; the order goes on. Watch it again with: %s order watch %s", c.program, args[0])
				err = nil
			}
			return w.End(err)
		})
	}
	return cmd
}
