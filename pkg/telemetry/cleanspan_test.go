package telemetry_test

import (
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tieout/tieout/pkg/telemetry"
)

func TestTracers_KeepNothingThatMustNotBeKept(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tel := newTelemetry(t, telemetry.Config{Processor: spans, SampleRatio: 1})
	tracer := tel.Tracers("payment").Tracer("test")
	_, dirty := tracer.Start(t.Context(), "charge")
	dirty.SetAttributes(attribute.String("tieout.idempotency_key", "of a@b.example"), attribute.Int("n", 1), attribute.String("ok", "fine"))
	dirty.AddEvent("clean")
	dirty.RecordError(errors.New("refused " + card))
	dirty.SetStatus(codes.Error, "password=x")
	dirty.End()
	_, clean := tracer.Start(t.Context(), "look")
	clean.SetAttributes(attribute.String("ok", "fine"))
	clean.SetStatus(codes.Error, "not found")
	clean.End()

	got := spans.Ended()[0]
	if got.Status().Description != "password=[secret]" || got.Status().Code != codes.Error {
		t.Errorf("got status %v", got.Status())
	}
	set := attribute.NewSet(got.Attributes()...)
	for key, want := range map[attribute.Key]string{"tieout.idempotency_key": "of [e-mail]", "n": "1", "ok": "fine"} {
		if v, _ := set.Value(key); v.String() != want {
			t.Errorf("%s: got %s, want %s", key, v.String(), want)
		}
	}
	var said strings.Builder
	for _, e := range got.Events() {
		for _, a := range e.Attributes {
			said.WriteString(a.Value.String())
		}
	}
	if !strings.Contains(said.String(), "refused [card]") || strings.Contains(said.String(), card) {
		t.Errorf("got events %v", got.Events())
	}
	if s := spans.Ended()[1]; s.Status().Description != "not found" || len(s.Attributes()) != 1 {
		t.Errorf("got %v %v", s.Status(), s.Attributes())
	}
}
