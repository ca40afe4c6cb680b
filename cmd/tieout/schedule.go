package main

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

const scheduleStatePrefix = "SCHEDULE_STATE_"

var errNoNote = errors.New("a person's decision needs --note")

func (c *cli) scheduleCommand() *cobra.Command {
	get := &cobra.Command{Use: "get SCHEDULE", Short: "Show a schedule", Args: args(cobra.ExactArgs(1))}
	return c.remoteGroup("schedule", "Have payments recur, look into them, pause and end them",
		c.scheduleCreateCommand(), c.scheduleListCommand(),
		object(c, get, scheduleView, func(ctx context.Context, r *remote, args []string) (*billingv1.Schedule, error) {
			return getSchedule(ctx, r, args[0])
		}),
		c.scheduleUpdateCommand(), c.schedulePauseCommand(), c.scheduleResumeCommand(), c.scheduleNextCommand(), c.scheduleTriggerCommand(),
		c.scheduleDeleteCommand(), c.scheduleOccurrencesCommand())
}

func getSchedule(ctx context.Context, r *remote, id string) (*billingv1.Schedule, error) {
	found, err := billingv1.NewScheduleServiceClient(r.conn).GetSchedule(ctx, &billingv1.GetScheduleRequest{ScheduleId: id})
	return found.GetSchedule(), err
}

func (c *cli) scheduleListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List schedules, newest first",
		Long: "Lists schedules, newest first. States: " + strings.Join(enumNames[billingv1.ScheduleState](scheduleStatePrefix), ", ") + ".",
	}
	state := cmd.Flags().String("state", "", "only schedules in this state, as in paused")
	customer := cmd.Flags().String("customer", "", "only schedules of this customer")
	return list(c, cmd, scheduleView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.Schedule, string, error) {
		wanted, err := enumFlag[billingv1.ScheduleState]("state", scheduleStatePrefix, *state)
		if err != nil {
			return nil, "", err
		}
		p, err := billingv1.NewScheduleServiceClient(r.conn).ListSchedules(ctx, &billingv1.ListSchedulesRequest{
			PageSize: size, PageToken: token, CustomerId: *customer, State: wanted,
		})
		return p.GetSchedules(), p.GetNextPageToken(), err
	})
}

func (c *cli) scheduleOccurrencesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "occurrences --schedule SCHEDULE", Short: "List what was decided on each date of a schedule, the latest first",
	}
	schedule := cmd.Flags().String("schedule", "", "the schedule (required)")
	return list(c, cmd, occurrenceView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.ScheduleOccurrence, string, error) {
		if *schedule == "" {
			return nil, "", usageError{errors.New("say which with --schedule")}
		}
		p, err := billingv1.NewScheduleServiceClient(r.conn).ListScheduleOccurrences(ctx, &billingv1.ListScheduleOccurrencesRequest{
			ScheduleId: *schedule, PageSize: size, PageToken: token,
		})
		return p.GetOccurrences(), p.GetNextPageToken(), err
	})
}

func (c *cli) scheduleNextCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "next [SCHEDULE]", Short: "Show the next 12 dates of a schedule, or of one that is not made yet", Args: args(cobra.MaximumNArgs(1)),
		Long: "Shows the next 12 dates of a schedule, or, without one, those that the flags would give.\n\n" + ruleHelp,
	}
	said := termsFlags(cmd, false)
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := &billingv1.GetSchedulePreviewRequest{}
		if len(args) == 1 {
			request.Of = &billingv1.GetSchedulePreviewRequest_ScheduleId{ScheduleId: args[0]}
		} else {
			terms := newTerms()
			if err := said.apply(cmd, terms); err != nil {
				return err
			}
			request.Of = &billingv1.GetSchedulePreviewRequest_Calendar{Calendar: terms.GetCalendar()}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			answer, err := billingv1.NewScheduleServiceClient(r.conn).GetSchedulePreview(ctx, request)
			if err != nil {
				return err
			}
			w := output.NewWriter(c.stdout, *format, previewView)
			for _, o := range answer.GetOccurrences() {
				if err := w.Write(o); err != nil {
					return err
				}
			}
			if answer.GetEnd() != "" {
				c.note("there are no more: %s", answer.GetEnd())
			}
			return w.Close()
		})
	}
	return cmd
}

