package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
)

// deadLetterVerbs are what a person can do with dead letters.
var deadLetterVerbs = []struct {
	verb  deadletterv1.DeadLetterVerb
	short string
	long  string
}{
	{deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE, "Hand events to their consumers again", `However often an event is redriven it takes effect once. One
that fails again is open as before, with one attempt more; the command then exits with 4, or among several with 7.`},
	{deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_DISCARD, "Say that events shall not take effect", `The dead letters are kept, with who said so and why. Who
thinks better of it redrives them.`},
}

// deadLetterOrder is what a command about dead letters was told.
type deadLetterOrder struct {
	verb           deadletterv1.DeadLetterVerb
	reason, filter *string
	yes            *bool
	format         *output.Format
}

// deadLetterVerbCommands are a command for each verb. Without --yes each is a plan: it shows the dead letters and does nothing.
func (c *cli) deadLetterVerbCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range deadLetterVerbs {
		cmd := &cobra.Command{
			Use: enum(v.verb, deadLetterVerbPrefix) + " {DEADLETTER… | --filter FILTER}", Short: v.short, Args: args(cobra.ArbitraryArgs),
			Long: v.short + ". " + v.long + `

Dead letters are named by their ids, or the open ones are found by a filter. Without --yes nothing is done: they are shown as
they stand, or for a filter how many each service has. Such a plan is kept and can be applied for an hour; only the dead letters
that it found are touched.

` + deadLetterFilterHelp,
		}
		o := &deadLetterOrder{
			verb: v.verb, reason: cmd.Flags().String("reason", "", "why, for the record (required)"), filter: deadLetterFilterFlag(cmd),
			yes: yesFlag(cmd), format: formatFlag(cmd),
		}
		asFlag(cmd)
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			switch {
			case *o.reason == "":
				return usageError{errNoReason}
			case (len(args) > 0) == (*o.filter != ""):
				return usageError{errors.New("say which dead letters: either their ids or --filter")}
			}
			return c.withServers(cmd, func(ctx context.Context, rs []*remote) error {
				if len(args) == 0 {
					return c.decideOnLetters(ctx, rs, o)
				}
				return c.decideOnEachLetter(ctx, cmd, rs, o, args)
			})
		}
		commands = append(commands, cmd)
	}
	return commands
}

// decideOnEachLetter does it to one dead letter after the other; those that refuse or fail again go to stderr, and the rest
// goes on.
func (c *cli) decideOnEachLetter(ctx context.Context, cmd *cobra.Command, rs []*remote, o *deadLetterOrder, ids []string) error {
	if !*o.yes {
		c.note("nothing was done: these are the dead letters as they stand; do it with --yes")
	}
	return onEach(c, cmd, each[*deadletterv1.DeadLetter]{
		view: deadLetterView, format: *o.format, ids: ids,
		do: func(id string) (*deadletterv1.DeadLetter, bool, error) { return c.decideOnLetter(ctx, rs, o, id) },
	})
}

// decideOnLetter does it to one dead letter, or without --yes only looks at it. Failed says that its consumer failed again.
func (c *cli) decideOnLetter(ctx context.Context, rs []*remote, o *deadLetterOrder, id string) (after *deadletterv1.DeadLetter, failed bool, err error) {
	r, found, err := findDeadLetter(ctx, rs, id)
	if err != nil || !*o.yes {
		return found, false, err
	}
	// The same command at the same state is the same request; at a later one it is decided anew.
	key := fmt.Sprintf("deadletter/%s/%d/%x", id, len(found.GetActions()), sha256.Sum256([]byte(o.verb.String()+"\n"+*o.reason)))
	letters := deadletterv1.NewDeadLetterServiceClient(r.conn)
	var replayed bool
	if o.verb == deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_DISCARD {
		var answer *deadletterv1.DiscardDeadLetterResponse
		answer, replayed, err = send(ctx, r, letters.DiscardDeadLetter, &deadletterv1.DiscardDeadLetterRequest{
			IdempotencyKey: key, DeadLetterId: id, Reason: *o.reason,
		})
		after = answer.GetDeadLetter()
	} else {
		var answer *deadletterv1.RedriveDeadLetterResponse
		answer, replayed, err = send(ctx, r, letters.RedriveDeadLetter, &deadletterv1.RedriveDeadLetterRequest{
			IdempotencyKey: key, DeadLetterId: id, Reason: *o.reason,
		})
		after = answer.GetDeadLetter()
		switch answer.GetOutcome() {
		case deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_FAILED:
			failed = true
			c.note("%s failed again: %s", id, firstLine(after.GetError()))
		case deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_NOTHING_TO_DO:
			c.note("%s: nothing was left to do", id)
		}
	}
	if err == nil && replayed {
		c.note("replayed: it was done before")
	}
	return after, failed, err
}

// decideOnLetters plans an operation for each service on the dead letters of a filter, and with --yes has them carried out.
func (c *cli) decideOnLetters(ctx context.Context, rs []*remote, o *deadLetterOrder) error {
	request := &deadletterv1.PlanDeadLetterOperationRequest{
		IdempotencyKey: "plan/" + uuid.NewString(), Filter: *o.filter, Verb: o.verb, Reason: *o.reason,
	}
	var plans []deadLetterPlan
	for _, r := range rs {
		answer, _, err := send(ctx, r, deadletterv1.NewDeadLetterServiceClient(r.conn).PlanDeadLetterOperation, request)
		if err != nil {
			return err
		}
		for _, op := range answer.GetOperations() {
			plans = append(plans, deadLetterPlan{r, op})
		}
	}
	if len(plans) == 0 {
		c.note("nothing was done: the filter finds no dead letter that is open")
	}
	w, left := output.NewWriter(c.stdout, *o.format, deadLetterOperationView), int64(0)
	for _, p := range plans {
		op := p.op
		if *o.yes {
			var err error
			c.note("%s of %d dead letters of %s", enum(o.verb, deadLetterVerbPrefix), op.GetMatched(), op.GetService())
			if op, err = c.applyDeadLetters(ctx, p.at, op.GetOperationId()); err != nil {
				return w.End(err)
			}
			left += op.GetRefused()
		} else {
			c.note("nothing was done: this is the plan. Until %s it is carried out by: %s deadletter operation apply %s --yes",
				instant(op.GetExpireTime()), c.program, op.GetOperationId())
		}
		if err := w.Write(op); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil || left == 0 {
		return err
	}
	c.note("%d were left as they are; %s deadletter operation get says why", left, c.program)
	return &exit{code: exitPartial}
}

// deadLetterPlan is an operation, and the server that has it.
type deadLetterPlan struct {
	at *remote
	op *deadletterv1.DeadLetterOperation
}
