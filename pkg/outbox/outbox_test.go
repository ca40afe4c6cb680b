package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/telemetry"
)

func TestWrite_FillsWhatIsEmptyAndKeepsWhatIsGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	full := bus.Event{
		ID: uuid.New(), Service: "payment", Entity: "payment", Name: "refunded", Subject: "pay_1", Reference: "ord_1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Data: []byte("x"),
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b",
	}
	bare := bus.Event{Service: "payment", Entity: "payment", Name: "captured", Subject: "pay_2"}
	err := pg.InTx(ctx, b.pool, func(tx *pg.Tx) error { return b.Write(ctx, tx, full, bare) })
	if err != nil {
		t.Fatal(err)
	}
	b.relayAll(t, b.relay(t))

	got := b.published(t)
	if len(got) != 2 {
		t.Fatalf("got %d events, want 2", len(got))
	}
	if diff := cmp.Diff(full, got[0]); diff != "" {
		t.Errorf("given event (-want +got):\n%s", diff)
	}
	if got[1].ID.Version() != 7 || time.Since(got[1].Time) > time.Minute {
		t.Errorf("got id %s, time %v, want a UUIDv7 and now", got[1].ID, got[1].Time)
	}
	if want := "00-01000000000000000000000000000000-0200000000000000-01"; got[1].Traceparent != want {
		t.Errorf("got traceparent %q, want %q", got[1].Traceparent, want)
	}
}

func TestWrite_RefusesAnEventThatWouldBlockTheRelay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tooLarge := event("pay_1")
	tooLarge.Data = make([]byte, bus.MaxData+1)
	err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return b.Write(t.Context(), tx, event("pay_0"), tooLarge) })
	if err == nil || !strings.Contains(err.Error(), "attribute data:") {
		t.Errorf("got error %v, want one that names data", err)
	}
	if n := b.count(t, "true"); n != 0 {
		t.Errorf("got %d rows, want none", n)
	}
}

func TestWrite_PublishesNothingOfARolledBackTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	errRefused := errors.New("refused")
	err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error {
		if err := b.Write(t.Context(), tx, event("pay_1")); err != nil {
			return err
		}
		return errRefused
	})
	if !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	b.write(t, event("pay_2"))
	b.relayAll(t, b.relay(t))
	b.wantPublished(t, []string{"pay_2"})
}

func TestSweep_DeletesOnlyWhatWasPublishedLongAgo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, numbered(1, 3)...)
	b.relayAll(t, b.relay(t))
	b.write(t, event("pay_unpublished"))
	_, err := b.pool.Exec(t.Context(),
		`UPDATE outbox SET published_at = now() - interval '8 days' WHERE subject IN ('pay_001', 'pay_003')`)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.sweep(t.Context()); err != nil || again {
		t.Fatalf("got again %v, error %v", again, err)
	}
	if n := b.count(t, "subject IN ('pay_002', 'pay_unpublished')"); n != 2 || b.count(t, "true") != 2 {
		t.Errorf("got %d of the two rows to keep among %d", n, b.count(t, "true"))
	}
}

func TestMetrics_TellTheBacklogWithoutARelay(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, Migrations)
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	b := &bundle{Outbox: New(Config{Pool: pool, Service: "payment", Meter: meter})}
	b.write(t, numbered(1, 3)...)
	if _, err := pool.Exec(t.Context(), `UPDATE outbox SET written_at = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	observing, err := b.metrics.observe(pool)
	if err != nil {
		t.Fatal(err)
	}
	defer observing.Unregister() //nolint:errcheck // only ever nil

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			got[m.Name] = float64(data.DataPoints[0].Value)
		case metricdata.Gauge[float64]:
			got[m.Name] = data.DataPoints[0].Value
			if v, _ := data.DataPoints[0].Attributes.Value(attribute.Key("tieout.service")); v.AsString() != "payment" {
				t.Errorf("got service %q, want payment", v.AsString())
			}
		}
	}
	if got["tieout.outbox.unpublished"] != 3 {
		t.Errorf("got %v unpublished, want 3", got["tieout.outbox.unpublished"])
	}
	if lag := got["tieout.outbox.lag"]; lag < 3600 || lag > 3700 {
		t.Errorf("got a lag of %v s, want an hour", lag)
	}
}

func TestWrite_LogsWhatIsDurableOnceInItsTrace(t *testing.T) {
	t.Parallel()
	log := &logtest.Book{}
	pool := pgtest.Pool(t, Migrations)
	o := New(Config{Pool: pool, Service: "payment", Log: telemetry.NewLogger(log, slog.LevelInfo)})
	write := func(subject string, end error) error {
		return pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
			err := o.Write(t.Context(), tx, bus.Event{
				Service: "payment", Entity: "payment", Name: "captured", Subject: subject, Reference: "ord_1", SagaID: "sag_1",
				Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			})
			return errors.Join(err, end)
		})
	}
	gone := errors.New("rolled back")
	if err := write("pay_gone", gone); !errors.Is(err, gone) {
		t.Fatal(err)
	}
	if err := write("pay_1", nil); err != nil {
		t.Fatal(err)
	}
	line := log.Find("state changed")
	for key, want := range map[string]string{
		"entity": "payment", "event": "captured", "subject": "pay_1", "reference": "ord_1", "saga_id": "sag_1",
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
	} {
		if line[key] != want {
			t.Errorf("%s: got %v, want %s", key, line[key], want)
		}
	}
	if _, err := uuid.Parse(fmt.Sprint(line["event_id"])); err != nil || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("got\n%s", log)
	}
}
