package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

const (
	// maxWaiting is how many lines wait for the collector at most; what comes beyond that is counted, and is in the process'
	// own log only.
	maxWaiting = 8192
	// exportTimeout is how long the collector may take to accept a batch of lines.
	exportTimeout = 10 * time.Second
)

// Log is a process' log: JSON lines, and the same lines to the collector when there is one. Logging never waits for the
// collector.
type Log struct {
	telemetry *Telemetry
	lines     slog.Handler
	queue     *logQueue // nil without a collector
}

// NewLog writes lines of at least a level, which may change meanwhile, to w. It does not wait for the collector to answer.
func (t *Telemetry) NewLog(ctx context.Context, w io.Writer, level slog.Leveler) (*Log, error) {
	l := &Log{telemetry: t, lines: newLines(w, level)}
	if t.config.OTLPEndpoint == "" {
		return l, nil
	}
	exporter, err := otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(t.config.OTLPEndpoint))
	if err != nil {
		return nil, fmt.Errorf("setting up log export to %s: %w", t.config.OTLPEndpoint, err)
	}
	l.queue, err = newLogQueue(exporter, slog.New(handler{lines: l.lines}), t.Meters.Meter("github.com/tieout/tieout/pkg/telemetry"))
	return l, err
}

// Logger is the log of one service of the process.
func (l *Log) Logger(service string) *slog.Logger {
	h := handler{lines: l.lines.WithAttrs([]slog.Attr{slog.String("service", service)})}
	if l.queue != nil {
		h.exported = otelslog.NewHandler("github.com/tieout/tieout", otelslog.WithLoggerProvider(sdklog.NewLoggerProvider(
			sdklog.WithResource(l.telemetry.resource(service)), sdklog.WithProcessor(entrance{l.queue}))))
	}
	return slog.New(h)
}

// Shutdown sends what is left to the collector, up to ctx's end.
func (l *Log) Shutdown(ctx context.Context) error {
	if l.queue == nil {
		return nil
	}
	return l.queue.batch.Shutdown(ctx)
}

// logQueue is where lines wait for the collector.
type logQueue struct {
	batch   *sdklog.BatchProcessor
	waiting atomic.Int64 // in the batch, or on their way
	lost    metric.Int64Counter
}

func newLogQueue(exporter sdklog.Exporter, log *slog.Logger, meter metric.Meter) (*logQueue, error) {
	lost, err := meter.Int64Counter("tieout.log.lost", metric.WithUnit("{line}"),
		metric.WithDescription("Log lines that the collector did not get, because too many waited or it did not take them."))
	if err != nil {
		return nil, err
	}
	q := &logQueue{lost: lost}
	q.batch = sdklog.NewBatchProcessor(&countedExporter{Exporter: exporter, queue: q, log: log},
		sdklog.WithMaxQueueSize(maxWaiting), sdklog.WithExportTimeout(exportTimeout))
	return q, nil
}

var (
	lostFull   = metric.WithAttributeSet(attribute.NewSet(attribute.String("by", "full")))
	lostFailed = metric.WithAttributeSet(attribute.NewSet(attribute.String("by", "failed")))
)

// entrance lets lines of one service into the queue, as long as there is room.
type entrance struct{ queue *logQueue }

// Enabled implements sdklog.Processor.
func (entrance) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor.
func (e entrance) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if e.queue.waiting.Add(1) > maxWaiting {
		e.queue.waiting.Add(-1)
		e.queue.lost.Add(ctx, 1, lostFull)
		return nil
	}
	return e.queue.batch.OnEmit(ctx, r)
}

// Shutdown implements sdklog.Processor.
func (e entrance) Shutdown(ctx context.Context) error { return e.queue.batch.Shutdown(ctx) }

// ForceFlush implements sdklog.Processor.
func (e entrance) ForceFlush(ctx context.Context) error { return e.queue.batch.ForceFlush(ctx) }

// countedExporter makes room in the queue, counts what is lost, and tells the process' own log when that begins and ends.
type countedExporter struct {
	sdklog.Exporter
	queue   *logQueue
	log     *slog.Logger
	failing bool // of the one goroutine that exports
}

// Export implements sdklog.Exporter. The error ends here: nobody else could do anything about it.
func (c *countedExporter) Export(ctx context.Context, records []sdklog.Record) error {
	err := c.Exporter.Export(ctx, records)
	c.queue.waiting.Add(-int64(len(records)))
	if err != nil {
		c.queue.lost.Add(ctx, int64(len(records)), lostFailed)
	}
	switch {
	case err != nil && !c.failing:
		c.log.Warn("the collector does not get the log", slog.Any("error", err))
	case err == nil && c.failing:
		c.log.Info("the collector gets the log again")
	}
	c.failing = err != nil
	return nil
}
