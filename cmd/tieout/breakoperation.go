package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// breakPoll is how often a running operation is looked at.
const breakPoll = 500 * time.Millisecond

// breakOperationCommand are the commands about what is done to all breaks of a filter.
func (c *cli) breakOperationCommand() *cobra.Command {
	get := &cobra.Command{Use: "get OPERATION", Short: "Show an operation, and why breaks refused it", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List operations, newest first"}
	return group("operation", "What is done to all breaks of a filter: plans, and how far they are",
		c.breakOperationApplyCommand(), c.breakOperationCancelCommand(), c.breakOperationWatchCommand(),
		object(c, get, breakOperationView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.BreakOperation, error) {
			return getBreakOperation(ctx, r, args[0])
		}),
		list(c, all, breakOperationView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.BreakOperation, string, error) {
			request := &reconciliationv1.ListBreakOperationsRequest{PageSize: size, PageToken: token}
			p, err := reconciliationv1.NewBreakServiceClient(r.conn).ListBreakOperations(ctx, request)
			return p.GetOperations(), p.GetNextPageToken(), err
		}))
}

func getBreakOperation(ctx context.Context, r *remote, id string) (*reconciliationv1.BreakOperation, error) {
	found, err := reconciliationv1.NewBreakServiceClient(r.conn).GetBreakOperation(ctx, &reconciliationv1.GetBreakOperationRequest{OperationId: id})
	return found.GetOperation(), err
}

func (c *cli) breakOperationApplyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply OPERATION", Short: "Carry out a plan, and show how far it is", Args: args(cobra.ExactArgs(1)),
		Long: "Carries out a plan, and shows how far it is. Without --yes it shows the plan and does nothing.",
	}
	asFlag(cmd)
	format, yes := formatFlag(cmd), yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if *yes {
				return c.applyBreakOperation(ctx, r, args[0], *format)
			}
			op, err := getBreakOperation(ctx, r, args[0])
			if err != nil {
				return err
			}
			c.note("nothing was done: this is the operation as it stands; do it with --yes")
			return output.One(c.stdout, *format, breakOperationView, op)
		})
	}
	return cmd
}

func (c *cli) breakOperationCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel OPERATION", Short: "Stop an operation; what is done stays done", Args: args(cobra.ExactArgs(1)),
	}
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	yes := yesFlag(cmd)
	return object(c, cmd, breakOperationView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.BreakOperation, error) {
		if *reason == "" {
			return nil, usageError{errNoReason}
		}
		if !*yes {
			c.note("nothing was done: this is the operation as it stands; stop it with --yes")
			return getBreakOperation(ctx, r, args[0])
		}
		request := &reconciliationv1.CancelBreakOperationRequest{IdempotencyKey: "cancel/" + uuid.NewString(), OperationId: args[0], Reason: *reason}
		answer, _, err := send(ctx, r, reconciliationv1.NewBreakServiceClient(r.conn).CancelBreakOperation, request)
		return answer.GetOperation(), err
	})
}

func (c *cli) breakOperationWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch OPERATION", Short: "Show how far an operation is, until it has ended", Args: args(cobra.ExactArgs(1)),
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			op, err := getBreakOperation(ctx, r, args[0])
			if err != nil {
				return err
			}
			if err = c.followBreakOperation(ctx, r, op, *format); ctx.Err() != nil {
				return nil // detaching is what was asked for
			}
			return err
		})
	}
	return cmd
}

// applyBreakOperation has a plan carried out, and follows it.
func (c *cli) applyBreakOperation(ctx context.Context, r *remote, id string, format output.Format) error {
	request := &reconciliationv1.ApplyBreakOperationRequest{IdempotencyKey: "apply/" + uuid.NewString(), OperationId: id}
	answer, _, err := send(ctx, r, reconciliationv1.NewBreakServiceClient(r.conn).ApplyBreakOperation, request)
	if err != nil {
		return err
	}
	return c.followBreakOperation(ctx, r, answer.GetOperation(), format)
}

// followBreakOperation shows how far an operation is until it has ended, and prints it as it ended. Whoever interrupts it detaches: the
// operation goes on.
func (c *cli) followBreakOperation(ctx context.Context, r *remote, op *reconciliationv1.BreakOperation, format output.Format) error {
	shown, tick := newProgress(c.stderr), time.NewTicker(breakPoll)
	defer tick.Stop()
	for op.GetEndTime() == nil && op.GetState() != reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_EXPIRED {
		shown.show(fmt.Sprintf("%d of %d breaks: %d done, %d refused", op.GetDone()+op.GetRefused(), op.GetMatched(), op.GetDone(), op.GetRefused()))
		select {
		case <-ctx.Done():
			shown.clear()
			c.note("detached; the operation goes on. Watch it again with: %s break operation watch %s", c.program, op.GetOperationId())
			return &exit{code: exitPartial}
		case <-tick.C:
		}
		next, err := getBreakOperation(ctx, r, op.GetOperationId())
		if err != nil && !resend.Transient(err) && ctx.Err() == nil {
			return err
		}
		if err == nil {
			op = next
		}
	}
	shown.clear()
	if err := output.One(c.stdout, format, breakOperationView, op); err != nil {
		return err
	}
	if left := op.GetMatched() - op.GetDone(); left > 0 {
		c.note("%d of %d breaks were left as they are", left, op.GetMatched())
		return &exit{code: exitPartial}
	}
	return nil
}

// breakSums are what the breaks of an operation come to, per currency.
func breakSums(op *reconciliationv1.BreakOperation) string {
	var texts []string
	for _, t := range op.GetTotals() {
		if t.GetSum() != nil {
			texts = append(texts, amount(t.GetSum()))
		}
	}
	if len(texts) == 0 {
		return "no money"
	}
	return strings.Join(texts, ", ")
}
