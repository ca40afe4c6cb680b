package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/billing"
	"github.com/tieout/tieout/services/inventory"
	"github.com/tieout/tieout/services/orchestrator"
	"github.com/tieout/tieout/services/payment"
	"github.com/tieout/tieout/services/reconciliation"
	"github.com/tieout/tieout/services/shipment"
	"github.com/tieout/tieout/services/web"
)

// Config is the whole configuration: of the process, and of each service under its name. It is read from a YAML
// file, then from variables (grpc.addr is TIEOUT_GRPC_ADDR), then from flags.
type Config struct {
	service.Config `koanf:",squash"`

	Orchestrator   orchestrator.Config   `koanf:"orchestrator"`
	Inventory      inventory.Config      `koanf:"inventory"`
	Payment        payment.Config        `koanf:"payment"`
	Shipment       shipment.Config       `koanf:"shipment"`
	Billing        billing.Config        `koanf:"billing"`
	Reconciliation reconciliation.Config `koanf:"reconciliation"`
	Web            web.Config            `koanf:"web"`
}

// The variables that are not configuration of a server.
const (
	envAddr   = service.EnvPrefix + "ADDR"
	envConfig = service.EnvPrefix + "CONFIG"
	envCaller = service.EnvPrefix + "CALLER"
)

func defaultConfig() Config {
	process := service.DefaultConfig()
	process.Quotas.Exempt = serviceNames()
	return Config{
		Config:         process,
		Orchestrator:   orchestrator.DefaultConfig(),
		Inventory:      inventory.DefaultConfig(),
		Payment:        payment.DefaultConfig(),
		Shipment:       shipment.DefaultConfig(),
		Billing:        billing.DefaultConfig(),
		Reconciliation: reconciliation.DefaultConfig(),
		Web:            web.DefaultConfig(),
	}
}

// services are all services there are, in the order in which they start: the ones that others call come first.
func services(cfg Config) []service.Service {
	return []service.Service{
		{
			Name: "inventory", Postgres: cfg.Inventory.Postgres, Migrations: inventory.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return inventory.Run(ctx, env, cfg.Inventory) },
		},
		{
			Name: "payment", Postgres: cfg.Payment.Postgres, Migrations: payment.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return payment.Run(ctx, env, cfg.Payment) },
		},
		{
			Name: "shipment", Postgres: cfg.Shipment.Postgres, Migrations: shipment.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return shipment.Run(ctx, env, cfg.Shipment) },
		},
		{
			Name: "orchestrator", Postgres: cfg.Orchestrator.Postgres, Migrations: orchestrator.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return orchestrator.Run(ctx, env, cfg.Orchestrator) },
		},
		{
			Name: "billing", Postgres: cfg.Billing.Postgres, Migrations: billing.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return billing.Run(ctx, env, cfg.Billing) },
		},
		{
			Name: "reconciliation", Postgres: cfg.Reconciliation.Postgres, Migrations: reconciliation.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error {
				return reconciliation.Run(ctx, env, cfg.Reconciliation)
			},
		},
		{
			Name: "web", Stateless: true,
			Run: func(ctx context.Context, env *service.Env) error { return web.Run(ctx, env, cfg.Web) },
		},
	}
}

func serviceNames() []string {
	var names []string
	for _, s := range services(Config{}) {
		names = append(names, s.Name)
	}
	return names
}

// withDatabase gives those of the services that have a database.
func withDatabase(all []service.Service) []service.Service {
	return slices.DeleteFunc(slices.Clone(all), func(s service.Service) bool { return s.Stateless })
}

// choose gives the services of those names, in the order in which they start; no names, or "all", mean all.
func choose(all []service.Service, names []string) ([]service.Service, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	if len(names) == 0 || wanted["all"] {
		return all, nil
	}
	var chosen []service.Service
	for _, s := range all {
		if wanted[s.Name] {
			chosen = append(chosen, s)
			delete(wanted, s.Name)
		}
	}
	for name := range wanted {
		return nil, usageError{fmt.Errorf("there is no service %q; there are %s", name, strings.Join(serviceNames(), ", "))}
	}
	return chosen, nil
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "YAML file with the configuration (default $"+envConfig+")")
}

// listenFlags are the flags of a process that serves, by the configuration key they set.
var listenFlags = map[string]string{"grpc-addr": "grpc.addr", "http-addr": "http.addr", "insecure": "insecure"}

func addListenFlags(cmd *cobra.Command) {
	byDefault := service.DefaultConfig()
	cmd.Flags().String("grpc-addr", byDefault.GRPC.Addr, "host:port to serve gRPC on; port 0 takes a free one")
	cmd.Flags().String("http-addr", byDefault.HTTP.Addr, "host:port to serve HTTP on: health, metrics, webhooks, the REST gateway; port 0 takes a free one")
	cmd.Flags().Bool("insecure", false, "serve on addresses that other machines can reach, although callers are not authenticated")
}

// configFile is the file that the configuration is read from; empty for none.
func (c *cli) configFile(cmd *cobra.Command) string {
	return cmp.Or(cmd.Flag("config").Value.String(), c.getenv(envConfig))
}

// loadConfig reads the configuration from everywhere. What is changed is changed in the defaults.
func (c *cli) loadConfig(cmd *cobra.Command, change ...func(*Config)) (Config, error) {
	cfg := defaultConfig()
	for _, change := range change {
		change(&cfg)
	}
	if err := c.standardTelemetry(&cfg.Telemetry); err != nil {
		return cfg, err
	}
	flags := map[string]any{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if key, ok := listenFlags[f.Name]; ok {
			flags[key] = f.Value.String()
		}
	})
	err := service.Load(&cfg, service.Sources{
		File: c.configFile(cmd), Environ: c.environ, Ignore: []string{envAddr, envConfig, envCaller}, Flags: flags,
	})
	if err != nil {
		return cfg, usageError{err}
	}
	cfg.Telemetry.Version = thisBuild().Version
	return cfg, nil
}

// The variables of OpenTelemetry that are followed. What is configured as telemetry.… goes before.
const (
	envOTLP       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envOTLPTraces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envSampled    = "OTEL_TRACES_SAMPLER_ARG"
)

// standardEndpoint is where spans go by the environment; empty for nowhere.
func (c *cli) standardEndpoint() string { return cmp.Or(c.getenv(envOTLPTraces), c.getenv(envOTLP)) }

// standardTelemetry takes over what the environment says in OpenTelemetry's words.
func (c *cli) standardTelemetry(cfg *telemetry.Config) error {
	cfg.OTLPEndpoint = cmp.Or(c.standardEndpoint(), cfg.OTLPEndpoint)
	if share := c.getenv(envSampled); share != "" {
		ratio, err := strconv.ParseFloat(share, 64)
		if err != nil {
			return usageError{fmt.Errorf("%s: %q is no number between 0 and 1", envSampled, share)}
		}
		cfg.SampleRatio = ratio
	}
	return nil
}