// decideOnSchedule is a command that does something to a schedule for a reason that a flag gives. Without --yes it shows
// the schedule as it stands.
func decideOnSchedule[T any](c *cli, cmd *cobra.Command, flag string, view output.View[T], do func(ctx context.Context, r *remote, id, why string) (T, error)) *cobra.Command {
	cmd.Args = args(cobra.ExactArgs(1))
	asFlag(cmd)
	format, yes, why := formatFlag(cmd), yesFlag(cmd), ""
	if flag != "" {
		cmd.Flags().StringVar(&why, flag, "", "why, for the record (required)")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case flag == "note" && why == "":
			return usageError{errNoNote}
		case flag == "reason" && why == "":
			return usageError{errNoReason}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if !*yes {
				callCtx, cancel := r.callContext(ctx)
				defer cancel()
				found, err := getSchedule(callCtx, r, args[0])
				if err != nil {
					return err
				}
				c.note("nothing was done: this is the schedule as it stands; do it with --yes")
				return output.One(c.stdout, *format, scheduleView, found)
			}
			if err := contact(ctx, r); err != nil {
				return err
			}
			after, err := do(ctx, r, args[0], why)
			if err != nil {
				return err
			}
			return output.One(c.stdout, *format, view, after)
		})
	}
	return cmd
}

func (c *cli) schedulePauseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pause SCHEDULE", Short: "Start nothing of a schedule until it is resumed",
		Long: `Starts nothing of a schedule until it is resumed. What falls due meanwhile is skipped, each date with a record. Without
--yes nothing is done.`,
	}
	return decideOnSchedule(c, cmd, "note", scheduleView, func(ctx context.Context, r *remote, id, note string) (*billingv1.Schedule, error) {
		request := &billingv1.PauseScheduleRequest{IdempotencyKey: "pause/" + uuid.NewString(), ScheduleId: id, Note: note}
		answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).PauseSchedule, request)
		return answer.GetSchedule(), err
	})
}

func (c *cli) scheduleResumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume SCHEDULE", Short: "Go on with a paused schedule, from what is due next",
		Long: "Goes on with a paused schedule, from what is due next. Without --yes nothing is done.",
	}
	return decideOnSchedule(c, cmd, "", scheduleView, func(ctx context.Context, r *remote, id, _ string) (*billingv1.Schedule, error) {
		request := &billingv1.ResumeScheduleRequest{IdempotencyKey: "resume/" + uuid.NewString(), ScheduleId: id}
		answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).ResumeSchedule, request)
		return answer.GetSchedule(), err
	})
}

func (c *cli) scheduleDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete SCHEDULE", Short: "End a schedule for ever; it stays to be looked at",
		Long: `Ends a schedule for ever. It stays to be looked at, and so do its occurrences; a payment under way goes on. Without
--yes nothing is done.`,
	}
	return decideOnSchedule(c, cmd, "note", scheduleView, func(ctx context.Context, r *remote, id, note string) (*billingv1.Schedule, error) {
		request := &billingv1.EndScheduleRequest{IdempotencyKey: "end/" + uuid.NewString(), ScheduleId: id, Note: note}
		answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).EndSchedule, request)
		return answer.GetSchedule(), err
	})
}

func (c *cli) scheduleTriggerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trigger SCHEDULE", Short: "Charge a schedule's payment today, once",
		Long: `Has the payment of a schedule made now, as the occurrence of today in its zone. Where the rule names today as well, this is
that occurrence; a day that has its occurrence already is refused. Without --yes nothing is done.`,
	}
	return decideOnSchedule(c, cmd, "reason", occurrenceView, func(ctx context.Context, r *remote, id, reason string) (*billingv1.ScheduleOccurrence, error) {
		request := &billingv1.TriggerScheduleRequest{IdempotencyKey: "trigger/" + uuid.NewString(), ScheduleId: id, Reason: reason}
		answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).TriggerSchedule, request)
		return answer.GetOccurrence(), err
	})
}
