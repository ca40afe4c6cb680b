package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/cmd/tieout/doctor"
	"github.com/tieout/tieout/cmd/tieout/output"
)

var checkView = output.View[doctor.Check]{
	JSON: output.Value[doctor.Check],
	Columns: []output.Column[doctor.Check]{
		{Name: "check", Value: func(c doctor.Check) string { return c.Name }},
		{Name: "status", Value: func(c doctor.Check) string { return string(c.Status) }},
		{Name: "detail", Value: func(c doctor.Check) string { return c.Detail }},
		{Name: "remedy", Value: func(c doctor.Check) string { return c.Remedy }},
	},
}

func (c *cli) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what keeps the system from running well", Args: args(cobra.NoArgs),
		Long: `Looks at binaries, ports, the clock, Postgres' settings, NATS and its stream, and migrations: of the servers that
the configuration names, or when it names no database, of the tieout dev that runs in --data-dir. Exits with 8 when a
check fails.`,
	}
	configFlag(cmd)
	format := formatFlag(cmd)
	dir := cmd.Flags().String("data-dir", "", "data directory of a running tieout dev (default "+c.defaultDataDir()+")")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		target, err := c.doctorTarget(cmd, *dir)
		if err != nil {
			return err
		}
		failed := 0
		w := output.NewWriter(c.stdout, *format, checkView)
		err = doctor.Run(cmd.Context(), target, func(found doctor.Check) error {
			if found.Status == doctor.Fail {
				failed++
			}
			return w.Write(found)
		})
		if err := w.End(err); err != nil {
			return err
		}
		if failed > 0 {
			return &exit{code: exitFindings, err: fmt.Errorf("%d checks failed", failed)}
		}
		return nil
	}
	return cmd
}

// doctorTarget says what to look at.
func (c *cli) doctorTarget(cmd *cobra.Command, dir string) (doctor.Target, error) {
	cfg, err := c.loadConfig(cmd)
	if err != nil {
		return doctor.Target{}, err
	}
	t := doctor.Target{GRPC: cfg.GRPC.Addr, HTTP: cfg.HTTP.Addr}
	for _, s := range services(cfg) {
		if s.Postgres.DSN != "" {
			t.Services = append(t.Services, s)
		}
	}
	if dir == "" && len(t.Services) > 0 {
		t.NATS = cfg.NATS.URL
		return t, nil
	}
	t.NeedsBinaries, t.Services = true, nil
	asked := dir != ""
	if !asked {
		dir = c.defaultDataDir()
	}
	ready, err := dev.ReadReady(dir)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		c.note("nothing runs in %s, and the configuration names no database: only this machine is looked at", dir)
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("no tieout dev serves from %s: %w", dir, err)
	}
	return devTarget(t, cfg, ready)
}

// devTarget is a running `tieout dev`, whose databases are looked at as superuser.
func devTarget(t doctor.Target, cfg Config, ready dev.Ready) (doctor.Target, error) {
	t.Running, t.GRPC, t.NATS = true, ready.GRPC, ready.NATS
	web, err := url.Parse(ready.HTTP)
	if err != nil {
		return t, err
	}
	t.HTTP = web.Host
	dsn, err := url.Parse(ready.Postgres)
	if err != nil {
		return t, err
	}
	for _, s := range withDatabase(services(cfg)) {
		s.Postgres.DSN = dsn.ResolveReference(&url.URL{Path: "/" + s.Name, RawQuery: dsn.RawQuery}).String()
		t.Services = append(t.Services, s)
	}
	return t, nil
}
