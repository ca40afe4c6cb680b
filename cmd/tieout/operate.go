package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

// operatorVerbs are what a person can do to a saga, in the order of the help.
var operatorVerbs = []struct {
	verb  sagav1.SagaVerb
	short string
	step  bool // is about a step, and needs evidence
}{
	{sagav1.SagaVerb_SAGA_VERB_RETRY, "Try now what waits; let a parked saga go on where it stopped", false},
	{sagav1.SagaVerb_SAGA_VERB_COMPENSATE, "Turn back and undo what was done", false},
	{sagav1.SagaVerb_SAGA_VERB_PAUSE, "Send nothing more until it is resumed", false},
	{sagav1.SagaVerb_SAGA_VERB_RESUME, "Let a paused saga go on", false},
	{sagav1.SagaVerb_SAGA_VERB_RESOLVE, "Say, with evidence, that the step it is at took effect", true},
	{sagav1.SagaVerb_SAGA_VERB_RULE_OUT, "Say, with evidence, that the step it is at did not happen and never will", true},
	{sagav1.SagaVerb_SAGA_VERB_SKIP, "Go on without the step it is at, or without its compensation", true},
}

// operatorCommands are a command for each verb. Without --yes each is a plan: it shows the saga and does nothing.
func (c *cli) operatorCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range operatorVerbs {
		name := strings.ReplaceAll(enum(v.verb, "SAGA_VERB_"), "_", "-")
		cmd := &cobra.Command{Use: name + " SAGA|ORDER", Short: v.short, Args: args(cobra.ExactArgs(1))}
		r := &sagav1.OperateSagaRequest{Verb: v.verb}
		cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the record (required)")
		yes := cmd.Flags().Bool("yes", false, "do it; without this nothing is done")
		if v.step {
			cmd.Flags().StringVar(&r.Step, "step", "", "the step it is about (required)")
			cmd.Flags().StringVar(&r.Evidence, "evidence", "", "what you rely on: a ticket, the provider's answer (required)")
		}
		commands = append(commands, object(c, cmd, sagaView, func(ctx context.Context, at *remote, args []string) (*sagav1.Saga, error) {
			r.SagaId = args[0]
			if r.GetReason() == "" || (v.step && (r.GetStep() == "" || r.GetEvidence() == "")) {
				return nil, usageError{errors.New("a person's decision needs --reason, and one about a step --step and --evidence")}
			}
			return c.operate(ctx, at, r, *yes)
		}))
	}
	return commands
}

func (c *cli) operate(ctx context.Context, at *remote, r *sagav1.OperateSagaRequest, yes bool) (*sagav1.Saga, error) {
	sagas := sagav1.NewSagaServiceClient(at.conn)
	found, err := sagas.GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: r.GetSagaId()})
	if err != nil {
		return nil, err
	}
	if !yes {
		c.note("nothing was done: this is the saga as it stands; do it with --yes")
		return found.GetSaga(), nil
	}
	// The same command at the same state is the same request; at a later one it is decided anew.
	r.IdempotencyKey = fmt.Sprintf("operate/%s/%d/%x", found.GetSaga().GetSagaId(), found.GetSaga().GetSequence(),
		sha256.Sum256([]byte(r.GetVerb().String()+"\n"+r.GetReason()+"\n"+r.GetStep()+"\n"+r.GetEvidence())))
	var header metadata.MD
	var answer *sagav1.OperateSagaResponse
	err = resend.New(patience).Do(ctx, func(ctx context.Context) (err error) {
		answer, err = sagas.OperateSaga(ctx, r, grpc.Header(&header))
		return err
	})
	if err == nil && placing.Replayed(header) {
		c.note("replayed: it was done before")
	}
	return answer.GetSaga(), err
}

var explainView = output.View[*sagav1.ExplainSagaResponse]{
	JSON: output.Message[*sagav1.ExplainSagaResponse],
	Columns: []output.Column[*sagav1.ExplainSagaResponse]{
		{Name: "waits_for", Value: (*sagav1.ExplainSagaResponse).GetWaitsFor},
		{Name: "why", Value: (*sagav1.ExplainSagaResponse).GetWhy},
		{Name: "unblocked_by", Value: (*sagav1.ExplainSagaResponse).GetUnblockedBy},
	},
}

func (c *cli) sagaExplainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain SAGA|ORDER", Short: "Say what a saga waits for, why, and what makes it go on", Args: args(cobra.ExactArgs(1)),
	}
	return object(c, cmd, explainView, func(ctx context.Context, r *remote, args []string) (*sagav1.ExplainSagaResponse, error) {
		return sagav1.NewSagaServiceClient(r.conn).ExplainSaga(ctx, &sagav1.ExplainSagaRequest{SagaId: args[0]})
	})
}
