package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
)

func newRoot(c *cli) *cobra.Command {
	root := group("tieout", "Orders, payments and their reconciliation",
		c.devCommand(), c.serveCommand(), c.migrateCommand(), c.pspCommand(), c.doctorCommand(), c.versionCommand(),
		c.orderCommand(), c.sagaCommand(), c.stockCommand(), c.paymentCommand(), c.shipmentCommand(),
		c.ledgerCommand(), c.statementCommand(), c.reconCommand(), c.breakCommand(), c.batchCommand(), c.limitCommand(), c.scheduleCommand(), c.holidaysCommand(),
		c.deadLetterCommand(), c.auditCommand(), c.sloCommand(), c.traceCommand())
	root.Long = `Tieout takes orders, drives them through stock, payment and shipment, charges batches of
recurring payments, and proves what happened.

Exit codes: 0 ok, 1 internal, 2 usage, 3 not found or prerequisite missing, 4 precondition,
5 denied, 6 unavailable, 7 partial, 8 findings.`
	root.Version = thisBuild().Version
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s needs a command:\n\n%s", cmd.CommandPath(), commandList(cmd))}
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = ", did you mean " + strings.Join(near, " or ") + "?"
			}
			return usageError{fmt.Errorf("%s has no command %q%s", cmd.CommandPath(), args[0], hint)}
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

func commandList(cmd *cobra.Command) string {
	var b strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-12s %s\n", sub.Name(), sub.Short)
		}
	}
	return b.String()
}

// args makes what is wrong with the arguments a mistake in usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// formatFlag adds -o, for a command that prints data.
func formatFlag(cmd *cobra.Command) *output.Format {
	format := output.Table
	cmd.Flags().VarP(&format, "output", "o", "print as "+output.List())
	return &format
}

// getenv looks a variable up.
func (c *cli) getenv(name string) string {
	value := ""
	for _, assignment := range c.environ {
		if n, v, _ := strings.Cut(assignment, "="); n == name {
			value = v
		}
	}
	return value
}

// note tells the user something on stderr.
func (c *cli) note(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
