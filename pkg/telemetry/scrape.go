package telemetry

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/metric"
)

// scrapeLimit is how long a scrape waits for what is measured by asking a database or a server, all of it together. What does
// not answer by then is missing from the scrape; the rest of it is not: a scraper waits for 10 s.
const scrapeLimit = 3 * time.Second

// scrapes is the meter provider of a process whose callbacks end with the scrape that they measure for.
type scrapes struct {
	metric.MeterProvider
	until atomic.Int64 // the end of the scrape that began last, in Unix nanoseconds; 0 before the first
}

// Meter implements metric.MeterProvider.
func (s *scrapes) Meter(name string, options ...metric.MeterOption) metric.Meter {
	return scraped{s.MeterProvider.Meter(name, options...), s}
}

type scraped struct {
	metric.Meter
	by *scrapes
}

// RegisterCallback implements metric.Meter.
func (m scraped) RegisterCallback(measure metric.Callback, of ...metric.Observable) (metric.Registration, error) {
	return m.Meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		if until := m.by.until.Load(); until != 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, time.Unix(0, until))
			defer cancel()
		}
		return measure(ctx, o)
	}, of...)
}

// Handler serves the metrics in OpenMetrics or Prometheus text form.
func (t *Telemetry) Handler() http.Handler {
	serve := promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.scrapes.until.Store(time.Now().Add(scrapeLimit).UnixNano())
		serve.ServeHTTP(w, r)
	})
}
