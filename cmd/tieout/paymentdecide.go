package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// giving is what a command that gives money of a payment back was told.
type giving struct {
	verb        string // as it stands in the command
	reason, key string
	amount      string // empty for all that is left
	addr        string // of the server, where it was told
	format      *output.Format
	// left is what could be given back at most.
	left func(*paymentv1.Payment) *commonv1.Amount
	// ask has it done.
	ask func(ctx context.Context, r *remote, id string, amount *commonv1.Amount, header grpc.CallOption) (*paymentv1.Payment, error)
}

// givingFlags adds the flags of commands that give money back, and what they do.
func (c *cli) givingFlags(cmd *cobra.Command, g *giving) *cobra.Command {
	g.format = formatFlag(cmd)
	cmd.Args = args(cobra.ExactArgs(1))
	cmd.Flags().StringVar(&g.reason, "reason", "", "why, for the record (required)")
	cmd.Flags().StringVar(&g.key, "key", "", "idempotency key: the same request under it again is done once (default: made, and printed)")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if g.reason == "" {
			return usageError{errNoReason}
		}
		asked, err := amountFlag(g.amount)
		if err != nil {
			return err
		}
		if g.addr, err = cmd.Flags().GetString("addr"); err != nil {
			return err
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if !*yes {
				return c.planGiving(ctx, r, g, args[0], asked)
			}
			return c.give(ctx, r, g, args[0], asked)
		})
	}
	return cmd
}

func (c *cli) paymentRefundCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "refund PAYMENT", Short: "Give a captured payment back, all that is left of it or a part",
		Long: `Gives a captured payment back, all that is left of it or a part, as often as something is left. Without --yes nothing
is done: it shows what would be.

A refund has an idempotency key of its own. When its outcome is not known, the same command under the same key asks
again, and nothing is given back twice.`,
	}
	g := &giving{verb: "refund", left: leftToRefund}
	cmd.Flags().StringVar(&g.amount, "amount", "", `how much, as in "12.50 EUR" (default: all that is left)`)
	g.ask = func(ctx context.Context, r *remote, id string, amount *commonv1.Amount, header grpc.CallOption) (*paymentv1.Payment, error) {
		answer, err := paymentv1.NewPaymentServiceClient(r.conn).RefundPayment(ctx,
			&paymentv1.RefundPaymentRequest{IdempotencyKey: g.key, PaymentId: id, Amount: amount, Reason: g.reason}, header)
		return answer.GetPayment(), err
	}
	return c.givingFlags(cmd, g)
}

func (c *cli) paymentVoidCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "void PAYMENT", Short: "Release an authorized payment that was not captured",
		Long: `Releases the money that an authorized payment has set aside. Without --yes nothing is done: it shows what would be.`,
	}
	g := &giving{verb: "void", left: leftToVoid}
	g.ask = func(ctx context.Context, r *remote, id string, _ *commonv1.Amount, header grpc.CallOption) (*paymentv1.Payment, error) {
		answer, err := paymentv1.NewPaymentServiceClient(r.conn).VoidPayment(ctx,
			&paymentv1.VoidPaymentRequest{IdempotencyKey: g.key, PaymentId: id, Reason: g.reason}, header)
		return answer.GetPayment(), err
	}
	return c.givingFlags(cmd, g)
}

// amountFlag reads an amount; nil for none.
func amountFlag(text string) (*commonv1.Amount, error) {
	if text == "" {
		return nil, nil
	}
	decimal, code, _ := strings.Cut(text, " ")
	currency, err := money.ParseCurrency(code)
	var a money.Amount
	if err == nil {
		a, err = money.Parse(decimal, currency)
	}
	if err == nil && !a.IsPositive() {
		err = errors.New("it is not more than zero")
	}
	if err != nil {
		return nil, usageError{fmt.Errorf(`--amount %q is no amount as in "12.50 EUR": %w`, text, err)}
	}
	return &commonv1.Amount{CurrencyCode: code, MinorUnits: a.Minor}, nil
}

// leftToRefund is what was captured and neither went back nor was taken back.
func leftToRefund(p *paymentv1.Payment) *commonv1.Amount {
	return &commonv1.Amount{
		CurrencyCode: cmp.Or(p.GetCaptured().GetCurrencyCode(), p.GetAmount().GetCurrencyCode()),
		MinorUnits:   p.GetCaptured().GetMinorUnits() - p.GetRefunded().GetMinorUnits() - p.GetChargedBack().GetMinorUnits(),
	}
}

// leftToVoid is what an authorization sets aside.
func leftToVoid(p *paymentv1.Payment) *commonv1.Amount {
	left := &commonv1.Amount{CurrencyCode: p.GetAmount().GetCurrencyCode()}
	if p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
		left.MinorUnits = p.GetAmount().GetMinorUnits()
	}
	return left
}

