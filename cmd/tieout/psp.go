package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// pspStopLimit is how long the simulator may take to end.
const pspStopLimit = 5 * time.Second

func (c *cli) pspCommand() *cobra.Command {
	serve := &cobra.Command{Use: "serve", Short: "Run the payment provider simulator", Args: args(cobra.NoArgs)}
	addr := serve.Flags().String("addr", "127.0.0.1:7490", "host:port to serve the provider's API on; port 0 takes a free one")
	journal := serve.Flags().String("journal", "", "file that keeps every effect (default: in memory)")
	serve.RunE = func(cmd *cobra.Command, _ []string) error { return c.servePSP(cmd.Context(), *addr, *journal) }
	return group("psp", "The payment provider simulator", serve)
}

func (c *cli) servePSP(ctx context.Context, addr, journal string) error {
	log := telemetry.NewLogger(c.stderr, slog.LevelInfo)
	s, err := pspsim.Start(context.WithoutCancel(ctx), pspsim.Options{Addr: addr, Journal: journal, Log: log})
	if err != nil {
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pspStopLimit)
	defer cancel()
	return s.Close(stopCtx)
}
