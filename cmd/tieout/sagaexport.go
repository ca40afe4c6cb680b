package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/cmd/tieout/output"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

// exportReads is how many histories are read at once.
const exportReads = 16

func (c *cli) sagaExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Print all sagas that a filter holds for, as JSON Lines or CSV", Args: args(cobra.NoArgs),
		Long: `Prints all sagas that a filter holds for, newest first, a page at a time. With --history each has its steps and
events; CSV then has a line for each event.

` + filterHelp,
	}
	filter := filterFlag(cmd)
	history := cmd.Flags().Bool("history", false, "with the steps and events of each")
	format := output.JSONLines
	cmd.Flags().VarP(&format, "output", "o", "print as jsonl|csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format != output.JSONLines && format != output.CSV {
			return usageError{fmt.Errorf("-o %s: an export is jsonl or csv", format)}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			read := func(ctx context.Context, r *remote, size int32, token string) ([]*sagav1.Saga, string, error) {
				sagas, next, err := listSagas(ctx, r, *filter, size, token)
				if err == nil && *history {
					err = withHistories(ctx, r, sagas)
				}
				return sagas, next, err
			}
			if *history && format == output.CSV {
				return export(ctx, r, output.NewWriter(c.stdout, format, historyView), read, histories)
			}
			return export(ctx, r, output.NewWriter(c.stdout, format, sagaView), read, func(s *sagav1.Saga) []*sagav1.Saga { return []*sagav1.Saga{s} })
		})
	}
	return cmd
}

// export prints what all pages of sagas consist of.
func export[T any](ctx context.Context, r *remote, w *output.Writer[T], read page[*sagav1.Saga], parts func(*sagav1.Saga) []T) error {
	_, err := listInto(ctx, r, w, 0, func(ctx context.Context, r *remote, size int32, token string) (all []T, next string, err error) {
		sagas, next, err := read(ctx, r, size, token)
		for _, s := range sagas {
			all = append(all, parts(s)...)
		}
		return all, next, err
	})
	return w.End(err)
}

// withHistories puts in the place of each saga the saga with its history.
func withHistories(ctx context.Context, r *remote, sagas []*sagav1.Saga) error {
	client := sagav1.NewSagaServiceClient(r.conn)
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(exportReads)
	for i, s := range sagas {
		reads.Go(func() error {
			found, err := client.GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: s.GetSagaId()})
			sagas[i] = found.GetSaga()
			return err
		})
	}
	return reads.Wait()
}

// sagaEvent is an event with the saga it happened to.
type sagaEvent struct {
	saga  *sagav1.Saga
	event *sagav1.SagaEvent
}

func histories(s *sagav1.Saga) []sagaEvent {
	all := make([]sagaEvent, len(s.GetEvents()))
	for i, e := range s.GetEvents() {
		all[i] = sagaEvent{s, e}
	}
	return all
}

// historyView is a line for each event: the columns of its saga, and its own.
var historyView = output.View[sagaEvent]{Columns: historyColumns()}

func historyColumns() []output.Column[sagaEvent] {
	var all []output.Column[sagaEvent]
	for _, column := range sagaView.Columns {
		all = append(all, output.Column[sagaEvent]{Name: column.Name, Value: func(e sagaEvent) string { return column.Value(e.saga) }})
	}
	for _, column := range eventColumns {
		all = append(all, output.Column[sagaEvent]{Name: "event_" + column.Name, Value: func(e sagaEvent) string { return column.Value(e.event) }})
	}
	return all
}