// givingPlan is what would be given back.
type givingPlan struct {
	payment    *paymentv1.Payment
	left, back *commonv1.Amount
}

var givingView = output.View[givingPlan]{
	JSON: func(p givingPlan) ([]byte, error) {
		var parts struct {
			Payment  json.RawMessage `json:"payment"`
			Left     json.RawMessage `json:"left"`
			GiveBack json.RawMessage `json:"give_back"`
		}
		var errs [3]error
		parts.Payment, errs[0] = output.Message(p.payment)
		parts.Left, errs[1] = output.Message(p.left)
		parts.GiveBack, errs[2] = output.Message(p.back)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		return output.Value(parts)
	},
	Columns: []output.Column[givingPlan]{
		{Name: "payment_id", Value: func(p givingPlan) string { return p.payment.GetPaymentId() }},
		{Name: "state", Value: func(p givingPlan) string { return enum(p.payment.GetState(), paymentStatePrefix) }},
		{Name: "amount", Value: func(p givingPlan) string { return amount(p.payment.GetAmount()) }},
		{Name: "captured", Value: func(p givingPlan) string { return amount(p.payment.GetCaptured()) }},
		{Name: "refunded", Value: func(p givingPlan) string { return amount(p.payment.GetRefunded()) }},
		{Name: "charged_back", Value: func(p givingPlan) string { return amount(p.payment.GetChargedBack()) }},
		{Name: "left", Value: func(p givingPlan) string { return amount(p.left) }},
		{Name: "give_back", Value: func(p givingPlan) string { return amount(p.back) }},
		{Name: "customer_id", Value: func(p givingPlan) string { return p.payment.GetCustomerId() }},
		{Name: "reference", Value: func(p givingPlan) string { return p.payment.GetReference() }},
	},
	Sections: func(w io.Writer, p givingPlan) error { return askedSections(w, p.payment.GetOperations()) },
}

// planGiving shows what would be given back, and says so when the server would refuse it.
func (c *cli) planGiving(ctx context.Context, r *remote, g *giving, id string, asked *commonv1.Amount) error {
	ctx, cancel := r.callContext(ctx)
	defer cancel()
	payment, err := getPayment(ctx, r, id)
	if err != nil {
		return err
	}
	plan := givingPlan{payment: payment, left: g.left(payment), back: asked}
	if asked == nil {
		plan.back = plan.left
	}
	switch {
	case plan.left.GetMinorUnits() <= 0:
		c.note("nothing was done, and nothing could be: as the payment stands there is nothing to %s", g.verb)
	case plan.back.GetCurrencyCode() != plan.left.GetCurrencyCode() || plan.back.GetMinorUnits() > plan.left.GetMinorUnits():
		c.note("nothing was done, and nothing could be: %s is not to be had of the %s that are left", amount(plan.back), amount(plan.left))
	default:
		c.note("nothing was done: this is the plan; do it with --yes")
	}
	return output.One(c.stdout, *g.format, givingView, plan)
}

// give has it done. Where the transport lost the answer it is asked for again; where the provider did, the operator
// is told how.
func (c *cli) give(ctx context.Context, r *remote, g *giving, id string, asked *commonv1.Amount) error {
	if err := contact(ctx, r); err != nil {
		return err
	}
	g.key = c.keyOf(g.key, g.verb, g.verb)
	var header metadata.MD
	var payment *paymentv1.Payment
	var inDoubt error
	err := resend.New(patience).Do(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := r.callContext(ctx)
		defer cancel()
		payment, err = g.ask(ctx, r, id, asked, grpc.Header(&header))
		if e, _ := rpcerr.FromError(err); e != nil && e.Reason == rpcerr.PaymentOutcomeUnknown {
			inDoubt = err
			return nil
		}
		return err
	})
	if err == nil {
		err = inDoubt
	}
	if err != nil {
		if resend.Transient(err) {
			c.note("whether the %s took effect is not known. Ask again under its key, which does nothing twice:\n  %s", g.verb, c.again(g, id))
		}
		return err
	}
	if placing.Replayed(header) {
		c.note("replayed: it was done before under this key, and nothing was done again")
	}
	return output.One(c.stdout, *g.format, paymentView, payment)
}

// again is the command line that asks for the same under the same key.
func (c *cli) again(g *giving, id string) string {
	words := []string{c.program, "payment", g.verb, id}
	if g.amount != "" {
		words = append(words, "--amount", g.amount)
	}
	words = append(words, "--reason", g.reason, "--key", g.key, "--yes")
	if g.addr != "" {
		words = append(words, "--addr", g.addr)
	}
	for i, word := range words {
		words[i] = quoteArg(word)
	}
	return strings.Join(words, " ")
}
