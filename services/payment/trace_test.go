package payment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
)

const (
	sagasTrace = "0af7651916cd43dd8448eb211c80319c"
	sagasSpan  = "b7ad6b7169203331"
)

func TestTrace_OfASagaGoesThroughBatchProviderAndEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	on := b.startIn(t, func(env *service.Env) { env.Tracer = tracer }, patient)
	recorded := &commonv1.Origin{Traceparent: "00-" + sagasTrace + "-" + sagasSpan + "-01"}
	sampled, unsampled := toCharge("saga/sag_1/charge", "pm_ok"), toCharge("saga/sag_2/charge", "pm_ok")
	sampled.Origin, sampled.Reference = recorded, "ord_sampled"
	unsampled.Origin = &commonv1.Origin{Traceparent: "00-1af7651916cd43dd8448eb211c80319c-" + sagasSpan + "-00"}
	for i, r := range chargeBatch(t, on, sampled, unsampled) {
		if r.GetStatus() != nil {
			t.Errorf("charge %d: got %v", i, r)
		}
	}
	if _, err := on.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: sampled.GetIdempotencyKey(), Origin: recorded}); err != nil {
		t.Fatal(err)
	}

	// Each as "name < its parent", of the saga's trace.
	var got []string
	waittest.Until(t, "all spans have ended", func() bool {
		names, ended := map[string]string{sagasSpan: "saga"}, spans.Ended()
		for _, s := range ended {
			names[s.SpanContext().SpanID().String()] = s.Name()
		}
		got = nil
		for _, s := range ended {
			if s.SpanContext().TraceID().String() == sagasTrace {
				got = append(got, s.Name()+" < "+names[s.Parent().SpanID().String()])
			}
		}
		return len(got) >= 8
	})
	want := []string{
		"commit payment.new < saga", "POST /v1/charges < payment.Charge", "payment.Charge < saga", "commit payment.outcome < saga",
		"commit payment.undo < saga", "POST /v1/refunds < payment.Refund", "payment.Refund < saga", "commit payment.outcome < saga",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID().String() == unsampled.GetOrigin().GetTraceparent()[3:35] {
			t.Errorf("%s of an unrecorded trace is recorded", s.Name())
		}
	}
	events := pgtest.Column[string](t, b.db, `SELECT name || ' ' || traceparent FROM outbox ORDER BY reference DESC, seq`)
	wantEvents := []string{
		"captured " + recorded.GetTraceparent(), // the service's own span may be lost with it
		"refunded " + recorded.GetTraceparent(),
		"captured " + unsampled.GetOrigin().GetTraceparent(),
	}
	if diff := cmp.Diff(wantEvents, events); diff != "" {
		t.Errorf("traces of events (-want +got):\n%s", diff)
	}
}
