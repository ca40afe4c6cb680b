package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

// migration is how far one set of migrations is in a service's database.
type migration struct {
	Service string `json:"service"`
	Set     string `json:"set"`
	Applied int64  `json:"applied"`
	Latest  int64  `json:"latest"`
	State   string `json:"state"` // current or pending
}

var migrationView = output.View[migration]{
	JSON: output.Value[migration],
	Columns: []output.Column[migration]{
		{Name: "service", Value: func(m migration) string { return m.Service }},
		{Name: "set", Value: func(m migration) string { return m.Set }},
		{Name: "applied", Value: func(m migration) string { return strconv.FormatInt(m.Applied, 10) }},
		{Name: "latest", Value: func(m migration) string { return strconv.FormatInt(m.Latest, 10) }},
		{Name: "state", Value: func(m migration) string { return m.State }},
	},
}

func (c *cli) migrateCommand() *cobra.Command {
	up := c.migrateSubcommand("up", "Bring the databases up to this binary's schema",
		func(ctx context.Context, s service.Service) error {
			return pg.Migrate(ctx, s.Postgres.DSN, s.Migrations...)
		})
	status := c.migrateSubcommand("status", "Say how far the databases are",
		func(context.Context, service.Service) error { return nil })
	return group("migrate", "Migrate the services' databases", up, status)
}

func (c *cli) migrateSubcommand(use, short string, prepare func(context.Context, service.Service) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " [SERVICE…]", Short: short, ValidArgs: serviceNames(),
		Long: short + ".\n\nWithout names: of every service that the configuration gives a database.",
	}
	configFlag(cmd)
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		cfg, err := c.loadConfig(cmd)
		if err != nil {
			return err
		}
		chosen, err := choose(services(cfg), names)
		if err != nil {
			return err
		}
		if chosen = withDatabase(chosen); len(names) == 0 {
			chosen = configured(chosen)
		}
		if err := needDSN(chosen); err != nil {
			return err
		}
		w := output.NewWriter(c.stdout, *format, migrationView)
		for _, s := range chosen {
			err := prepare(cmd.Context(), s)
			if err == nil {
				err = writeStatus(cmd.Context(), w, s)
			}
			if err != nil {
				return w.End(fmt.Errorf("%s: %w", s.Name, err))
			}
		}
		return w.End(nil)
	}
	return cmd
}

// configured gives the services that have a database, or all when none has, for the error to name them.
func configured(all []service.Service) []service.Service {
	var found []service.Service
	for _, s := range all {
		if s.Postgres.DSN != "" {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return all
	}
	return found
}

func writeStatus(ctx context.Context, w *output.Writer[migration], s service.Service) error {
	statuses, err := pg.Status(ctx, s.Postgres.DSN, s.Migrations...)
	if err != nil {
		return err
	}
	for _, m := range statuses {
		state := "current"
		if m.Pending() {
			state = "pending"
		}
		if err := w.Write(migration{s.Name, m.Set, m.Applied, m.Latest, state}); err != nil {
			return err
		}
	}
	return nil
}
