package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where telemetry goes.
type Config struct {
	// OTLPEndpoint is the URL of an OTLP/gRPC collector, "http://localhost:4317"; empty exports nothing. Trace
	// ids are made and propagated either way.
	OTLPEndpoint string `koanf:"otlp_endpoint"`
	// SampleRatio is the share of new traces that is recorded, 0 to 1; a caller's decision is followed.
	SampleRatio float64 `koanf:"sample_ratio"`
	// KeepBytes is how much memory the process may take for recent traces, which `tieout trace` shows: its own, and those
	// that are sent to it over OTLP. 0 keeps none.
	KeepBytes int `koanf:"keep_bytes"`
	// Version is the build's version, for the resource of every span.
	Version string `koanf:"-"`
	// Processor, when set, is given every span instead of the exporter. Tests read spans by it.
	Processor sdktrace.SpanProcessor `koanf:"-"`
	// Keeper, when set, is given every span besides.
	Keeper sdktrace.SpanProcessor `koanf:"-"`
}

const (
	// sendEvery is how long a span waits to be sent at most: what has not left is lost when the process is killed.
	sendEvery = time.Second
	// maxQueue is how many spans wait to be sent, and maxSent how many are sent at once. What is more than that is lost.
	maxQueue, maxSent = 16_384, 2_048
)

// Telemetry is a process' exporter and registry.
type Telemetry struct {
	// Propagator carries trace context and baggage over gRPC and NATS (W3C).
	Propagator propagation.TextMapPropagator
	// Meters makes every instrument of the process. What its meters' RegisterCallback measures with is given a context that ends
	// with the scrape. Two meters must not make the same instrument with the same attributes: which meter it is of is not told.
	Meters metric.MeterProvider

	config     Config
	registry   *prometheus.Registry
	processors []sdktrace.SpanProcessor // none: no span is recorded
	metrics    *sdkmetric.MeterProvider
	scrapes    *scrapes

	mu      sync.Mutex
	tracers map[string]*sdktrace.TracerProvider
}

// New sets telemetry up. It does not wait for the collector to answer.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	t := &Telemetry{
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		config:     cfg,
		registry:   prometheus.NewRegistry(),
		tracers:    map[string]*sdktrace.TracerProvider{},
	}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprom.New(otelprom.WithRegisterer(t.registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(t.resource("tieout")))
	t.scrapes = &scrapes{MeterProvider: t.metrics}
	t.Meters = t.scrapes
	exporter := cfg.Processor
	if exporter == nil && cfg.OTLPEndpoint != "" {
		if exporter, err = exportTo(ctx, cfg.OTLPEndpoint); err != nil {
			return nil, err
		}
	}
	for _, p := range []sdktrace.SpanProcessor{exporter, cfg.Keeper} {
		if p != nil {
			t.processors = append(t.processors, p)
		}
	}
	return t, nil
}

// exportTo sends spans to a collector.
func exportTo(ctx context.Context, endpoint string) (sdktrace.SpanProcessor, error) {
	// The exporter would take the default for what it cannot parse.
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
		return nil, fmt.Errorf("telemetry.otlp_endpoint: %q is no URL such as http://localhost:4317", endpoint)
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("setting up trace export to %s: %w", endpoint, err)
	}
	batches := sdktrace.NewBatchSpanProcessor(exporter, sdktrace.WithBatchTimeout(sendEvery),
		sdktrace.WithMaxQueueSize(maxQueue), sdktrace.WithMaxExportBatchSize(maxSent))
	return &together{SpanProcessor: batches, open: map[trace.SpanID]*tree{}}, nil
}

func (t *Telemetry) resource(service string) *resource.Resource {
	return resource.NewSchemaless(
		attribute.String("service.name", service),
		attribute.String("service.namespace", "tieout"),
		attribute.String("service.version", t.config.Version),
	)
}

// Tracers gives the tracer provider of one service of the process.
func (t *Telemetry) Tracers(service string) trace.TracerProvider {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.tracers[service]; ok {
		return p
	}
	// A trace that the caller records is recorded on, or at least handed on as recorded.
	ratio := t.config.SampleRatio
	if len(t.processors) == 0 {
		ratio = 0
	}
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(t.resource(service)),
		sdktrace.WithIDGenerator(ids{}),
	}
	decide := sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
	if len(t.processors) > 0 {
		decide = sampler{decide}
	}
	for _, p := range t.processors {
		options = append(options, sdktrace.WithSpanProcessor(cleanSpans{p}))
	}
	options = append(options, sdktrace.WithSampler(decide))
	p := sdktrace.NewTracerProvider(options...)
	t.tracers[service] = p
	return p
}

// Shutdown sends what is left, up to ctx's end.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, p := range t.processors {
		errs = append(errs, p.Shutdown(ctx))
	}
	errs = append(errs, t.metrics.Shutdown(ctx))
	return errors.Join(errs...)
}
