package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

var errNoReason = errors.New("a person's decision needs --reason")

func rateFlag(cmd *cobra.Command, rate *int32) {
	cmd.Flags().Int32Var(rate, "rate", 0, "how many sagas to go through in a second at most; 0 for as many as it can")
}

// operationCommand are the commands about what is done to all sagas of a filter.
func (c *cli) operationCommand() *cobra.Command {
	get := &cobra.Command{Use: "get OPERATION", Short: "Show an operation, and why sagas refused it", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List operations, newest first"}
	return group("operation", "What is done to all sagas of a filter: plans, and how far they are",
		c.operationApplyCommand(), c.operationCancelCommand(), c.operationWatchCommand(),
		object(c, get, operationView, func(ctx context.Context, r *remote, args []string) (*sagav1.SagaOperation, error) {
			return getOperation(ctx, r, args[0])
		}),
		list(c, all, operationView, func(ctx context.Context, r *remote, size int32, token string) ([]*sagav1.SagaOperation, string, error) {
			p, err := sagav1.NewSagaServiceClient(r.conn).ListSagaOperations(ctx, &sagav1.ListSagaOperationsRequest{PageSize: size, PageToken: token})
			return p.GetOperations(), p.GetNextPageToken(), err
		}))
}

func getOperation(ctx context.Context, r *remote, id string) (*sagav1.SagaOperation, error) {
	found, err := sagav1.NewSagaServiceClient(r.conn).GetSagaOperation(ctx, &sagav1.GetSagaOperationRequest{OperationId: id})
	return found.GetOperation(), err
}

func (c *cli) operationApplyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply OPERATION", Short: "Carry out a plan, and show how far it is", Args: args(cobra.ExactArgs(1)),
		Long: `Carries out a plan, and shows how far it is. Without --yes it shows the plan and does nothing. Applied to an
operation that is running, it changes the rate.`,
	}
	var rate int32
	rateFlag(cmd, &rate)
	asFlag(cmd)
	format, yes := formatFlag(cmd), yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if *yes {
				return c.apply(ctx, r, args[0], rate, *format)
			}
			op, err := getOperation(ctx, r, args[0])
			if err != nil {
				return err
			}
			c.note("nothing was done: this is the operation as it stands; do it with --yes")
			return output.One(c.stdout, *format, operationView, op)
		})
	}
	return cmd
}

func (c *cli) operationCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel OPERATION", Short: "Stop an operation; what is done stays done", Args: args(cobra.ExactArgs(1)),
	}
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	yes := yesFlag(cmd)
	return object(c, cmd, operationView, func(ctx context.Context, r *remote, args []string) (*sagav1.SagaOperation, error) {
		if *reason == "" {
			return nil, usageError{errNoReason}
		}
		if !*yes {
			c.note("nothing was done: this is the operation as it stands; stop it with --yes")
			return getOperation(ctx, r, args[0])
		}
		request := &sagav1.CancelSagaOperationRequest{IdempotencyKey: "cancel/" + uuid.NewString(), OperationId: args[0], Reason: *reason}
		answer, _, err := send(ctx, r, sagav1.NewSagaServiceClient(r.conn).CancelSagaOperation, request)
		return answer.GetOperation(), err
	})
}

func yesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "do it; without this nothing is done")
}

func (c *cli) operationWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch OPERATION", Short: "Show how far an operation is, until it has ended", Args: args(cobra.ExactArgs(1)),
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			err := c.followOperation(ctx, r, args[0], *format)
			if ctx.Err() != nil {
				return nil // detaching is what was asked for
			}
			return err
		})
	}
	return cmd
}

