package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/reconciling"
	"github.com/tieout/tieout/cmd/tieout/resend"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

func (c *cli) reconCommand() *cobra.Command {
	get := &cobra.Command{Use: "get RUN", Short: "Show a run: what it matched and found, by partition, and its signed digest", Args: args(cobra.ExactArgs(1))}
	runs := &cobra.Command{Use: "runs", Short: "List runs, newest first"}
	return c.remoteGroup("recon", "Match what we booked with what the provider and the bank say",
		c.reconRunCommand(),
		list(c, runs, runView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.Run, string, error) {
			p, err := reconciliations(r).ListRuns(ctx, &reconciliationv1.ListRunsRequest{PageSize: size, PageToken: token})
			return p.GetRuns(), p.GetNextPageToken(), err
		}),
		object(c, get, runView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.Run, error) {
			found, err := reconciliations(r).GetRun(ctx, &reconciliationv1.GetRunRequest{RunId: args[0]})
			return found.GetRun(), err
		}),
		c.reconWatchCommand(), c.reconCancelCommand(), c.reconVerifyCommand(), c.reconMatchesCommand(), c.reconReportCommand(), c.reconRulesCommand())
}

func reconciliations(r *remote) reconciliationv1.ReconciliationServiceClient {
	return reconciliationv1.NewReconciliationServiceClient(r.conn)
}

func (c *cli) reconRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Match what has come in and what is open, and say what came of it", Args: args(cobra.NoArgs),
		Long: `Matches what has come in and what is open, and says what came of it. Ctrl-C detaches, and the run goes on.

With --dry-run nothing is stored: everything is matched from scratch, by the rules that are active or by those of --rules, a
version or a file, and it is shown what would be other than it is stored, in money.

Exits with 8 when something is not as it should be; what is merely not due yet does not count.`,
	}
	asOf := cmd.Flags().String("as-of", "", "the day by which is judged what is due, as in 2026-11-30 (default today, UTC)")
	dry := cmd.Flags().Bool("dry-run", false, "match everything from scratch, and store nothing")
	rules := cmd.Flags().String("rules", "", "with --dry-run: the version of the rules, or a file with them")
	account := cmd.Flags().String("account", "", "with --dry-run: only this account with the provider")
	detach := cmd.Flags().Bool("detach", false, "do not wait for the end")
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !*dry && (*rules != "" || *account != "") {
			return usageError{errors.New("--rules and --account are for --dry-run; runs go by the rules that are active")}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			if *dry {
				return c.simulate(ctx, r, &reconciliationv1.SimulateRunRequest{AsOf: *asOf, Account: *account}, *rules, *format)
			}
			request := &reconciliationv1.RunReconciliationRequest{IdempotencyKey: "run/" + uuid.NewString(), AsOf: *asOf}
			begun, _, err := send(ctx, r, reconciliations(r).RunReconciliation, request)
			if err != nil {
				return err
			}
			if *detach {
				return output.One(c.stdout, *format, runView, begun.GetRun())
			}
			return c.followRun(ctx, r, begun.GetRun().GetRunId(), *format)
		})
	}
	return cmd
}

func (c *cli) reconWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch RUN", Short: "Show how far a run is, until it has ended, and what came of it", Args: args(cobra.ExactArgs(1)),
		Long: "Shows how far a run is, until it has ended, and what came of it, as \"recon run\" does. Ctrl-C detaches, and the run goes on.",
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			return c.followRun(ctx, r, args[0], *format)
		})
	}
	return cmd
}

// followRun shows how far a run is until it has ended, and what came of it. Whoever interrupts it detaches, and is told how to
// attach again.
func (c *cli) followRun(ctx context.Context, r *remote, id string, format output.Format) error {
	var now atomic.Pointer[reconciliationv1.Run]
	shown := newProgress(c.stderr)
	stop := repeat(shown.every, func() {
		if at := now.Load(); at != nil {
			shown.show(runProgress(at, shown.tty))
		}
	})
	last, err := reconciling.Follow(ctx, reconciliations(r), resend.New(patience), id, now.Store)
	stop()
	shown.clear()
	if err != nil && ctx.Err() != nil {
		c.note("detached; the run goes on. Watch it again with: %s recon watch %s", c.program, id)
		return nil
	}
	if err != nil {
		return err
	}
	s := reconciling.Summarize(last)
	if err := output.One(c.stdout, format, runSummaryView, s); err != nil {
		return err
	}
	if last.GetState() == reconciliationv1.RunState_RUN_STATE_CANCELLED {
		return &exit{code: exitPartial}
	}
	if s.Unexplained() > 0 {
		c.note("what is not explained: %s break list", c.program)
		return &exit{code: exitFindings}
	}
	return nil
}

// runProgress says how far a run is, with a bar for a terminal.
func runProgress(r *reconciliationv1.Run, bar bool) string {
	text := fmt.Sprintf("%d of %d movements matched", r.GetMovementsMatched(), r.GetMovements())
	if r.GetTrouble() != "" {
		text += "; " + r.GetTrouble()
	}
	if !bar || r.GetMovements() == 0 {
		return text
	}
	return progressBar(r.GetMovementsMatched(), r.GetMovements()) + text
}

func (c *cli) reconCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Cancel a run that is under way; nothing of it is left", Args: args(cobra.ExactArgs(1)),
	}
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *reason == "" {
			return usageError{errNoReason}
		}
		return nil
	}
	return object(c, cmd, runView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.Run, error) {
		request := &reconciliationv1.CancelRunRequest{IdempotencyKey: "cancel/" + uuid.NewString(), RunId: args[0], Reason: *reason}
		answer, _, err := send(ctx, r, reconciliations(r).CancelRun, request)
		return answer.GetRun(), err
	})
}

func (c *cli) reconMatchesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "matches", Short: "List matches of a run, a payment or a movement, with what proves them"}
	run := cmd.Flags().String("run", "", "the matches of this run")
	payment := cmd.Flags().String("payment", "", "the matches of this payment")
	movement := cmd.Flags().String("movement", "", "the matches of this movement")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		given := 0
		for _, text := range []string{*run, *payment, *movement} {
			if text != "" {
				given++
			}
		}
		if given != 1 {
			return usageError{errors.New("say one of --run, --payment, --movement")}
		}
		return nil
	}
	return list(c, cmd, matchView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.Match, string, error) {
		q := &reconciliationv1.ListMatchesRequest{PageSize: size, PageToken: token}
		switch {
		case *run != "":
			q.Of = &reconciliationv1.ListMatchesRequest_RunId{RunId: *run}
		case *payment != "":
			q.Of = &reconciliationv1.ListMatchesRequest_PaymentId{PaymentId: *payment}
		default:
			q.Of = &reconciliationv1.ListMatchesRequest_MovementId{MovementId: *movement}
		}
		p, err := reconciliations(r).ListMatches(ctx, q)
		return p.GetMatches(), p.GetNextPageToken(), err
	})
}
