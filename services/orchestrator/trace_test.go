package orchestrator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const callersTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

// told is what a trace tells, each span as "name < its parent: error, attempt".
type told struct {
	t     *testing.T
	view  sagaView
	names map[trace.SpanID]string
	lines []string
}

func newTold(t *testing.T, flags string) *told {
	return &told{
		t: t, names: map[trace.SpanID]string{},
		view: sagaView{
			id: id.New[sagaKind](), subject: uuid.New(), definition: definitionKey{"order", 1}, traceparent: callersTrace + flags,
			createdAt: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		},
	}
}

// event is one that happened so long after the beginning.
func (w *told) event(seq int, kind saga.EventType, step string, after time.Duration, cause string) saga.Event {
	return saga.Event{Seq: seq, Type: kind, Step: step, At: w.view.createdAt.Add(after), Detail: saga.Detail{Cause: cause}}
}

func (w *told) take(spans []telemetry.Past) {
	for _, s := range spans {
		w.names[s.ID] = s.Name
	}
	for _, s := range spans {
		line := s.Name
		if s.Parent.IsValid() {
			line += " < " + s.Parent.String()
			if name := w.names[s.Parent]; name != "" {
				line = s.Name + " < " + name
			} else if s.Parent == spanOf(w.view.id, 0) {
				line = s.Name + " < (order)"
			}
		}
		for _, a := range s.Attributes {
			if a.Key == "tieout.saga.attempt" && a.Value.AsInt64() > 1 {
				line += " #" + a.Value.String()
			}
		}
		if s.Error != "" {
			line += ": " + s.Error
		}
		w.lines = append(w.lines, line)
	}
}

func (w *told) want(lines ...string) {
	w.t.Helper()
	if diff := cmp.Diff(lines, w.lines); diff != "" {
		w.t.Errorf("spans told (-want +got):\n%s", diff)
	}
	w.lines = nil
}

func TestSagaTrace_OfWhatWasNotSampledIsToldFromTheFirstTrouble(t *testing.T) {
	t.Parallel()
	w, st := newTold(t, "00"), sagaTrace{}
	happen := func(e saga.Event) {
		w.take(st.take(w.view, "ord_1", []saga.Event{e}, time.Minute))
		w.view.seq = e.Seq
	}
	w.view.seq = 1
	before := st.ask(w.view, saga.Execute, w.view.createdAt, time.Minute)
	if want := telemetry.Traceparent(telemetry.ParseTraceparent(w.view.traceparent).TraceID(), spanOf(w.view.id, 2), false); before != want {
		t.Errorf("the participant is told %s, want %s", before, want)
	}
	happen(w.event(2, saga.StepDone, "reserve", time.Second, ""))
	w.want()
	st.ask(w.view, saga.Execute, w.view.createdAt, time.Minute)
	happen(w.event(3, saga.StepUnknown, "authorize", 2*time.Second, "no answer"))
	w.want("execute reserve < (order)", "execute authorize < (order): no answer")
	if after := st.ask(w.view, saga.Execute, w.view.createdAt, time.Minute); !telemetry.IsRecorded(after) {
		t.Errorf("the participant is told %s, want that it is recorded", after)
	}
	happen(w.event(4, saga.StepRefused, "authorize", 3*time.Second, "declined"))
	happen(w.event(5, saga.CompensationDecided, "", 3*time.Second, "authorize refused"))
	happen(w.event(6, saga.StepCompensated, "reserve", 4*time.Second, ""))
	happen(w.event(7, saga.SagaCompensated, "", 4*time.Second, ""))
	w.want("execute authorize < (order) #2: declined", "compensation_decided < (order): authorize refused",
		"compensate reserve < (order)", "order: compensated")
}

func TestSagaTrace_OfWhatWentWellIsToldOnlyIfItWasSampledOrSlow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags string
		took  time.Duration
		want  []string
	}{
		"not sampled": {"00", time.Second, nil},
		"slow":        {"00", 2 * time.Minute, []string{"execute reserve < order", "order"}},
		"sampled":     {"01", time.Second, []string{"execute reserve < order", "order < b7ad6b7169203331"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, st := newTold(t, test.flags), sagaTrace{}
			w.take(st.take(w.view, "ord_1", []saga.Event{
				w.event(2, saga.StepDone, "reserve", test.took/2, ""), w.event(3, saga.SagaCompleted, "", test.took, ""),
			}, time.Minute))
			w.want(test.want...)
		})
	}
}

// Whoever drives a saga after a crash tells what the one before may have told, as the same spans, from the last parking on.
func TestSagaTrace_IsToldAgainAsTheSameSpans(t *testing.T) {
	t.Parallel()
	w := newTold(t, "01")
	history := []saga.Event{
		w.event(1, saga.Started, "", 0, ""), w.event(2, saga.StepDone, "reserve", time.Second, ""),
		w.event(3, saga.SagaParked, "", 2*time.Second, "nobody knows"), w.event(4, saga.SagaRetried, "", time.Hour, ""),
		w.event(5, saga.StepDone, "authorize", 2*time.Hour, ""),
	}
	var first, second sagaTrace
	w.take(first.take(w.view, "ord_1", history[:3], 24*time.Hour))
	w.want("execute reserve < order", "order < b7ad6b7169203331: nobody knows")
	original := first.take(w.view, "ord_1", history[3:], 24*time.Hour)
	w.take(original)
	w.want("retried < "+spanOf(w.view.id, 3).String(), "execute authorize < "+spanOf(w.view.id, 3).String())

	d := driven{run: run{view: w.view, events: history}, subject: subject{reference: "ord_1"}}
	again := second.read(d, 24*time.Hour)
	if len(again) != len(original) {
		t.Fatalf("%d spans are told again, want %d", len(again), len(original))
	}
	for i := range again {
		if again[i].ID != original[i].ID || again[i].Parent != original[i].Parent || again[i].Name != original[i].Name {
			t.Errorf("got %+v again, want %+v", again[i], original[i])
		}
	}
	if more := second.read(d, 24*time.Hour); len(more) > 0 {
		t.Errorf("the same history is told twice: %v", more)
	}
	w.take(second.take(w.view, "ord_1", []saga.Event{w.event(6, saga.SagaCompleted, "", 3*time.Hour, "")}, 24*time.Hour))
	w.want("order resumed < order")
}
