package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tieout/tieout/cmd/tieout/output"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

const (
	accountPrefix = "LEDGER_ACCOUNT_"
	journalPrefix = "jrn_"
	timeHelp      = "a time as in 2026-03-31T18:00:00Z, or a day as in 2026-03-31, which begins at midnight UTC"
)

var balanceView = output.View[*paymentv1.Balance]{
	JSON: output.Message[*paymentv1.Balance],
	Columns: []output.Column[*paymentv1.Balance]{
		{Name: "account", Value: func(b *paymentv1.Balance) string { return enum(b.GetAccount(), accountPrefix) }},
		{Name: "debits", Value: func(b *paymentv1.Balance) string { return amount(b.GetDebits()) }},
		{Name: "credits", Value: func(b *paymentv1.Balance) string { return amount(b.GetCredits()) }},
		{Name: "balance", Value: func(b *paymentv1.Balance) string { return amount(b.GetBalance()) }},
	},
}

var entryView = output.View[*paymentv1.Entry]{
	JSON: output.Message[*paymentv1.Entry],
	Columns: []output.Column[*paymentv1.Entry]{
		{Name: "create_time", Value: func(e *paymentv1.Entry) string { return instant(e.GetCreateTime()) }},
		{Name: "journal_id", Value: (*paymentv1.Entry).GetJournalId},
		{Name: "line", Value: func(e *paymentv1.Entry) string { return strconv.Itoa(int(e.GetLine())) }},
		{Name: "kind", Value: func(e *paymentv1.Entry) string { return enum(e.GetKind(), "JOURNAL_KIND_") }},
		{Name: "account", Value: func(e *paymentv1.Entry) string { return enum(e.GetAccount(), accountPrefix) }},
		{Name: "amount", Value: func(e *paymentv1.Entry) string { return amount(e.GetAmount()) }},
		{Name: "payment_id", Value: (*paymentv1.Entry).GetPaymentId},
		{Name: "reference", Value: (*paymentv1.Entry).GetReference},
		{Name: "provider_id", Value: (*paymentv1.Entry).GetProviderId},
		{Name: "effective_time", Value: func(e *paymentv1.Entry) string { return instant(e.GetEffectiveTime()) }},
	},
}

func (c *cli) ledgerCommand() *cobra.Command {
	return c.remoteGroup("ledger", "Look into the books", c.ledgerBalancesCommand(), c.ledgerEntriesCommand())
}

func (c *cli) ledgerBalancesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "balances", Short: "Show what each account comes to, now or as it was", Args: args(cobra.NoArgs),
		Long: `Shows what each account comes to in each currency: what is debited, what is credited, and by how much more is
debited. The balances of a currency sum to zero.

--as-of takes ` + timeHelp + `, and counts
what was written up to then; or the id of a journal, and counts what was written up to it.`,
	}
	asOf := cmd.Flags().String("as-of", "", "a time, a day, or the id of a journal (default: now)")
	currency := cmd.Flags().String("currency", "", "only this currency, as in GBP")
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := &paymentv1.GetBalancesRequest{CurrencyCode: *currency}
		if strings.HasPrefix(*asOf, journalPrefix) {
			request.AsOf = &paymentv1.GetBalancesRequest_AsOfJournalId{AsOfJournalId: *asOf}
		} else if at, err := timeFlag("as-of", *asOf); err != nil {
			return err
		} else if at != nil {
			request.AsOf = &paymentv1.GetBalancesRequest_AsOfTime{AsOfTime: at}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			answer, err := paymentv1.NewLedgerServiceClient(r.conn).GetBalances(ctx, request)
			w := output.NewWriter(c.stdout, *format, balanceView)
			for _, b := range answer.GetBalances() {
				if err := w.Write(b); err != nil {
					return err
				}
			}
			return w.End(err)
		})
	}
	return cmd
}

func (c *cli) ledgerEntriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "entries", Short: "List entries, those of the newest journal first",
		Long: `Lists entries, those of the newest journal first. More than zero debits the account, less than zero credits it.

--since and --until take ` + timeHelp + `.
Accounts: ` + strings.Join(enumNames[paymentv1.LedgerAccount](accountPrefix), ", ") + `.`,
	}
	account := cmd.Flags().String("account", "", "only entries of this account, as in provider_clearing")
	payment := cmd.Flags().String("payment", "", "only entries about this payment")
	currency := cmd.Flags().String("currency", "", "only this currency, as in GBP")
	since := cmd.Flags().String("since", "", "only what was written at this time or later")
	until := cmd.Flags().String("until", "", "only what was written before this time")
	return list(c, cmd, entryView, func(ctx context.Context, r *remote, size int32, token string) ([]*paymentv1.Entry, string, error) {
		request := &paymentv1.ListEntriesRequest{PageSize: size, PageToken: token, PaymentId: *payment, CurrencyCode: *currency}
		var err error
		if request.Account, err = enumFlag[paymentv1.LedgerAccount]("account", accountPrefix, *account); err != nil {
			return nil, "", err
		}
		if request.Since, err = timeFlag("since", *since); err != nil {
			return nil, "", err
		}
		if request.Until, err = timeFlag("until", *until); err != nil {
			return nil, "", err
		}
		p, err := paymentv1.NewLedgerServiceClient(r.conn).ListEntries(ctx, request)
		return p.GetEntries(), p.GetNextPageToken(), err
	})
}

// timeFlag reads a time or a day; nil for none.
func timeFlag(flag, text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			if stamp := timestamppb.New(at); stamp.CheckValid() == nil {
				return stamp, nil
			}
		}
	}
	return nil, usageError{fmt.Errorf("--%s %q is neither %s", flag, text, timeHelp)}
}
