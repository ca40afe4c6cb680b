package main

import (
	"context"

	"github.com/spf13/cobra"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

func (c *cli) paymentCommand() *cobra.Command {
	get := &cobra.Command{Use: "get PAYMENT", Short: "Show a payment", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List payments, newest first"}
	return c.remoteGroup("payment", "Look into payments",
		object(c, get, paymentView, func(ctx context.Context, r *remote, args []string) (*paymentv1.Payment, error) {
			found, err := paymentv1.NewPaymentServiceClient(r.conn).GetPayment(ctx, &paymentv1.GetPaymentRequest{PaymentId: args[0]})
			return found.GetPayment(), err
		}),
		list(c, all, paymentView, func(ctx context.Context, r *remote, size int32, token string) ([]*paymentv1.Payment, string, error) {
			p, err := paymentv1.NewPaymentServiceClient(r.conn).ListPayments(ctx, &paymentv1.ListPaymentsRequest{PageSize: size, PageToken: token})
			return p.GetPayments(), p.GetNextPageToken(), err
		}))
}
