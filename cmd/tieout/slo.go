package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/objective"
	"github.com/tieout/tieout/cmd/tieout/output"
)

func (c *cli) sloCommand() *cobra.Command {
	return group("slo", "Objectives: what was attained, and the rules that measure it", c.sloReportCommand(), c.sloRulesCommand())
}

var attainmentView = output.View[objective.Attainment]{
	JSON: output.Value[objective.Attainment],
	Columns: []output.Column[objective.Attainment]{
		{Name: "objective", Value: func(a objective.Attainment) string { return a.Name }},
		{Name: "month", Value: func(a objective.Attainment) string { return a.Month }},
		{Name: "goal", Value: func(a objective.Attainment) string { return percentage(a.Goal, -1) }},
		{Name: "attained", Value: func(a objective.Attainment) string { return measured(a, percentage(a.Attained, 4)) }},
		{Name: "total", Value: func(a objective.Attainment) string { return measured(a, quantity(a.Total, a.Of)) }},
		{Name: "bad", Value: func(a objective.Attainment) string { return measured(a, quantity(a.Bad, a.Of)) }},
		{Name: "budget_left", Value: func(a objective.Attainment) string { return measured(a, percentage(a.BudgetLeft, 1)) }},
		{Name: "measured", Value: func(a objective.Attainment) string { return percentage(a.Measured, 1) }},
		{Name: "result", Value: func(a objective.Attainment) string { return string(a.Result) }},
	},
}

// measured is a text about what was measured, and nothing where nothing was.
func measured(a objective.Attainment, text string) string {
	if a.Result == objective.NoData {
		return ""
	}
	return text
}

func percentage(v float64, digits int) string {
	if digits < 0 {
		return strconv.FormatFloat(v*100, 'g', 6, 64) + "%"
	}
	return strconv.FormatFloat(v*100, 'f', digits, 64) + "%"
}

func quantity(v float64, of objective.Kind) string {
	if of == objective.Time {
		return (time.Duration(v) * time.Second).String()
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func (c *cli) sloReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report", Short: "Show how well each objective was attained, by month", Args: args(cobra.NoArgs),
		Long: `Asks Prometheus for what the rules of the objectives have recorded, and shows for each objective and month, and for
all of the time, how much of it went well, what is left of the error budget, and for how much of the time it was
measured at all.

Exits with 8 when an objective was missed in a month or over all of the time, and with 7 when one was not measured.`,
		Example: "  tieout slo report --prometheus http://prometheus:9090 --since 90d -o json",
	}
	format := formatFlag(cmd)
	url := cmd.Flags().String("prometheus", "http://127.0.0.1:9090", "URL of the Prometheus that loads the rules")
	since := cmd.Flags().String("since", "30d", "how far back: days (30d), or a duration (12h)")
	until := cmd.Flags().String("until", "", "until when, "+timeHelp+" (default now)")
	timeout := cmd.Flags().Duration("timeout", time.Minute, "how long it may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		back, err := parseBack(*since)
		if err != nil {
			return usageError{fmt.Errorf("--since: %w", err)}
		}
		to := time.Now()
		if at, err := timeFlag("until", *until); err != nil {
			return err
		} else if at != nil {
			to = at.AsTime()
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		return c.sloReport(ctx, *format, objective.Prometheus{URL: *url}, to.Add(-back), to)
	}
	return cmd
}

// parseBack reads a length of time: days, or what Go calls a duration.
func parseBack(text string) (time.Duration, error) {
	days, isDays := "", len(text) > 0 && text[len(text)-1] == 'd'
	if isDays {
		days = text[:len(text)-1]
	}
	n, err := strconv.Atoi(days)
	back := time.Duration(n) * 24 * time.Hour
	if !isDays {
		back, err = time.ParseDuration(text)
	}
	if err != nil || back < time.Minute || back > 10*366*24*time.Hour {
		return 0, fmt.Errorf("%q is not 30d, 12h or the like, from a minute to ten years", text)
	}
	return back, nil
}

func (c *cli) sloReport(ctx context.Context, format output.Format, p objective.Prometheus, from, to time.Time) error {
	all, err := objective.Report(ctx, p, from, to)
	if errors.Is(err, objective.ErrNotRecorded) {
		return &exit{code: exitNotFound, err: err}
	} else if err != nil {
		return &exit{code: exitUnavailable, err: err}
	}
	missed, unmeasured := 0, 0
	w := output.NewWriter(c.stdout, format, attainmentView)
	for _, a := range all {
		switch a.Result {
		case objective.Missed:
			missed++
		case objective.NoData:
			unmeasured++
		}
		if err := w.Write(a); err != nil {
			return w.End(err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	switch {
	case missed > 0:
		c.note("%d of %d were missed.", missed, len(all))
		return &exit{code: exitFindings}
	case unmeasured > 0:
		return &exit{code: exitPartial, err: fmt.Errorf("%d of %d were not measured", unmeasured, len(all))}
	}
	c.note("None of %d was missed.", len(all))
	return nil
}

func (c *cli) sloRulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rules", Short: "Make the rules of Prometheus that measure the objectives of a file, and alert", Args: args(cobra.NoArgs),
		Long: `Reads objectives, in the form of deploy/observability/slo.yaml, and prints the rules that measure them and tell when
their error budget is used up too fast, for the rule_files of a Prometheus.`,
	}
	file := cmd.Flags().StringP("file", "f", "", "the objectives")
	to := cmd.Flags().String("output", "", "file to write (default stdout)")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *file == "" {
			return usageError{errors.New("-f names the file of objectives")}
		}
		f, err := os.Open(*file)
		if err != nil {
			return err
		}
		defer f.Close()
		all, err := objective.Read(f)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", *file, err)}
		}
		if *to == "" {
			return objective.WriteRules(c.stdout, all)
		}
		var rules bytes.Buffer
		if err := objective.WriteRules(&rules, all); err != nil {
			return err
		}
		return os.WriteFile(*to, rules.Bytes(), 0o644)
	}
	return cmd
}
