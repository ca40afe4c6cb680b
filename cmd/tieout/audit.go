package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/cmd/tieout/auditing"
	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/cmd/tieout/output"
	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
	"github.com/tieout/tieout/pkg/service"
)

// shownIDs is how many ids of violations stand in a row of the table.
const shownIDs = 3

var auditView = output.View[*auditv1.Check]{
	JSON: output.Message[*auditv1.Check],
	Columns: []output.Column[*auditv1.Check]{
		{Name: "number", Value: func(c *auditv1.Check) string { return strconv.Itoa(int(c.GetNumber())) }},
		{Name: "name", Value: (*auditv1.Check).GetName},
		{Name: "service", Value: (*auditv1.Check).GetService},
		{Name: "kind", Value: func(c *auditv1.Check) string { return enum(c.GetKind(), "CHECK_KIND_") }},
		{Name: "result", Value: auditResult},
		{Name: "ids", Value: auditIDs},
	},
}

func auditResult(c *auditv1.Check) string {
	switch {
	case c.GetError() != "":
		return "not checked: " + c.GetError()
	case c.GetViolationCount() == 0:
		return "ok"
	case c.GetViolationCount() == 1:
		return "1 violation"
	}
	return fmt.Sprintf("%d violations", c.GetViolationCount())
}

func auditIDs(c *auditv1.Check) string {
	var ids []string
	for i, v := range c.GetViolations() {
		if i == shownIDs {
			ids = append(ids, "…")
			break
		}
		ids = append(ids, v.GetId())
	}
	return strings.Join(ids, " ")
}

func (c *cli) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Check that every invariant holds", Args: args(cobra.NoArgs),
		Long: `Checks every invariant: each service on its own database, then between the services, and with --psp or --data-dir
against the payment provider simulator's own journal. It only reads, and may run while the system works.

Exits with 8 when an invariant is violated, and with 7 when one could not be checked.`,
	}
	format := formatFlag(cmd)
	addr := cmd.Flags().String("addr", "", "host:port of the server, or of several that together run all services, separated by commas (default $"+
		envAddr+", else "+service.DefaultConfig().GRPC.Addr+")")
	cmd.Flags().Duration("timeout", 0, "how long the audit may take (default: as long as it needs)")
	psp := cmd.Flags().String("psp", "", "URL of the payment provider simulator")
	dir := cmd.Flags().String("data-dir", "", "data directory of a `tieout dev` that runs: audit that one, with its provider")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *psp != "" && *dir != "" {
			return usageError{errors.New("--psp and --data-dir exclude each other")}
		}
		running := dev.Ready{PSP: *psp}
		if *dir != "" {
			var err error
			if running, err = dev.ReadReady(*dir); err != nil {
				return err
			}
		}
		addrs := strings.Split(cmp.Or(*addr, running.GRPC, c.getenv(envAddr), service.DefaultConfig().GRPC.Addr), ",")
		return c.withRemotes(cmd, addrs, func(ctx context.Context, rs []*remote) error {
			return c.audit(ctx, *format, rs, running.PSP)
		})
	}
	return cmd
}

// audit runs all checks and prints them as their results come.
func (c *cli) audit(ctx context.Context, format output.Format, rs []*remote, providerURL string) error {
	ctx, cancel := rs[0].callContext(ctx)
	defer cancel()
	sources := auditing.Sources{ProviderURL: providerURL, Conns: make([]*grpc.ClientConn, len(rs))}
	for i, r := range rs {
		if err := contact(ctx, r); err != nil {
			return err
		}
		sources.Conns[i] = r.conn
	}
	w := output.NewWriter(c.stdout, format, auditView)
	checked, violated, unchecked := 0, 0, 0
	err := auditing.Run(ctx, sources, func(check *auditv1.Check) error {
		checked++
		if check.GetViolationCount() > 0 {
			violated++
		}
		if check.GetError() != "" {
			unchecked++
		}
		return w.Write(check)
	})
	if err := w.End(err); errors.Is(err, auditing.ErrProvider) {
		return &exit{code: exitUnavailable, err: err}
	} else if err != nil {
		return err
	}
	if providerURL == "" {
		c.note("What the payment provider knows was not compared: --psp URL or --data-dir DIR says where its simulator is.")
	}
	switch {
	case violated > 0:
		c.note("%d of %d checks found violations; -o json tells each.", violated, checked)
		return &exit{code: exitFindings}
	case unchecked > 0:
		return &exit{code: exitPartial, err: fmt.Errorf("%d of %d checks could not be made", unchecked, checked)}
	}
	c.note("%d checks, no violation.", checked)
	return nil
}

// withRemotes is withRemote for several servers.
func (c *cli) withRemotes(cmd *cobra.Command, addrs []string, do func(context.Context, []*remote) error) error {
	var connect func(ctx context.Context, rest []string, rs []*remote) error
	connect = func(ctx context.Context, rest []string, rs []*remote) error {
		if len(rest) == 0 {
			return do(ctx, rs)
		}
		if rest[0] == "" {
			return usageError{errors.New("--addr names an empty address")}
		}
		if err := cmd.Flags().Set("addr", rest[0]); err != nil {
			return err
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error { return connect(ctx, rest[1:], append(rs, r)) })
	}
	return connect(cmd.Context(), addrs, nil)
}
