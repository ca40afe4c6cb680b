package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// breakFilterHelp says what --filter takes; the contract says it in full.
const breakFilterHelp = `A filter compares fields: severity >= high AND currency = EUR AND assignee = "". There are code, state (open,
acknowledged, resolving, pending_approval, resolved), resolution (matched, vanished, accepted, written_off, reposted, repaired),
severity (low, medium, high, critical) and age_days as they are today, account, amount (theirs less ours, in minor units),
currency, assignee, snoozed, matched, order_id, payment_id, subject, note, watcher, run_number, create_time and update_time. It
knows = != : (contains) < <= > >=, AND, OR (which binds more tightly) and NOT. What is more than letters, digits and _ stands in
quotes. What is resolved is left out unless the filter compares state or resolution. The other flags are short for a comparison
each, and must hold too.`

// breakShort are the flags that are short for a comparison in a filter.
var breakShort = []struct{ flag, compares, help string }{
	{"code", "code =", "only of this code, as in MISSING_AT_BANK"},
	{"state", "state =", "only in this state (default: all that are not resolved)"},
	{"severity", "severity =", "only of this severity: low, medium, high or critical"},
	{"account", "account =", "only of this account with the provider or the bank"},
	{"currency", "currency =", "only in this currency, as in GBP"},
	{"assignee", "assignee =", "only with this assignee"},
	{"order", "order_id =", "only of this order"},
	{"payment", "payment_id =", "only of this payment"},
}

// breakWhich are the flags that say which breaks.
type breakWhich struct {
	written string
	short   []*string // as breakShort
	minAge  *int32
}

func breakWhichFlags(cmd *cobra.Command) *breakWhich {
	w := &breakWhich{}
	cmd.Flags().StringVar(&w.written, "filter", "", `which breaks, as in: severity >= high AND currency = EUR`)
	for _, s := range breakShort {
		w.short = append(w.short, cmd.Flags().String(s.flag, "", s.help))
	}
	w.minAge = cmd.Flags().Int32("min-age", 0, "only with at least this age in business days")
	return w
}

// filter is all that the flags say as one filter; empty when they say nothing.
func (w *breakWhich) filter() string {
	var terms []string
	if written := strings.TrimSpace(w.written); written != "" {
		terms = append(terms, written)
	}
	for i, value := range w.short {
		if *value != "" {
			terms = append(terms, breakShort[i].compares+" "+strconv.Quote(*value))
		}
	}
	if *w.minAge != 0 {
		terms = append(terms, fmt.Sprintf("age_days >= %d", *w.minAge))
	}
	if len(terms) > 1 && terms[0] == strings.TrimSpace(w.written) {
		terms[0] = "(" + terms[0] + ")"
	}
	return strings.Join(terms, " AND ")
}

func (c *cli) breakCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get BREAK", Short: "Show a break with its movements, its journals and its history", Args: args(cobra.ExactArgs(1)),
	}
	all := &cobra.Command{
		Use: "list", Short: "List breaks, the most pressing first",
		Long: `Lists breaks, the most pressing first: by severity as it is whatever the age, then by age, the oldest first. The severity
that is shown counts the age.

` + breakFilterHelp,
	}
	which := breakWhichFlags(all)
	commands := append(c.breakVerbCommands(), c.breakOperationCommand(),
		object(c, get, breakInFullView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.GetBreakResponse, error) {
			return reconciliationv1.NewBreakServiceClient(r.conn).GetBreak(ctx, &reconciliationv1.GetBreakRequest{BreakId: args[0]})
		}),
		list(c, all, breakView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.Break, string, error) {
			request := &reconciliationv1.ListBreaksRequest{PageSize: size, PageToken: token, Filter: which.filter()}
			p, err := reconciliationv1.NewBreakServiceClient(r.conn).ListBreaks(ctx, request)
			return p.GetBreaks(), p.GetNextPageToken(), err
		}))
	return c.remoteGroup("break", "Look into what is not explained, and decide", commands...)
}
