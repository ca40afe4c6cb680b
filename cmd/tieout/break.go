package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// breakWhich are the flags that say which breaks.
type breakWhich struct {
	code, state, severity, account, currency, assignee, order, payment string
	minAge                                                             int32
}

func breakWhichFlags(cmd *cobra.Command) *breakWhich {
	w := &breakWhich{}
	cmd.Flags().StringVar(&w.code, "code", "", "only of this code, as in MISSING_AT_BANK")
	cmd.Flags().StringVar(&w.state, "state", "", "only in this state: "+strings.Join(enumNames[reconciliationv1.BreakState](breakStatePrefix), ", ")+
		" (default: all that are not resolved)")
	cmd.Flags().StringVar(&w.severity, "severity", "", "only of this severity: "+strings.Join(enumNames[reconciliationv1.BreakSeverity](breakSeverityPrefix), ", "))
	cmd.Flags().StringVar(&w.account, "account", "", "only of this account with the provider or the bank")
	cmd.Flags().StringVar(&w.currency, "currency", "", "only in this currency, as in GBP")
	cmd.Flags().StringVar(&w.assignee, "assignee", "", "only with this assignee")
	cmd.Flags().StringVar(&w.order, "order", "", "only of this order")
	cmd.Flags().StringVar(&w.payment, "payment", "", "only of this payment")
	cmd.Flags().Int32Var(&w.minAge, "min-age", 0, "only with at least this age in business days")
	return w
}

// given says whether any of the flags is.
func (w *breakWhich) given() bool { return *w != breakWhich{} }

func (w *breakWhich) selection() (*reconciliationv1.BreakSelection, error) {
	s := &reconciliationv1.BreakSelection{
		Code: strings.ToUpper(w.code), Account: w.account, CurrencyCode: w.currency, Assignee: w.assignee, OrderId: w.order, PaymentId: w.payment,
		MinAgeDays: w.minAge,
	}
	var err error
	if s.State, err = enumFlag[reconciliationv1.BreakState]("state", breakStatePrefix, w.state); err != nil {
		return nil, err
	}
	s.Severity, err = enumFlag[reconciliationv1.BreakSeverity]("severity", breakSeverityPrefix, w.severity)
	return s, err
}

func (c *cli) breakCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get BREAK", Short: "Show a break with its movements, its journals and its history", Args: args(cobra.ExactArgs(1)),
	}
	all := &cobra.Command{
		Use: "list", Short: "List breaks, the most pressing first",
		Long: `Lists breaks, the most pressing first: by severity as it is whatever the age, then by age, the oldest first. The severity
that is shown counts the age.`,
	}
	which := breakWhichFlags(all)
	commands := append(c.breakVerbCommands(), c.breakOperationCommand(),
		object(c, get, breakInFullView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.GetBreakResponse, error) {
			return reconciliationv1.NewBreakServiceClient(r.conn).GetBreak(ctx, &reconciliationv1.GetBreakRequest{BreakId: args[0]})
		}),
		list(c, all, breakView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.Break, string, error) {
			s, err := which.selection()
			if err != nil {
				return nil, "", err
			}
			request := &reconciliationv1.ListBreaksRequest{PageSize: size, PageToken: token, Selection: s}
			p, err := reconciliationv1.NewBreakServiceClient(r.conn).ListBreaks(ctx, request)
			return p.GetBreaks(), p.GetNextPageToken(), err
		}))
	return c.remoteGroup("break", "Look into what is not explained, and decide", commands...)
}
