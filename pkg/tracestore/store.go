package tracestore

import (
	"container/list"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// maxSpans is how many spans of one trace are kept.
	maxSpans = 2000
	// slow is how long a span takes whose trace is kept longer than others.
	slow = 5 * time.Second
	// spanSize is what a span takes besides its texts, in bytes, and traceSize what a trace does besides its spans.
	spanSize, traceSize = 400, 600
)

// byWhich are the attributes by which a trace is found.
var byWhich = [...]string{"tieout.order.id", "tieout.recurring_payment.id"}

// span is one span as it is kept.
type span struct {
	id, parent    trace.SpanID
	name, service string
	begun, ended  time.Time
	failed        bool
	err           string
	attributes    []attribute
	links         []string
}

type attribute struct{ name, value string }

func (s span) get(name string) string {
	for _, a := range s.attributes {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// isRetold tells whether the span is what a later driver knew of it.
func (s span) isRetold() bool { return s.get("tieout.saga.retold") != "" }

func (s span) size() int {
	n := spanSize + len(s.name) + len(s.err)
	for _, a := range s.attributes {
		n += 2*16 + len(a.name) + len(a.value)
	}
	for _, l := range s.links {
		n += 16 + len(l)
	}
	return n
}

// kept is a trace.
type kept struct {
	id      trace.TraceID
	spans   map[trace.SpanID]span
	names   []string // by which it is found
	size    int
	dropped int
	notable bool
	place   *list.Element // in the queue of its kind
}

// Store keeps traces.
type Store struct {
	limit int

	mu       sync.Mutex
	size     int // of all traces
	notables int // of those that are notable
	traces   map[trace.TraceID]*kept
	byName   map[string]*kept
	// plain and notable are the traces by kind, the oldest first.
	plain, notable *list.List
}

// New makes a store that takes up to so many bytes.
func New(limit int) *Store {
	return &Store{
		limit: limit, traces: map[trace.TraceID]*kept{}, byName: map[string]*kept{}, plain: list.New(), notable: list.New(),
	}
}

// add takes a span in. Of spans with the same id one is kept: the last, but not one that is told again by somebody who knows less.
func (s *Store) add(id trace.TraceID, sp span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.traces[id]
	if k == nil {
		k = &kept{id: id, spans: map[trace.SpanID]span{}, size: traceSize}
		k.place = s.plain.PushBack(k)
		s.traces[id], s.size = k, s.size+traceSize
	}
	old, again := k.spans[sp.id]
	switch {
	case again && sp.isRetold() && !old.isRetold():
		return
	case again:
		s.resize(k, -old.size())
	case len(k.spans) >= maxSpans:
		k.dropped++
		return
	}
	k.spans[sp.id] = sp
	s.resize(k, sp.size())
	for _, name := range byWhich {
		if value := sp.get(name); value != "" && s.byName[value] == nil {
			k.names, s.byName[value] = append(k.names, value), k
		}
	}
	if !k.notable && (sp.failed || sp.ended.Sub(sp.begun) >= slow) {
		s.plain.Remove(k.place)
		k.notable, k.place = true, s.notable.PushBack(k)
		s.notables += k.size
	}
	for s.size > s.limit && len(s.traces) > 1 {
		s.evict()
	}
}

func (s *Store) resize(k *kept, by int) {
	k.size += by
	s.size += by
	if k.notable {
		s.notables += by
	}
}

// evict forgets the trace that is the first to make room. A quarter of the room is for those that are not notable.
func (s *Store) evict() {
	from := s.plain
	if from.Len() == 0 || s.notables > s.limit/4*3 {
		from = s.notable
	}
	k := from.Remove(from.Front()).(*kept) //nolint:forcetypeassert // nothing else is in the queues
	delete(s.traces, k.id)
	for _, name := range k.names {
		if s.byName[name] == k {
			delete(s.byName, name)
		}
	}
	s.resize(k, -k.size)
}

// found is a trace as it was when it was looked for.
type found struct {
	id      trace.TraceID
	spans   []span
	dropped int
}

// find gives the trace of that name, or that id.
func (s *Store) find(name string) (f found, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.byName[name]
	if id, err := trace.TraceIDFromHex(name); k == nil && err == nil {
		k = s.traces[id]
	}
	if k == nil {
		return f, false
	}
	f = found{id: k.id, dropped: k.dropped}
	for _, sp := range k.spans {
		f.spans = append(f.spans, sp)
	}
	return f, true
}

// count tells how many traces are kept.
func (s *Store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.traces)
}
