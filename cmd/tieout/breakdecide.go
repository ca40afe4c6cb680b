package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/cmd/tieout/output"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// breakVerbs are what a person can do to breaks, in the order of the help.
var breakVerbs = []struct {
	verb  reconciliationv1.BreakVerb
	short string
}{
	{reconciliationv1.BreakVerb_BREAK_VERB_ACK, "Say that somebody looks at it"},
	{reconciliationv1.BreakVerb_BREAK_VERB_ASSIGN, "Say who looks at it"},
	{reconciliationv1.BreakVerb_BREAK_VERB_SNOOZE, "Leave it alone until a time"},
	{reconciliationv1.BreakVerb_BREAK_VERB_RESOLVE, "End it by a journal or a repair"},
	{reconciliationv1.BreakVerb_BREAK_VERB_ACCEPT, "Leave it as it is; the reason is the note"},
	{reconciliationv1.BreakVerb_BREAK_VERB_REOPEN, "Take its end back, and its journal where there was one"},
	{reconciliationv1.BreakVerb_BREAK_VERB_APPROVE, "Let what another person asked for be done"},
	{reconciliationv1.BreakVerb_BREAK_VERB_REJECT, "Do not let what a person asked for be done"},
}

// breakHow are the ways to resolve a break.
var breakHow = map[string]reconciliationv1.BreakResolution{
	"write_off": reconciliationv1.BreakResolution_BREAK_RESOLUTION_WRITTEN_OFF,
	"repost":    reconciliationv1.BreakResolution_BREAK_RESOLUTION_REPOSTED,
	"repair":    reconciliationv1.BreakResolution_BREAK_RESOLUTION_REPAIRED,
}

// breakOrder is what a command about breaks was told.
type breakOrder struct {
	decision   *reconciliationv1.BreakDecision
	until, how string
	which      *breakWhich
	yes        *bool
	format     *output.Format
}

// breakVerbCommands are a command for each verb. Without --yes each is a plan: it shows the breaks and does nothing.
func (c *cli) breakVerbCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range breakVerbs {
		cmd := &cobra.Command{
			Use: enum(v.verb, breakVerbPrefix) + " {BREAK… | --filter FILTER}", Short: v.short, Args: args(cobra.ArbitraryArgs),
			Long: v.short + `.

Breaks are named by their ids, or found by a filter. Without --yes nothing is done: the breaks are shown as they stand, or for a
filter how many they are and what they come to. Such a plan is kept and can be applied for an hour; only the breaks it found are
touched.

` + breakFilterHelp,
		}
		o := &breakOrder{
			decision: &reconciliationv1.BreakDecision{Verb: v.verb}, which: breakWhichFlags(cmd), yes: yesFlag(cmd), format: formatFlag(cmd),
		}
		asFlag(cmd)
		cmd.Flags().StringVar(&o.decision.Reason, "reason", "", "why, for the record (required)")
		switch v.verb {
		case reconciliationv1.BreakVerb_BREAK_VERB_ASSIGN:
			cmd.Flags().StringVar(&o.decision.Assignee, "to", "", "who; empty for nobody")
		case reconciliationv1.BreakVerb_BREAK_VERB_SNOOZE:
			cmd.Flags().StringVar(&o.until, "until", "", "until when: "+timeHelp+" (required)")
		case reconciliationv1.BreakVerb_BREAK_VERB_RESOLVE:
			cmd.Flags().StringVar(&o.how, "how", "", "write_off, repost or repair (required)")
			cmd.Flags().StringVar(&o.decision.Account, "at", "", "the ledger account where the difference is (default: provider_clearing or bank, as the break has it)")
			cmd.Flags().StringVar(&o.decision.Against, "against", "", "the ledger account that it is booked against (default: write_offs, or what is usual for the code)")
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			if len(args) == 0 {
				return c.decideOnMany(cmd, o)
			}
			return c.decideOnEach(cmd, o, args)
		}
		commands = append(commands, cmd)
	}
	return commands
}

