package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

var limitView = output.View[*billingv1.ProviderLimit]{
	JSON: output.Message[*billingv1.ProviderLimit],
	Columns: []output.Column[*billingv1.ProviderLimit]{
		{Name: "account", Value: (*billingv1.ProviderLimit).GetAccount},
		{Name: "rate_per_second", Value: func(l *billingv1.ProviderLimit) string { return strconv.Itoa(int(l.GetRatePerSecond())) }},
		{Name: "concurrency", Value: func(l *billingv1.ProviderLimit) string { return strconv.Itoa(int(l.GetConcurrency())) }},
		{Name: "set_by", Value: (*billingv1.ProviderLimit).GetSetBy},
		{Name: "update_time", Value: func(l *billingv1.ProviderLimit) string { return instant(l.GetUpdateTime()) }},
		{Name: "reason", Value: (*billingv1.ProviderLimit).GetReason},
	},
}

func (c *cli) limitCommand() *cobra.Command {
	all := &cobra.Command{Use: "list", Short: "List the limits that were set, by account"}
	return c.remoteGroup("limit", "How fast batches may be charged at a provider account",
		list(c, all, limitView, listLimits), c.limitSetCommand())
}

func listLimits(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.ProviderLimit, string, error) {
	p, err := billingv1.NewBatchServiceClient(r.conn).ListProviderLimits(ctx, &billingv1.ListProviderLimitsRequest{PageSize: size, PageToken: token})
	return p.GetLimits(), p.GetNextPageToken(), err
}

func (c *cli) limitSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set ACCOUNT", Short: "Say how many items may be started in a second at an account, and how many be under way",
		Args: args(cobra.ExactArgs(1)),
		Long: `Says how many items may be started in a second at a provider account, and how many may be under way at once. It holds
at once, for batches that run as well. The account of batches that name none is "default". Without --yes nothing is
done: it shows the limit as it would be.`,
	}
	limit := &billingv1.SetProviderLimitRequest{}
	cmd.Flags().Int32Var(&limit.RatePerSecond, "rate", 0, "how many items may be started in a second; 0 for no limit (required)")
	cmd.Flags().Int32Var(&limit.Concurrency, "concurrency", 0, "how many items may be under way at once (required)")
	cmd.Flags().StringVar(&limit.Reason, "reason", "", "why, for the record (required)")
	asFlag(cmd)
	yes := yesFlag(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case !cmd.Flags().Changed("rate") || !cmd.Flags().Changed("concurrency"):
			return usageError{errors.New("a limit is both --rate and --concurrency")}
		case limit.GetReason() == "":
			return usageError{errNoReason}
		}
		return nil
	}
	return object(c, cmd, limitView, func(ctx context.Context, r *remote, args []string) (*billingv1.ProviderLimit, error) {
		limit.Account = args[0]
		if !*yes {
			return c.planLimit(ctx, r, limit)
		}
		limit.IdempotencyKey = "limit/" + uuid.NewString()
		answer, _, err := send(ctx, r, billingv1.NewBatchServiceClient(r.conn).SetProviderLimit, limit)
		return answer.GetLimit(), err
	})
}

// planLimit shows a limit as it would be, and says what holds now.
func (c *cli) planLimit(ctx context.Context, r *remote, limit *billingv1.SetProviderLimitRequest) (*billingv1.ProviderLimit, error) {
	now := "nobody has set one"
	for token := ""; ; {
		limits, next, err := listLimits(ctx, r, pageSize, token)
		if err != nil {
			return nil, err
		}
		for _, l := range limits {
			if l.GetAccount() == limit.GetAccount() {
				now = strconv.Itoa(int(l.GetRatePerSecond())) + " a second and " + strconv.Itoa(int(l.GetConcurrency())) + " at once"
			}
		}
		if token = next; token == "" {
			break
		}
	}
	c.note("nothing was done: with --yes this is the limit of %s, in place of what holds now: %s", limit.GetAccount(), now)
	return &billingv1.ProviderLimit{
		Account: limit.GetAccount(), RatePerSecond: limit.GetRatePerSecond(), Concurrency: limit.GetConcurrency(), Reason: limit.GetReason(),
	}, nil
}
