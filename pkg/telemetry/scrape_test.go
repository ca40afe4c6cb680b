package telemetry_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/telemetry"
)

// What asks a database that hangs is missing; the rest is there before a scraper gives up.
func TestHandler_DoesNotWaitForWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, telemetry.Config{})
		for _, name := range []string{"tieout.hangs", "tieout.hangs.too", "tieout.answers"} {
			m := tel.Meters.Meter("test")
			gauge, err := m.Int64ObservableGauge(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
				if strings.Contains(name, "hangs") {
					<-ctx.Done()
					return ctx.Err()
				}
				o.ObserveInt64(gauge, 7)
				return nil
			}, gauge)
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			begun := time.Now()
			_, body := scrape(t, tel, "text/plain")
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("the scrape took %s", took)
			}
			if !strings.Contains(body, "\ntieout_answers 7\n") || strings.Contains(body, "\ntieout_hangs") {
				t.Errorf("got %s", body)
			}
		}
	})
}