// check reads the flags.
func (o *breakOrder) check(args []string) (err error) {
	if o.decision.GetReason() == "" {
		return usageError{errNoReason}
	}
	if (len(args) > 0) == (o.which.filter() != "") {
		return usageError{errors.New("say which breaks: either their ids or --filter")}
	}
	if o.decision.GetVerb() == reconciliationv1.BreakVerb_BREAK_VERB_SNOOZE {
		if o.until == "" {
			return usageError{errors.New("to snooze a break needs --until")}
		}
		if o.decision.SnoozeUntilTime, err = timeFlag("until", o.until); err != nil {
			return err
		}
	}
	if o.decision.GetVerb() == reconciliationv1.BreakVerb_BREAK_VERB_RESOLVE {
		how, ok := breakHow[o.how]
		if !ok {
			return usageError{fmt.Errorf("--how %q is none of write_off, repost, repair", o.how)}
		}
		o.decision.Resolution = how
	}
	return nil
}

// decideOnEach does it to one break after the other; those that refuse go to stderr, and the rest goes on.
func (c *cli) decideOnEach(cmd *cobra.Command, o *breakOrder, ids []string) error {
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if !*o.yes {
			c.note("nothing was done: these are the breaks as they stand; do it with --yes")
		}
		return onEach(c, cmd, each[*reconciliationv1.Break]{view: breakView, format: *o.format, ids: ids, do: func(id string) (*reconciliationv1.Break, bool, error) {
			after, err := c.decideOnBreak(ctx, cmd, r, o, id)
			return after, false, err
		}})
	})
}

// decideOnBreak does it to one break, or without --yes only looks at it.
func (c *cli) decideOnBreak(ctx context.Context, cmd *cobra.Command, r *remote, o *breakOrder, id string) (*reconciliationv1.Break, error) {
	breaks := reconciliationv1.NewBreakServiceClient(r.conn)
	callCtx, cancel := r.callContext(ctx)
	defer cancel()
	found, err := breaks.GetBreak(callCtx, &reconciliationv1.GetBreakRequest{BreakId: id})
	if err != nil || !*o.yes {
		return found.GetBreak(), err
	}
	what, err := proto.MarshalOptions{Deterministic: true}.Marshal(o.decision)
	if err != nil {
		return nil, err
	}
	request := &reconciliationv1.OperateBreakRequest{
		// The same command at the same state is the same request; at a later one it is decided anew.
		IdempotencyKey: fmt.Sprintf("break/%s/%d/%x", id, found.GetBreak().GetLastEvent(), sha256.Sum256(what)),
		BreakId:        id, Decision: o.decision,
	}
	answer, replayed, err := send(ctx, r, breaks.OperateBreak, request)
	if err == nil && replayed {
		c.note("replayed: it was done before")
	}
	if answer.GetBreak().GetState() == reconciliationv1.BreakState_BREAK_STATE_PENDING_APPROVAL {
		c.note("it waits for a second person: %s break approve %s --as NAME --reason … --yes", c.program, id)
	}
	return answer.GetBreak(), err
}

// decideOnMany plans an operation on the breaks of a filter, and with --yes has it carried out.
func (c *cli) decideOnMany(cmd *cobra.Command, o *breakOrder) error {
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		request := &reconciliationv1.PlanBreakOperationRequest{IdempotencyKey: "plan/" + uuid.NewString(), Filter: o.which.filter(), Decision: o.decision}
		answer, _, err := send(ctx, r, reconciliationv1.NewBreakServiceClient(r.conn).PlanBreakOperation, request)
		if err != nil {
			return err
		}
		plan := answer.GetOperation()
		switch {
		case plan.GetMatched() == 0:
			c.note("nothing was done: the filter holds for no break")
		case !*o.yes:
			c.note("nothing was done: this is the plan. Until %s it is carried out by: %s break operation apply %s --yes",
				instant(plan.GetExpireTime()), c.program, plan.GetOperationId())
		default:
			c.note("%s of %d breaks, which come to %s", enum(plan.GetDecision().GetVerb(), breakVerbPrefix), plan.GetMatched(), breakSums(plan))
			return c.applyBreakOperation(ctx, r, plan.GetOperationId(), *o.format)
		}
		return output.One(c.stdout, *o.format, breakOperationView, plan)
	})
}
