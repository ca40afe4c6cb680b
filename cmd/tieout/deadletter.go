package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/output"
	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/service"
)

// deadLetterFilterHelp says what --filter takes; the contract says it in full.
const deadLetterFilterHelp = `A filter compares fields: consumer = "billing-results" AND error : "reference" AND age > "15m". There are service, consumer,
state (open, redriven, discarded), event_id, event_type, subject, error, attempts, create_time and age. It knows = != :
(contains) < <= > >=, AND, OR (which binds more tightly) and NOT. What is more than letters, digits and _ stands in quotes.`

func deadLetterFilterFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("filter", "", `which dead letters, as in: consumer = "billing-results" AND age > "15m"`)
}

func (c *cli) deadLetterCommand() *cobra.Command {
	cmd := c.remoteGroup("deadletter", "Look at events that a consumer gave up on, drive them again, discard them",
		append(c.deadLetterVerbCommands(), c.deadLetterListCommand(), c.deadLetterGetCommand(), c.deadLetterOperationCommand())...)
	cmd.PersistentFlags().Lookup("addr").Usage = "host:port of the server, or of several that together run all services, separated by commas (default $" +
		envAddr + ", else " + service.DefaultConfig().GRPC.Addr + ")"
	return cmd
}

func (c *cli) deadLetterListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the dead letters that are open, service by service, the newest first", Args: args(cobra.NoArgs),
		Long: `Lists the dead letters that are open, service by service, the newest first; with --all also those that were redriven or
discarded.

` + deadLetterFilterHelp,
	}
	format, filter := formatFlag(cmd), deadLetterFilterFlag(cmd)
	all := cmd.Flags().Bool("all", false, "also those that were redriven or discarded")
	limit := cmd.Flags().Int("limit", defaultLimit, "how many to print at most; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return usageError{fmt.Errorf("--limit %d is less than zero", *limit)}
		}
		return c.withServers(cmd, func(ctx context.Context, rs []*remote) error {
			w := output.NewWriter(c.stdout, *format, deadLetterView)
			return w.End(c.listDeadLetters(ctx, rs, w, *limit, which(*filter, *all)))
		})
	}
	return cmd
}

// which is a filter that leaves out what has ended. AND binds loosest, so it needs no brackets.
func which(filter string, all bool) string {
	switch {
	case all:
		return filter
	case strings.TrimSpace(filter) == "":
		return "state = open"
	}
	return filter + " AND state = open"
}

func (c *cli) listDeadLetters(ctx context.Context, rs []*remote, w *output.Writer[*deadletterv1.DeadLetter], limit int, filter string) error {
	left := limit
	for _, r := range rs {
		listed := 0
		more, err := listInto(ctx, r, w, left, func(ctx context.Context, r *remote, size int32, token string) ([]*deadletterv1.DeadLetter, string, error) {
			request := &deadletterv1.ListDeadLettersRequest{PageSize: size, PageToken: token, Filter: filter}
			p, err := deadletterv1.NewDeadLetterServiceClient(r.conn).ListDeadLetters(ctx, request)
			listed += len(p.GetDeadLetters())
			return p.GetDeadLetters(), p.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		if left -= listed; more || limit > 0 && left <= 0 {
			c.note("these are the first %d, there may be more; --limit N prints up to N, --limit 0 all", limit)
			return nil
		}
	}
	return nil
}

func (c *cli) deadLetterGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get DEADLETTER", Short: "Show a dead letter with its payload, its headers and what people did with it", Args: args(cobra.ExactArgs(1)),
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withServers(cmd, func(ctx context.Context, rs []*remote) error {
			_, found, err := findDeadLetter(ctx, rs, args[0])
			if err != nil {
				return err
			}
			return output.One(c.stdout, *format, deadLetterView, found)
		})
	}
	return cmd
}

// withServers is withRemote for the servers that --addr names.
func (c *cli) withServers(cmd *cobra.Command, do func(context.Context, []*remote) error) error {
	addr, err := cmd.Flags().GetString("addr")
	if err != nil {
		return err
	}
	return c.withRemotes(cmd, strings.Split(cmp.Or(addr, c.getenv(envAddr), service.DefaultConfig().GRPC.Addr), ","), do)
}

// findDeadLetter asks one server after the other for a dead letter.
func findDeadLetter(ctx context.Context, rs []*remote, id string) (at *remote, found *deadletterv1.DeadLetter, err error) {
	at, err = whoHas(ctx, rs, func(ctx context.Context, r *remote) error {
		answer, err := deadletterv1.NewDeadLetterServiceClient(r.conn).GetDeadLetter(ctx, &deadletterv1.GetDeadLetterRequest{DeadLetterId: id})
		found = answer.GetDeadLetter()
		return err
	})
	return at, found, err
}

var errNoServer = errors.New("no server was asked")

// whoHas gives the server that has something: the first one that does not say that there is no such thing.
func whoHas(ctx context.Context, rs []*remote, ask func(context.Context, *remote) error) (*remote, error) {
	err := errNoServer
	for _, r := range rs {
		callCtx, cancel := r.callContext(ctx)
		err = ask(callCtx, r)
		cancel()
		if status.Code(err) != codes.NotFound {
			return r, err
		}
	}
	return nil, err
}
