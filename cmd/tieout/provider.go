package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

func (c *cli) paymentProviderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "provider", Short: "Show the account at the provider, its breaker, and the money in doubt there", Args: args(cobra.NoArgs),
	}
	return object(c, cmd, providerView, func(ctx context.Context, r *remote, _ []string) (*paymentv1.Provider, error) {
		return getProvider(ctx, r)
	})
}

func getProvider(ctx context.Context, r *remote) (*paymentv1.Provider, error) {
	found, err := paymentv1.NewProviderServiceClient(r.conn).GetProvider(ctx, &paymentv1.GetProviderRequest{})
	return found.GetProvider(), err
}

func (c *cli) paymentBreakerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "breaker {open|auto}", Short: "Hold every call to the provider back, or leave that to the breaker again",
		Args: args(cobra.ExactArgs(1)),
		Long: `Holds every call to the provider back (open), or leaves it to the breaker again (auto), in every replica and also
after a restart. What is held back counts as not sent: payments wait, and none is lost. Without --yes nothing is done:
it shows the account as it stands.`,
	}
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	yes := yesFlag(cmd)
	return object(c, cmd, providerView, func(ctx context.Context, r *remote, args []string) (*paymentv1.Provider, error) {
		switch {
		case args[0] != "open" && args[0] != "auto":
			return nil, usageError{fmt.Errorf("a breaker is set to open or auto, not %q", args[0])}
		case *reason == "":
			return nil, usageError{errNoReason}
		}
		open := args[0] == "open"
		if !*yes {
			return c.planBreaker(ctx, r, open)
		}
		request := &paymentv1.ForceBreakerRequest{IdempotencyKey: "breaker/" + uuid.NewString(), Open: open, Reason: *reason}
		answer, _, err := send(ctx, r, paymentv1.NewProviderServiceClient(r.conn).ForceBreaker, request)
		return answer.GetProvider(), err
	})
}

// planBreaker shows the account as it stands, and says what would change.
func (c *cli) planBreaker(ctx context.Context, r *remote, open bool) (*paymentv1.Provider, error) {
	found, err := getProvider(ctx, r)
	if err != nil {
		return nil, err
	}
	forced := found.GetBreaker() == paymentv1.BreakerState_BREAKER_STATE_FORCED_OPEN
	switch {
	case forced == open:
		c.note("nothing was done, and nothing would change: the breaker is %s", breakerOf(found))
	case open:
		c.note("nothing was done: the breaker is %s; with --yes every call to %s is held back", breakerOf(found), found.GetName())
	default:
		c.note("nothing was done: the breaker is held open; with --yes calls go to %s again as the breaker lets them", found.GetName())
	}
	return found, nil
}