// operateOnMany plans an operation on the sagas of a filter, and with --yes has it carried out.
func (c *cli) operateOnMany(cmd *cobra.Command, d *decision) error {
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if err := contact(ctx, r); err != nil {
			return err
		}
		request := &sagav1.PlanSagaOperationRequest{
			IdempotencyKey: "plan/" + uuid.NewString(), Filter: d.filter, Verb: d.verb, Reason: d.reason, Step: d.step, Evidence: d.evidence,
		}
		answer, _, err := send(ctx, r, sagav1.NewSagaServiceClient(r.conn).PlanSagaOperation, request)
		if err != nil {
			return err
		}
		plan := answer.GetOperation()
		switch {
		case plan.GetMatched() == 0:
			c.note("nothing was done: the filter holds for no saga")
		case !d.yes:
			c.note("nothing was done: this is the plan. Until %s it is carried out by: %s saga operation apply %s --yes",
				instant(plan.GetExpireTime()), c.program, plan.GetOperationId())
		default:
			c.note("%s of %d sagas, which come to %s; possible for %d at the moment", verbName(d.verb), plan.GetMatched(),
				sums(plan), plan.GetPossible())
			return c.apply(ctx, r, plan.GetOperationId(), d.rate, *d.format)
		}
		return output.One(c.stdout, *d.format, operationView, plan)
	})
}

// apply has a plan carried out, and follows it.
func (c *cli) apply(ctx context.Context, r *remote, id string, rate int32, format output.Format) error {
	request := &sagav1.ApplySagaOperationRequest{IdempotencyKey: "apply/" + uuid.NewString(), OperationId: id, RatePerSecond: rate}
	if _, _, err := send(ctx, r, sagav1.NewSagaServiceClient(r.conn).ApplySagaOperation, request); err != nil {
		return err
	}
	return c.followOperation(ctx, r, id, format)
}

// followOperation shows how far an operation is until it has ended, and prints it as it ended. Whoever interrupts it
// detaches: the operation goes on.
func (c *cli) followOperation(ctx context.Context, r *remote, id string, format output.Format) error {
	client, shown := sagav1.NewSagaServiceClient(r.conn), newProgress(c.stderr)
	var last *sagav1.SagaOperation
	err := resend.Follow(ctx, resend.New(patience), func(ctx context.Context) (resend.Stream[*sagav1.WatchSagaOperationResponse], error) {
		return client.WatchSagaOperation(ctx, &sagav1.WatchSagaOperationRequest{OperationId: id})
	}, func(answer *sagav1.WatchSagaOperationResponse) (bool, error) {
		last = answer.GetOperation()
		shown.show(howFar(last, shown.tty, time.Now()))
		return last.GetEndTime() != nil || last.GetState() == sagav1.SagaOperationState_SAGA_OPERATION_STATE_EXPIRED, nil
	})
	shown.clear()
	if err != nil && ctx.Err() != nil {
		c.note("detached; the operation goes on. Watch it again with: %s saga operation watch %s", c.program, id)
		return &exit{code: exitPartial}
	}
	if err != nil {
		return err
	}
	if err := output.One(c.stdout, format, operationView, last); err != nil {
		return err
	}
	if last.GetDone() < last.GetMatched() {
		c.note("%d of %d sagas were left as they are", last.GetMatched()-last.GetDone(), last.GetMatched())
		return &exit{code: exitPartial}
	}
	return nil
}

// howFar says how far an operation is; with a bar for a terminal.
func howFar(op *sagav1.SagaOperation, bar bool, now time.Time) string {
	past := op.GetDone() + op.GetRefused()
	text := fmt.Sprintf("%d of %d sagas: %d done, %d refused", past, op.GetMatched(), op.GetDone(), op.GetRefused())
	if took := now.Sub(op.GetApplyTime().AsTime()).Seconds(); op.GetApplyTime() != nil && took >= 1 {
		text += fmt.Sprintf("; %.0f/s", float64(past)/took)
	}
	if !bar || op.GetMatched() == 0 {
		return text
	}
	return progressBar(past, op.GetMatched()) + text
}

// sums are what the sagas of an operation come to, per currency.
func sums(op *sagav1.SagaOperation) string {
	var texts []string
	for _, total := range op.GetTotals() {
		texts = append(texts, amount(total.GetSum()))
	}
	return strings.Join(texts, ", ")
}
