package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

func (c *cli) paymentCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get PAYMENT", Short: "Show a payment, with what the provider was asked for and what it said", Args: args(cobra.ExactArgs(1)),
	}
	inquire := &cobra.Command{
		Use: "inquire PAYMENT", Short: "Ask the provider now what became of a payment in doubt", Args: args(cobra.ExactArgs(1)),
		Long: `Asks the provider now what became of what is in doubt of a payment, takes down what it says, and shows the payment.
It is asked by itself as well, less and less often. A payment that is not in doubt is shown as it stands.`,
	}
	return c.remoteGroup("payment", "Look into payments, give money back, and watch the provider",
		object(c, get, paymentView, func(ctx context.Context, r *remote, args []string) (*paymentv1.Payment, error) {
			return getPayment(ctx, r, args[0])
		}),
		object(c, inquire, paymentView, func(ctx context.Context, r *remote, args []string) (*paymentv1.Payment, error) {
			found, err := paymentv1.NewPaymentServiceClient(r.conn).InquirePayment(ctx, &paymentv1.InquirePaymentRequest{PaymentId: args[0]})
			return found.GetPayment(), err
		}),
		c.paymentListCommand(), c.paymentRefundCommand(), c.paymentVoidCommand(), c.paymentIdempotencyCommand(),
		c.paymentProviderCommand(), c.paymentBreakerCommand())
}

func getPayment(ctx context.Context, r *remote, id string) (*paymentv1.Payment, error) {
	found, err := paymentv1.NewPaymentServiceClient(r.conn).GetPayment(ctx, &paymentv1.GetPaymentRequest{PaymentId: id})
	return found.GetPayment(), err
}

func (c *cli) paymentListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List payments, newest first",
		Long: `Lists payments, newest first.

--in-doubt leaves only those of which the provider's answer to something was lost: the money may have moved or not.
States: ` + strings.Join(enumNames[paymentv1.PaymentState](paymentStatePrefix), ", ") + `.`,
	}
	state := cmd.Flags().String("state", "", "only payments in this state, as in captured")
	customer := cmd.Flags().String("customer", "", "only payments of this customer")
	reference := cmd.Flags().String("reference", "", "only payments for this order")
	inDoubt := cmd.Flags().Bool("in-doubt", false, "only payments of which something is in doubt")
	return list(c, cmd, paymentView, func(ctx context.Context, r *remote, size int32, token string) ([]*paymentv1.Payment, string, error) {
		wanted, err := enumFlag[paymentv1.PaymentState]("state", paymentStatePrefix, *state)
		if err != nil {
			return nil, "", err
		}
		p, err := paymentv1.NewPaymentServiceClient(r.conn).ListPayments(ctx, &paymentv1.ListPaymentsRequest{
			PageSize: size, PageToken: token, State: wanted, CustomerId: *customer, Reference: *reference, InDoubt: *inDoubt,
		})
		return p.GetPayments(), p.GetNextPageToken(), err
	})
}

func (c *cli) paymentIdempotencyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "idempotency KEY", Short: "Show what is known of an idempotency key", Args: args(cobra.ExactArgs(1)),
		Long: `Shows what is known of an idempotency key: for each caller and method that used it where the request stands, who
works on it and until when, the fields that a second request must agree in, how often the answer was given again, and
what the provider was asked for it.`,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			answer, err := paymentv1.NewPaymentServiceClient(r.conn).GetIdempotencyKey(ctx,
				&paymentv1.GetIdempotencyKeyRequest{Key: args[0]})
			if err != nil {
				return err
			}
			if len(answer.GetRecords()) == 0 {
				return &exit{code: exitNotFound, err: fmt.Errorf("no request has used the key %s", args[0])}
			}
			return c.printRecords(answer.GetRecords(), *format)
		})
	}
	return cmd
}

// printRecords prints records as a list; for people each with all that it holds.
func (c *cli) printRecords(records []*paymentv1.IdempotencyRecord, format output.Format) error {
	if format != output.Table {
		w := output.NewWriter(c.stdout, format, idempotencyView)
		for _, record := range records {
			if err := w.Write(record); err != nil {
				return err
			}
		}
		return w.Close()
	}
	for i, record := range records {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		if err := output.One(c.stdout, format, idempotencyView, record); err != nil {
			return err
		}
	}
	return nil
}
