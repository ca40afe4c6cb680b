package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
)

// deadLetterPoll is how often a running operation is looked at.
const deadLetterPoll = 200 * time.Millisecond

// deadLetterOperationCommand are the commands about what is done to many dead letters.
func (c *cli) deadLetterOperationCommand() *cobra.Command {
	get := &cobra.Command{Use: "get OPERATION", Short: "Show an operation, and why dead letters are as they were", Args: args(cobra.ExactArgs(1))}
	getFormat := formatFlag(get)
	get.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withServers(cmd, func(ctx context.Context, rs []*remote) error {
			_, op, err := findDeadLetterOperation(ctx, rs, args[0])
			if err != nil {
				return err
			}
			return output.One(c.stdout, *getFormat, deadLetterOperationView, op)
		})
	}
	apply := &cobra.Command{
		Use: "apply OPERATION", Short: "Carry out a plan, and show how far it is", Args: args(cobra.ExactArgs(1)),
		Long: "Carries out a plan, and shows how far it is. Without --yes it shows the plan and does nothing.",
	}
	format, yes := formatFlag(apply), yesFlag(apply)
	asFlag(apply)
	apply.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withServers(cmd, func(ctx context.Context, rs []*remote) error {
			r, op, err := findDeadLetterOperation(ctx, rs, args[0])
			if err != nil {
				return err
			}
			if *yes {
				if op, err = c.applyDeadLetters(ctx, r, args[0]); err != nil {
					return err
				}
			} else {
				c.note("nothing was done: this is the operation as it stands; do it with --yes")
			}
			if err := output.One(c.stdout, *format, deadLetterOperationView, op); err != nil || op.GetRefused() == 0 {
				return err
			}
			return &exit{code: exitPartial}
		})
	}
	return group("operation", "What is done to many dead letters: plans, and how far they are", get, apply)
}

func findDeadLetterOperation(ctx context.Context, rs []*remote, id string) (at *remote, op *deadletterv1.DeadLetterOperation, err error) {
	at, err = whoHas(ctx, rs, func(ctx context.Context, r *remote) error {
		request := &deadletterv1.GetDeadLetterOperationRequest{OperationId: id}
		answer, err := deadletterv1.NewDeadLetterServiceClient(r.conn).GetDeadLetterOperation(ctx, request)
		op = answer.GetOperation()
		return err
	})
	return at, op, err
}

// applyDeadLetters has a plan carried out, and shows how far it is until it has ended. Whoever interrupts it detaches: it goes on.
func (c *cli) applyDeadLetters(ctx context.Context, r *remote, id string) (*deadletterv1.DeadLetterOperation, error) {
	request := &deadletterv1.ApplyDeadLetterOperationRequest{IdempotencyKey: "apply/" + uuid.NewString(), OperationId: id}
	answer, _, err := send(ctx, r, deadletterv1.NewDeadLetterServiceClient(r.conn).ApplyDeadLetterOperation, request)
	if err != nil {
		return nil, err
	}
	op, shown, tick := answer.GetOperation(), newProgress(c.stderr), time.NewTicker(deadLetterPoll)
	defer tick.Stop()
	for op.GetEndTime() == nil {
		shown.show(fmt.Sprintf("%d of %d dead letters: %d done, %d left as they are", op.GetDone()+op.GetRefused(), op.GetMatched(), op.GetDone(), op.GetRefused()))
		select {
		case <-ctx.Done():
			shown.clear()
			c.note("detached; the operation goes on. Look at it with: %s deadletter operation get %s", c.program, id)
			return nil, &exit{code: exitPartial}
		case <-tick.C:
		}
		_, next, err := findDeadLetterOperation(ctx, []*remote{r}, id)
		if err != nil && !resend.Transient(err) && ctx.Err() == nil {
			return nil, err
		}
		if err == nil {
			op = next
		}
	}
	shown.clear()
	return op, nil
}
