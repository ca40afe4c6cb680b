package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment"
)

// devTraces is how much memory recent traces may take, in bytes; every order is traced.
const devTraces = 64 << 20

func (c *cli) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dev", Short: "Run the whole system on this machine", Args: args(cobra.NoArgs),
		Long: `Runs the whole system on this machine, on a Postgres and a NATS of its own. When all is serving, the file
ready.json in the data directory says where. Ctrl-C or SIGTERM stops everything in order.

It has a payment provider's simulator of its own, unless payment.provider.psp.url names one.

The data directory is kept, and taken up again by the next start. By default it is $XDG_DATA_HOME/tieout/dev or
~/.local/share/tieout/dev; for root it is /var/lib/tieout/dev, because Postgres runs as another user there and could
not reach root's home.`,
	}
	configFlag(cmd)
	addListenFlags(cmd)
	dir := cmd.Flags().String("data-dir", "", "where the data is kept (default "+c.defaultDataDir()+")")
	ephemeral := cmd.Flags().Bool("ephemeral", false, "keep the data in a temporary directory that is removed at the end; ready.json and the log are in --data-dir, if given")
	redis := cmd.Flags().Bool("redis", false, "start a private Redis as well, a primary and a replica, to cache reads of stock; needs redis-server")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *dir == "" && !*ephemeral {
			*dir = c.defaultDataDir()
		}
		cfg, err := c.loadConfig(cmd, func(cfg *Config) { cfg.Telemetry.SampleRatio, cfg.Telemetry.KeepBytes = 1, devTraces })
		if err != nil {
			return err
		}
		return c.dev(cmd.Context(), dev.Options{
			Dir: *dir, Ephemeral: *ephemeral, Redis: *redis, Config: cfg.Config,
			GRPC: devAddress(cmd, "grpc-addr", cfg.GRPC), HTTP: devAddress(cmd, "http-addr", cfg.HTTP),
			Services: func(parts dev.Parts) []service.Service {
				if parts.ProviderURL != "" {
					psp := &cfg.Payment.Provider.PSP
					psp.URL, psp.Webhook.Secret = parts.ProviderURL, parts.WebhookSecret
				}
				if parts.RedisPrimary != "" {
					cached := &cfg.Inventory.Cache.Redis
					cached.PrimaryURL, cached.ReplicaURL = parts.RedisPrimary, parts.RedisReplica
				}
				return services(cfg)
			},
			ProviderURL: cfg.Payment.Provider.PSP.URL,
			WebhookPath: payment.WebhookPath,
			Note:        func(text string) { c.note("%s", text) },
		})
	}
	return cmd
}

// defaultDataDir is where `tieout dev` keeps its data.
func (c *cli) defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/tieout/dev"
	}
	if base := c.getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "tieout", "dev")
	}
	return filepath.Join(c.getenv("HOME"), ".local", "share", "tieout", "dev")
}

// devAddress is the address to serve on. Only one that nobody chose gives way when it is taken.
func devAddress(cmd *cobra.Command, flag string, chosen service.Listener) dev.Address {
	f := cmd.Flags().Lookup(flag)
	return dev.Address{Addr: chosen.Addr, Flag: "--" + flag, Default: !f.Changed && f.DefValue == chosen.Addr}
}

// dev runs the system until ctx ends or a duty fails.
func (c *cli) dev(ctx context.Context, opts dev.Options) error {
	began := time.Now()
	s, err := dev.Start(ctx, opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while starting, and all of it was stopped again
		}
		return err
	}
	c.printReady(s, opts.Ephemeral, time.Since(began))
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-s.Failed():
		c.note("a service failed, its log is %s", s.Log)
	}
	c.note("stopping")
	return errors.Join(failure, s.Stop())
}

func (c *cli) printReady(s *dev.System, ephemeral bool, took time.Duration) {
	kept := "kept, and used again by the next start"
	if ephemeral {
		kept = "removed at the end"
	}
	redis := "none (--redis starts one)"
	if s.Ready.Redis != "" {
		redis = "a primary and a replica, their URLs are in ready.json"
	}
	program := quoteArg(c.program)
	if s.Ready.GRPC != service.DefaultConfig().GRPC.Addr {
		program = envAddr + "=" + s.Ready.GRPC + " " + program
	}
	fmt.Fprintf(c.stdout, `Tieout is serving, after %.1f s.

  gRPC      %s
  HTTP      %s (/metrics, /healthz, /readyz)
  NATS      %s
  Postgres  its URL is in ready.json
  Redis     %s
  provider  %s (simulator)
  data      %s (%s)
  log       %s

Try it in another shell:

  %s stock receive TEA-MUG 100

What became of an order, step by step: tieout trace ORDER. Spans of clients are taken over OTLP at the gRPC address.

`, took.Seconds(), s.Ready.GRPC, s.Ready.HTTP, s.Ready.NATS, redis, s.Ready.PSP, s.Dir, kept, s.Log, program)
}

// quoteArg makes an argument safe to paste into a shell.
func quoteArg(arg string) string {
	if strings.ContainsAny(arg, " \t\n\"'\\$`*?[]{}()<>|&;~#!") {
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}
