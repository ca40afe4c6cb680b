package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
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
	return group("psp", "The payment provider simulator", serve, c.settlementCommand())
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

// settlementOrder is what a settlement is to be, and where it goes.
type settlementOrder struct {
	psp, format, file, currency, convert string
	plant                                int
	seed                                 uint64
}

func (c *cli) settlementCommand() *cobra.Command {
	var o settlementOrder
	cmd := &cobra.Command{
		Use: "settlement", Short: "Fetch what the simulator has paid out, as the file that a provider or a bank would send",
		Long: "Fetch what the simulator has paid out, as the file that a provider or a bank would send.\n\n" +
			"With --plant some lines are wrong; which, and how, is written to FILE.planted.json.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.fetchSettlement(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.psp, "psp", "http://127.0.0.1:7490", "URL of the payment provider simulator")
	flags.StringVar(&o.format, "format", "stripe-csv", "stripe-csv (the provider's report), camt053 or mt940 (the bank's statement)")
	flags.StringVarP(&o.file, "output", "o", "", "file to write")
	flags.StringVar(&o.currency, "currency", "", "only this currency (default: all)")
	flags.StringVar(&o.convert, "convert", "", "settle one currency in another one, at a rate: USD:EUR:0.92")
	flags.IntVar(&o.plant, "plant", 0, "how many lines to make wrong")
	flags.Uint64Var(&o.seed, "seed", 1, "choice of the lines that are made wrong")
	return cmd
}

// fetchSettlement writes a settlement, and what is wrong with it beside it.
func (c *cli) fetchSettlement(ctx context.Context, o settlementOrder) error {
	if o.file == "" {
		return usageError{fmt.Errorf("-o names the file to write")}
	}
	q := url.Values{"format": {o.format}, "plant": {strconv.Itoa(o.plant)}, "seed": {strconv.FormatUint(o.seed, 10)}, "currency": {o.currency}, "convert": {o.convert}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.psp, "/")+"/v1/settlement?"+q.Encode(), nil)
	if err != nil {
		return usageError{fmt.Errorf("--psp: %w", err)}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the simulator: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("reading the simulator's answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the simulator answered %s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	var made pspsim.Settlement
	if err := json.Unmarshal(body, &made); err != nil {
		return fmt.Errorf("reading the simulator's answer: %w", err)
	}
	if err := os.WriteFile(o.file, []byte(made.Content), 0o600); err != nil {
		return err
	}
	if o.plant == 0 {
		return nil
	}
	planted, err := json.MarshalIndent(made.Planted, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what was planted: %w", err)
	}
	return os.WriteFile(o.file+".planted.json", append(planted, '\n'), 0o600)
}
