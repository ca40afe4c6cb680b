package orchestrator

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// The spans of a saga are told when they are over, out of its history: one for each event, and one around them all. Their ids
// follow from the saga and the event's number, so that a participant can be told the span of a call that is still to be made,
// and whoever drives the saga after a crash tells the same spans again and not others.

// sagaTrace is what a saga's driver knows of its trace.
type sagaTrace struct {
	isRead   bool // the rest holds
	recorded bool // the spans are wanted
	told     int  // the number of the last event that was taken in
	asked    asking
	held     []moment // whose spans nobody wants so far

	// As of the last event whose span was made.
	life    int       // the number of the event behind which the present life began: 0, or that of the last parking
	began   time.Time // that life
	lastAt  time.Time
	step    string // what was last tried
	attempt int    // and how often
}

// asking is a call that is being made for a saga.
type asking struct {
	op    saga.Op
	seq   int // of the event that it will lead to
	at    time.Time
	times int
}

// moment is an event, and the call that led to it.
type moment struct {
	saga.Event
	asked asking
}

// spanOf is the id of the span of a saga's event; 0 is that of the saga itself.
func spanOf(sagaID SagaID, seq int) (id trace.SpanID) {
	h := fnv.New64a()
	u := sagaID.UUID()
	h.Write(u[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(seq))) //nolint:gosec // events are counted from 1
	binary.BigEndian.PutUint64(id[:], h.Sum64()|1)
	return id
}

// rootOf is the trace context of the saga, for what comes of it but of none of its steps.
func (v sagaView) rootOf(recorded bool) string {
	origin := telemetry.ParseTraceparent(v.traceparent)
	if !origin.IsValid() {
		return ""
	}
	return telemetry.Traceparent(origin.TraceID(), spanOf(v.id, 0), recorded || origin.IsSampled())
}

// isNotable tells whether something happened to a saga for which its trace is kept, whatever was decided at first: all
// but a step that is done at once.
func isNotable(t saga.EventType) bool {
	return t != saga.Started && t != saga.StepDone && t != saga.SagaCompleted
}

// wasNotable tells whether a saga has had its troubles, as far as its row tells.
func (v sagaView) wasNotable() bool { return v.phase != saga.Running && v.phase != saga.Completed }

// isSlow tells whether an order takes too long. Nobody waits for a recurring payment.
func (v sagaView) isSlow(now time.Time, slow time.Duration) bool {
	return v.definition.name != recurring && now.Sub(v.createdAt) > slow
}

// ask notes that a call is about to be made for the saga, and gives the trace context of it.
func (t *sagaTrace) ask(v sagaView, op saga.Op, now time.Time, slow time.Duration) string {
	t.recorded = t.recorded || v.isSlow(now, slow)
	if t.asked.seq != v.seq+1 {
		t.asked = asking{seq: v.seq + 1, at: now, op: op}
	}
	t.asked.times++
	origin := telemetry.ParseTraceparent(v.traceparent)
	if !origin.IsValid() {
		return ""
	}
	return telemetry.Traceparent(origin.TraceID(), spanOf(v.id, v.seq+1), t.recorded || origin.IsSampled())
}

// read takes in a history that was read, and gives the spans that are to be told of it: of what came after the last parking,
// as whoever drove the saga before may have ended before its spans were sent.
func (t *sagaTrace) read(d driven, slow time.Duration) []telemetry.Past {
	if !t.isRead {
		t.isRead = true
		for _, e := range d.events {
			t.recorded = t.recorded || isNotable(e.Type)
			if e.Type == saga.SagaParked && e.Seq < len(d.events) {
				t.life, t.told, t.lastAt = e.Seq, e.Seq, e.At
			}
		}
	}
	return t.take(d.view, d.subject.reference, d.events, slow)
}

// take takes in events that are durable, and gives the spans that are to be told.
func (t *sagaTrace) take(v sagaView, reference string, events []saga.Event, slow time.Duration) []telemetry.Past {
	for _, e := range events {
		if e.Seq <= t.told {
			continue
		}
		m := moment{Event: e}
		if t.asked.seq == e.Seq {
			m.asked = t.asked
		}
		t.held, t.told = append(t.held, m), e.Seq
		t.recorded = t.recorded || isNotable(e.Type) || v.isSlow(e.At, slow)
	}
	origin := telemetry.ParseTraceparent(v.traceparent)
	if !origin.IsValid() || !t.recorded && !origin.IsSampled() {
		return nil
	}
	spans := make([]telemetry.Past, 0, len(t.held))
	for _, m := range t.held {
		if m.Type != saga.Started {
			spans = append(spans, t.span(v, reference, origin, m))
		}
		t.lastAt = m.At
	}
	t.held = nil
	return spans
}

