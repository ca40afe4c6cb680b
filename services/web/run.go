package web

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/service"
)

// Config is the service's configuration.
type Config struct {
	// OrchestratorAddr and the others are where the services are; empty for one that runs in the same process.
	OrchestratorAddr   string `koanf:"orchestrator_addr"`
	InventoryAddr      string `koanf:"inventory_addr"`
	PaymentAddr        string `koanf:"payment_addr"`
	ShipmentAddr       string `koanf:"shipment_addr"`
	BillingAddr        string `koanf:"billing_addr"`
	ReconciliationAddr string `koanf:"reconciliation_addr"`
	// AllowOrigins are the origins whose web pages may send requests, besides the gateway's own: "https://shop.example",
	// several separated by commas.
	AllowOrigins string `koanf:"allow_origins"`
	// Watch is how live connections are served.
	Watch Watch `koanf:"watch"`
}

// Watch is how live connections are served.
type Watch struct {
	// Limit is how many there may be at once, and PerCaller how many of one caller; who does not say its name is known by
	// its address.
	Limit     int `koanf:"limit"`
	PerCaller int `koanf:"per_caller"`
	// Patience is how long a client may take to read what it is sent, or to answer a ping.
	Patience time.Duration `koanf:"patience"`
	// Retry is how long clients are asked to wait before they come back after their connection was lost.
	Retry time.Duration `koanf:"retry"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Watch: Watch{Limit: 25_000, PerCaller: 100, Patience: 30 * time.Second, Retry: 2 * time.Second}}
}

// validate tells what is wrong with the limits.
func (w Watch) validate() error {
	if w.Limit < 1 || w.PerCaller < 1 || w.Patience <= 0 || w.Retry <= 0 {
		return fmt.Errorf("web.watch: limit %d, per_caller %d, patience %s and retry %s must be more than zero", w.Limit, w.PerCaller, w.Patience, w.Retry)
	}
	return nil
}

// Run wires the service into env.
func Run(ctx context.Context, env *service.Env, cfg Config) error {
	if err := cfg.Watch.validate(); err != nil {
		return err
	}
	allowed, err := parseOrigins(cfg.AllowOrigins)
	if err != nil {
		return err
	}
	p, err := dialPeers(env, cfg)
	if err != nil {
		return err
	}
	rest, err := newREST(ctx, p)
	if err != nil {
		return err
	}
	g := &gateway{
		tracer: env.Tracer, origins: allowed, draining: draining(env), seats: newSeats(cfg.Watch), watch: cfg.Watch,
	}
	if _, err := env.Meter.Int64ObservableUpDownCounter("tieout.web.watches",
		metric.WithDescription("Live connections that are open."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(g.seats.count()))
			return nil
		})); err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.Handle("/v1/", g.bounded(rest))
	routes.HandleFunc("GET /v1/orders/{id}/watch", g.watching(watchedOrders(p)))
	routes.HandleFunc("GET /v1/batches/{id}/watch", g.watching(watchedBatches(p)))
	routes.Handle("POST /v1/batches", g.uploading(p))
	routes.HandleFunc("GET /openapi.json", serveOpenAPI)
	routes.HandleFunc("/", unknownRoute)
	env.HTTP.Handle("/", g.received(routes))
	env.Go("live connections", g.seats.leaveAll)
	return nil
}

// draining gives a context that ends when the process begins to stop.
func draining(env *service.Env) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	env.Go("draining", func(duty context.Context) error {
		defer cancel()
		select {
		case <-env.Stopping:
		case <-duty.Done():
		}
		return nil
	})
	return ctx
}
