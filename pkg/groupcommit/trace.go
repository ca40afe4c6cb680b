package groupcommit

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
)

// trace makes the spans of a commit: one in each recorded trace that has a write in it which took effect, as the writes of a
// commit have nothing else in common.
func (g *Group[W, R]) trace(batch []item[W, R], results []Result[R], begun time.Time) {
	if g.config.Tracer == nil {
		return
	}
	var ended time.Time
	for i, w := range batch {
		traced, ok := any(w.write()).(Traced)
		if !ok {
			return
		}
		traceparent := traced.Trace()
		if !telemetry.IsRecorded(traceparent) || !tookEffect(results[i]) {
			continue
		}
		parent := telemetry.ParseTraceparent(traceparent)
		if !parent.IsValid() {
			continue
		}
		if ended.IsZero() {
			ended = time.Now()
		}
		telemetry.Past{
			Trace: parent.TraceID(), Parent: parent.SpanID(), Name: "commit " + g.config.Name, Kind: trace.SpanKindClient,
			Begun: begun, Ended: ended,
			Attributes: []attribute.KeyValue{
				semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("COMMIT"), semconv.DBOperationBatchSize(len(batch)),
				attribute.Float64("tieout.waited_s", begun.Sub(w.of.since).Seconds()),
			},
		}.Record(g.config.Tracer)
	}
}

func tookEffect[R any](r Result[R]) bool {
	answer, ok := any(r.Value).(interface{ IsReplay() bool })
	return r.Err == nil && (!ok || !answer.IsReplay())
}
