package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

// filterHelp says what --filter takes; the contract says it in full.
const filterHelp = `A filter compares fields: phase = parked AND cause : "declined" AND age > "15m". There are phase (running,
compensating, completed, compensated, parked), parked, paused, at_risk, definition, version, step, cause, customer_id,
order_id, amount (in minor units), currency, blocked_on (a service: payment), create_time, update_time and age. It
knows = != : (contains) < <= > >=, AND, OR (which binds more tightly) and NOT. What is more than letters, digits and _
stands in quotes.`

func filterFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("filter", "", `which sagas, as in: phase = parked AND age > "15m"`)
}

func (c *cli) sagaCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get SAGA|ORDER", Short: "Show a saga, by its id or its order's, with its whole history", Args: args(cobra.ExactArgs(1)),
	}
	asOf := get.Flags().Int32("as-of", 0, "show it as it stood after the event of this number")
	all := &cobra.Command{
		Use: "list", Short: "List sagas, newest first",
		Long: "Lists the sagas that a filter holds for, newest first.\n\n" + filterHelp,
	}
	filter := filterFlag(all)
	commands := append(c.operatorCommands(), c.sagaExplainCommand(), c.sagaWatchCommand(), c.sagaExportCommand(), c.operationCommand(),
		object(c, get, sagaView, func(ctx context.Context, r *remote, args []string) (*sagav1.Saga, error) {
			found, err := sagav1.NewSagaServiceClient(r.conn).GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: args[0], AsOfSequence: *asOf})
			return found.GetSaga(), err
		}),
		list(c, all, sagaView, func(ctx context.Context, r *remote, size int32, token string) ([]*sagav1.Saga, string, error) {
			return listSagas(ctx, r, *filter, size, token)
		}))
	return c.remoteGroup("saga", "Look into what drives the orders, and decide", commands...)
}

func listSagas(ctx context.Context, r *remote, filter string, size int32, token string) ([]*sagav1.Saga, string, error) {
	p, err := sagav1.NewSagaServiceClient(r.conn).ListSagas(ctx, &sagav1.ListSagasRequest{PageSize: size, PageToken: token, Filter: filter})
	return p.GetSagas(), p.GetNextPageToken(), err
}

func (c *cli) sagaExplainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain SAGA|ORDER", Short: "Say what a saga waits for, why, and what makes it go on", Args: args(cobra.ExactArgs(1)),
	}
	return object(c, cmd, explainView, func(ctx context.Context, r *remote, args []string) (*sagav1.ExplainSagaResponse, error) {
		return sagav1.NewSagaServiceClient(r.conn).ExplainSaga(ctx, &sagav1.ExplainSagaRequest{SagaId: args[0]})
	})
}

func (c *cli) sagaWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch SAGA|ORDER", Short: "Print what happens to a saga, until it is at rest", Args: args(cobra.ExactArgs(1)),
		Long: `Prints the events of a saga, by its id or its order's, from the first one on, and each new one as it is recorded,
until the saga is at rest: completed, compensated or parked. --after N leaves out the events up to number N.`,
	}
	format := formatFlag(cmd)
	after := cmd.Flags().Int32("after", 0, "leave out the events up to this number")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			w := output.NewWriter(c.stdout, *format, eventView)
			last, err := followSaga(ctx, r, args[0], *after, func(e *sagav1.SagaEvent) error {
				if err := w.Write(e); err != nil {
					return err
				}
				return w.Flush()
			})
			switch {
			case err == nil:
				c.note("the saga is %s", phaseOf(last))
			case ctx.Err() != nil:
				c.note("detached; the saga goes on. Watch it again with: %s saga watch %s --after %d", c.program, args[0], last.GetSequence())
				err = nil
			}
			return w.End(err)
		})
	}
	return cmd
}

// followSaga tells each of every event of a saga behind one, each once, until the saga is at rest, and gives the saga
// as it last was.
func followSaga(ctx context.Context, r *remote, sagaID string, after int32, each func(*sagav1.SagaEvent) error) (*sagav1.Saga, error) {
	client, last := sagav1.NewSagaServiceClient(r.conn), &sagav1.Saga{Sequence: after}
	err := resend.Follow(ctx, resend.New(patience), func(ctx context.Context) (resend.Stream[*sagav1.WatchSagaResponse], error) {
		return client.WatchSaga(ctx, &sagav1.WatchSagaRequest{SagaId: sagaID, AfterSequence: last.GetSequence()})
	}, func(answer *sagav1.WatchSagaResponse) (bool, error) {
		last = answer.GetSaga()
		for _, e := range last.GetEvents() {
			if err := each(e); err != nil {
				return false, err
			}
		}
		return resting(last.GetPhase()), nil
	})
	return last, err
}

// resting tells whether nothing more happens to a saga by itself.
func resting(phase sagav1.SagaPhase) bool { return phase >= sagav1.SagaPhase_SAGA_PHASE_COMPLETED }
