package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

func (c *cli) sagaCommand() *cobra.Command {
	get := &cobra.Command{
		Use: "get SAGA|ORDER", Short: "Show a saga, by its id or its order's, with its whole history", Args: args(cobra.ExactArgs(1)),
	}
	asOf := get.Flags().Int32("as-of", 0, "show it as it stood after the event of this number")
	all := &cobra.Command{Use: "list", Short: "List sagas, newest first"}
	phase := all.Flags().String("phase", "", "only those in this phase: "+strings.Join(phases(), ", "))
	commands := append(c.operatorCommands(), c.sagaExplainCommand(),
		object(c, get, sagaView, func(ctx context.Context, r *remote, args []string) (*sagav1.Saga, error) {
			found, err := sagav1.NewSagaServiceClient(r.conn).GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: args[0], AsOfSequence: *asOf})
			return found.GetSaga(), err
		}),
		list(c, all, sagaView, func(ctx context.Context, r *remote, size int32, token string) ([]*sagav1.Saga, string, error) {
			wanted, err := parsePhase(*phase)
			if err != nil {
				return nil, "", err
			}
			p, err := sagav1.NewSagaServiceClient(r.conn).ListSagas(ctx, &sagav1.ListSagasRequest{PageSize: size, PageToken: token, Phase: wanted})
			return p.GetSagas(), p.GetNextPageToken(), err
		}))
	return c.remoteGroup("saga", "Look into what drives the orders, and decide", commands...)
}

// phases are the phases of sagas as people say them.
func phases() []string {
	var names []string
	for number := range sagav1.SagaPhase_name {
		if number != 0 {
			names = append(names, enum(sagav1.SagaPhase(number), "SAGA_PHASE_"))
		}
	}
	slices.Sort(names)
	return names
}

// parsePhase reads the name of a phase; none means any.
func parsePhase(name string) (sagav1.SagaPhase, error) {
	if name == "" {
		return sagav1.SagaPhase_SAGA_PHASE_UNSPECIFIED, nil
	}
	number := sagav1.SagaPhase_value["SAGA_PHASE_"+strings.ToUpper(name)]
	if number == 0 {
		return 0, usageError{fmt.Errorf("--phase %q is none of %s", name, strings.Join(phases(), ", "))}
	}
	return sagav1.SagaPhase(number), nil
}
