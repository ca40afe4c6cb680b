package inbox

import (
	"context"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/waittest"
)

// A consumer that is stuck takes no batch whose end could tell how far it is behind.
func TestLag_IsToldWhileTheConsumerIsStuck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	goOn := make(chan struct{})
	b.publish(t, numbered(1, 3)...)
	background(t, func(ctx context.Context) error {
		stuck := consumer(func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
			select {
			case <-goOn:
				return record(ctx, tx, events)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		return New(Config{Pool: b.pool, Meter: meter}, stuck).Run(ctx, b.js)
	})
	lag := func() int64 {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				if all, is := m.Data.(metricdata.Gauge[int64]); is && m.Name == "tieout.inbox.lag" {
					return all.DataPoints[0].Value
				}
			}
		}
		return -1
	}
	waittest.Until(t, "what came first is told", func() bool { return lag() == 3 })
	b.publish(t, numbered(4, 9)...)
	waittest.Until(t, "what came behind it is told", func() bool { return lag() == 9 })
	close(goOn)
	waittest.Until(t, "nothing is behind", func() bool { return lag() == 0 })
}
