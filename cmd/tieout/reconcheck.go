package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

func (c *cli) reconVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify RUN", Short: "Run a finished run again from its inputs, and compare everything bit for bit", Args: args(cobra.ExactArgs(1)),
		Long: `Runs a finished run again, from the inputs that it had and under its rules, and compares: its digest, the signature, and
every match that is stored. Exits with 8 when something is other than it was.`,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			stream, err := reconciliations(r).VerifyRun(ctx, &reconciliationv1.VerifyRunRequest{RunId: args[0]})
			if err != nil {
				return err
			}
			answer, err := lastOf(c, stream.Recv)
			if err != nil {
				return err
			}
			v := answer.GetVerification()
			if err := output.One(c.stdout, *format, verificationView, v); err != nil {
				return err
			}
			if !v.GetHolds() {
				return &exit{code: exitFindings}
			}
			return nil
		})
	}
	return cmd
}

// progressing is an answer that says how far something is, until it says what came of it.
type progressing interface {
	GetProgress() *reconciliationv1.RunProgress
}

// lastOf shows how far it is until the last answer, which it gives.
func lastOf[A progressing](c *cli, receive func() (A, error)) (last A, err error) {
	shown := newProgress(c.stderr)
	defer shown.clear()
	for {
		answer, err := receive()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		last = answer
		if p := answer.GetProgress(); p != nil {
			text := fmt.Sprintf("%d of %d movements", p.GetDone(), p.GetMovements())
			if shown.tty && p.GetMovements() > 0 {
				text = progressBar(p.GetDone(), p.GetMovements()) + text
			}
			shown.show(text)
		}
	}
}

// simulate matches everything from scratch under rules – a version, a file, or those that are active – and shows what would be
// other than it is stored.
func (c *cli) simulate(ctx context.Context, r *remote, request *reconciliationv1.SimulateRunRequest, rules string, format output.Format) error {
	if version, err := strconv.ParseInt(rules, 10, 32); err == nil {
		request.Rules = &reconciliationv1.SimulateRunRequest_RulesVersion{RulesVersion: int32(version)}
	} else if rules != "" {
		document, err := c.rulesDocument(rules)
		if err != nil {
			return err
		}
		request.Rules = &reconciliationv1.SimulateRunRequest_RulesDocument{RulesDocument: document}
	}
	stream, err := reconciliations(r).SimulateRun(ctx, request)
	if err != nil {
		return err
	}
	answer, err := lastOf(c, stream.Recv)
	if err != nil {
		return err
	}
	return output.One(c.stdout, format, simulationView, answer.GetSimulation())
}

func (c *cli) reconReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report", Short: "Show what the provider owes us by our books and by theirs over a time, and what explains the difference",
		Args: args(cobra.NoArgs),
		Long: `Shows what the provider owes us by our books and by what others say over a time:

  opening + effects - fees - arrived - timing = closing;  closing - theirs = drift

and what the drift is made of, code by code; --lines lists it line by line. Exits with 8 when something of the drift is not
explained by anything.`,
	}
	request := &reconciliationv1.GetReportRequest{}
	cmd.Flags().StringVar(&request.Account, "account", "default", "the account with the provider")
	cmd.Flags().StringVar(&request.CurrencyCode, "currency", "", "the currency (required)")
	cmd.Flags().StringVar(&request.From, "from", "", "the first day, as in 2026-11-01 (required)")
	cmd.Flags().StringVar(&request.To, "to", "", "the last day (required)")
	lines := cmd.Flags().Bool("lines", false, "list the lines that the drift, and what is on its way, are made of")
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if request.GetCurrencyCode() == "" || request.GetFrom() == "" || request.GetTo() == "" {
			return usageError{errors.New("a report needs --currency, --from and --to")}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if *lines {
				return c.reportLines(ctx, r, request, *format)
			}
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			answer, err := reconciliations(r).GetReport(ctx, request)
			if err != nil {
				return err
			}
			if err := output.One(c.stdout, *format, reportView, answer.GetReport()); err != nil {
				return err
			}
			if answer.GetReport().GetUnexplained().GetMinorUnits() != 0 {
				return &exit{code: exitFindings}
			}
			return nil
		})
	}
	return cmd
}

func (c *cli) reportLines(ctx context.Context, r *remote, of *reconciliationv1.GetReportRequest, format output.Format) error {
	w := output.NewWriter(c.stdout, format, reportLineView)
	_, err := listInto(ctx, r, w, 0, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.ReportLine, string, error) {
		p, err := reconciliations(r).ListReportLines(ctx, &reconciliationv1.ListReportLinesRequest{
			Account: of.GetAccount(), CurrencyCode: of.GetCurrencyCode(), To: of.GetTo(), PageSize: size, PageToken: token,
		})
		return p.GetLines(), p.GetNextPageToken(), err
	})
	return w.End(err)
}