// span makes the span of an event.
func (t *sagaTrace) span(v sagaView, reference string, origin trace.SpanContext, m moment) telemetry.Past {
	if t.began.IsZero() {
		if t.began = m.At; t.life == 0 {
			t.began = v.createdAt
		}
	}
	p := telemetry.Past{Trace: origin.TraceID(), Attributes: ofSaga(v, reference), Ended: m.At}
	switch m.Type {
	case saga.SagaCompleted, saga.SagaCompensated, saga.SagaParked:
		t.whole(&p, v, origin, m)
	default:
		t.part(&p, v, m)
	}
	return p
}

// whole makes the span of the saga from its beginning, or from when it went on after it was parked, to where it rests.
func (t *sagaTrace) whole(p *telemetry.Past, v sagaView, origin trace.SpanContext, m moment) {
	p.ID, p.Name, p.Begun, p.Error = spanOf(v.id, t.life), v.definition.name, t.began, m.Cause
	p.Attributes = append(p.Attributes, attribute.String("tieout.saga.phase", string(m.Type)))
	if origin.IsSampled() {
		p.Parent = origin.SpanID()
	}
	if m.Type == saga.SagaCompensated {
		p.Error = cmp.Or(v.cause, "compensated")
	}
	if t.life > 0 {
		p.Name, p.Parent = v.definition.name+" resumed", spanOf(v.id, 0)
		p.Links = []trace.Link{{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: p.Trace, SpanID: p.Parent, TraceFlags: trace.FlagsSampled,
		})}}
	}
	if m.Type == saga.SagaParked {
		t.life, t.began = m.Seq, time.Time{}
	}
}

// part makes the span of one event: of the call that led to it, or of a moment where there was none.
func (t *sagaTrace) part(p *telemetry.Past, v sagaView, m moment) {
	p.ID, p.Parent, p.Name, p.Begun = spanOf(v.id, m.Seq), spanOf(v.id, t.life), string(m.Type), m.At
	add := func(more ...attribute.KeyValue) { p.Attributes = append(p.Attributes, more...) }
	add(attribute.String("tieout.saga.event", string(m.Type)), attribute.Int("tieout.saga.seq", m.Seq))
	if m.Actor != "" {
		add(attribute.String("tieout.actor", m.Actor))
	}
	if isFailure(m.Type) {
		p.Error = m.Cause
	}
	op, isCall := opOf(m.Type)
	if !isCall {
		return
	}
	if m.asked.seq > 0 {
		op, p.Begun = m.asked.op, m.asked.at
	} else { // by another driver, which told nobody when
		p.Begun = t.lastAt
		add(attribute.Bool("tieout.saga.retold", true))
	}
	if p.Name = op.String() + " " + m.Step; p.Name != t.step {
		t.step, t.attempt = p.Name, 0
	}
	t.attempt++
	add(attribute.String("tieout.step", m.Step), attribute.String("tieout.idempotency_key", stepKey(v.id, m.Step)),
		attribute.Int("tieout.saga.attempt", t.attempt))
	if m.asked.times > 1 {
		add(attribute.Int("tieout.saga.asked", m.asked.times))
	}
}

func isFailure(t saga.EventType) bool {
	switch t {
	case saga.StepRefused, saga.StepUnknown, saga.CompensationUnknown, saga.CompensationDecided:
		return true
	}
	return false
}

// opOf is the operation that leads to events of a type, where it is one that calls a participant.
func opOf(t saga.EventType) (op saga.Op, isCall bool) {
	switch t {
	case saga.StepDone, saga.StepRefused, saga.StepUnknown, saga.StepPending:
		return saga.Execute, true
	case saga.StepNotFound:
		return saga.LookUp, true
	case saga.StepCompensated, saga.CompensationUnknown, saga.CompensationPending:
		return saga.Compensate, true
	}
	return 0, false
}

func ofSaga(v sagaView, reference string) []attribute.KeyValue {
	of := attribute.String("tieout.order.id", reference)
	if v.definition.name == recurring {
		of = attribute.String("tieout.recurring_payment.id", reference)
	}
	return []attribute.KeyValue{of, attribute.String("tieout.saga.id", v.id.String())}
}

// trace records spans.
func (e *engine) trace(spans []telemetry.Past) {
	for _, p := range spans {
		p.Record(e.tracer)
	}
}
