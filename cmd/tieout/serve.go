package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/pkg/service"
)

func (c *cli) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:       "serve SERVICE|all",
		Short:     "Run one service, or all, against servers that run already",
		Args:      args(cobra.ExactArgs(1)),
		ValidArgs: append(serviceNames(), "all"),
		Long: `Runs one service (` + strings.Join(serviceNames(), ", ") + `) or all of them in one process, against a Postgres
and a NATS that run already. Their databases must be migrated: tieout migrate up.

Configuration comes from a YAML file, from variables, and from flags, the later ones being stronger:
grpc.addr in the file is TIEOUT_GRPC_ADDR. A variable with _FILE behind its name names a file that
holds the value. A service that runs elsewhere is named by orchestrator.inventory_addr and the like.
The quotas of callers and the level of the log are read again when the file changes, and at SIGHUP.`,
	}
	configFlag(cmd)
	addListenFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.loadConfig(cmd)
		if err != nil {
			return err
		}
		if err := cfg.Validate(); err != nil {
			return usageError{err}
		}
		chosen, err := choose(services(cfg), args)
		if err != nil {
			return err
		}
		if err := needDSN(chosen); err != nil {
			return err
		}
		return c.serve(cmd, cfg.Config, chosen)
	}
	return cmd
}

// needDSN refuses services that were not told their database: Postgres' own defaults would be somebody else's.
func needDSN(chosen []service.Service) error {
	var errs []error
	for _, s := range withDatabase(chosen) {
		if s.Postgres.DSN == "" {
			errs = append(errs, fmt.Errorf("%s.postgres.dsn is not set (%s%s_POSTGRES_DSN, or _FILE behind it)",
				s.Name, service.EnvPrefix, strings.ToUpper(s.Name)))
		}
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// serve runs services until the command's context ends or a duty fails.
func (c *cli) serve(cmd *cobra.Command, cfg service.Config, chosen []service.Service) error {
	ctx := cmd.Context()
	p, err := service.Start(ctx, cfg, c.stderr, chosen...)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while starting
		}
		return err
	}
	names := make([]string, len(chosen))
	for i, s := range chosen {
		names[i] = s.Name
	}
	p.Log().Info("serving", slog.Any("services", names), slog.String("grpc", p.GRPCAddr()), slog.String("http", p.HTTPAddr()))
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	go follow(following, p, c.configFile(cmd), func() (service.Config, error) {
		again, err := c.loadConfig(cmd)
		return again.Config, err
	})
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-p.Failed():
	}
	p.Log().Info("stopping")
	return errors.Join(failure, p.Stop())
}
