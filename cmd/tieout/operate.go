package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

// operatorVerbs are what a person can do to sagas, in the order of the help.
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

// decision is what an operator's command was told.
type decision struct {
	verb                   sagav1.SagaVerb
	reason, step, evidence string
	filter                 string
	rate                   int32
	yes                    bool
	format                 *output.Format
}

// operatorCommands are a command for each verb. Without --yes each is a plan: it shows the sagas and does nothing.
func (c *cli) operatorCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range operatorVerbs {
		cmd := &cobra.Command{
			Use: verbName(v.verb) + " {SAGA|ORDER… | --filter FILTER}", Short: v.short, Args: args(cobra.ArbitraryArgs),
			Long: v.short + `.

Sagas are named by their ids or their orders', or found by a filter. Without --yes nothing is done: the sagas are shown
as they stand, or for a filter how many they are, what they come to, and which of them would refuse. A filter's plan is
kept and can be applied for an hour; only the sagas it found are touched.

` + filterHelp,
		}
		d := &decision{verb: v.verb, format: formatFlag(cmd)}
		cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record (required)")
		cmd.Flags().BoolVar(&d.yes, "yes", false, "do it; without this nothing is done")
		cmd.Flags().StringVar(&d.filter, "filter", "", `which sagas, as in: phase = parked AND age > "15m"`)
		rateFlag(cmd, &d.rate)
		asFlag(cmd)
		if v.step {
			cmd.Flags().StringVar(&d.step, "step", "", "the step it is about (required)")
			cmd.Flags().StringVar(&d.evidence, "evidence", "", "what you rely on: a ticket, the provider's answer (required)")
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			switch {
			case d.reason == "" || v.step && (d.step == "" || d.evidence == ""):
				return usageError{errors.New("a person's decision needs --reason, and one about a step --step and --evidence")}
			case (len(args) > 0) == (d.filter != ""):
				return usageError{errors.New("say which sagas: either their ids or --filter")}
			case d.rate != 0 && d.filter == "":
				return usageError{errors.New("--rate is for a --filter")}
			case d.filter != "":
				return c.operateOnMany(cmd, d)
			}
			return c.operateOnEach(cmd, d, args)
		}
		commands = append(commands, cmd)
	}
	return commands
}

// verbName is a verb as people write it.
func verbName(verb sagav1.SagaVerb) string {
	return strings.ReplaceAll(enum(verb, "SAGA_VERB_"), "_", "-")
}

// operateOnEach does it to one saga after the other; those that refuse go to stderr, and the rest goes on.
func (c *cli) operateOnEach(cmd *cobra.Command, d *decision, ids []string) error {
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if !d.yes {
			c.note("nothing was done: these are the sagas as they stand; do it with --yes")
		}
		return onEach(c, cmd, each[*sagav1.Saga]{view: sagaView, format: *d.format, ids: ids, do: func(id string) (*sagav1.Saga, bool, error) {
			after, err := c.operate(ctx, r, d, id)
			return after, false, err
		}})
	})
}

// operate does it to one saga, or without --yes only looks at it.
func (c *cli) operate(ctx context.Context, r *remote, d *decision, sagaID string) (*sagav1.Saga, error) {
	sagas := sagav1.NewSagaServiceClient(r.conn)
	callCtx, cancel := r.callContext(ctx)
	defer cancel()
	found, err := sagas.GetSaga(callCtx, &sagav1.GetSagaRequest{SagaId: sagaID})
	if err != nil || !d.yes {
		return found.GetSaga(), err
	}
	request := &sagav1.OperateSagaRequest{
		// The same command at the same state is the same request; at a later one it is decided anew.
		IdempotencyKey: fmt.Sprintf("operate/%s/%d/%x", found.GetSaga().GetSagaId(), found.GetSaga().GetSequence(),
			sha256.Sum256([]byte(d.verb.String()+"\n"+d.reason+"\n"+d.step+"\n"+d.evidence))),
		SagaId: sagaID, Verb: d.verb, Reason: d.reason, Step: d.step, Evidence: d.evidence,
	}
	answer, replayed, err := send(ctx, r, sagas.OperateSaga, request)
	if err == nil && replayed {
		c.note("replayed: it was done before")
	}
	return answer.GetSaga(), err
}
