package tracestore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	tracev1 "github.com/tieout/tieout/gen/tieout/trace/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func traceID(n int) (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spanID(n int) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// piece is a span of an order, so many milliseconds after noon.
func piece(n, of, after int, order string) span {
	begun := noon.Add(time.Duration(after) * time.Millisecond)
	s := span{id: spanID(n), name: fmt.Sprint(n), service: "payment", begun: begun, ended: begun.Add(time.Millisecond)}
	if of > 0 {
		s.parent = spanID(of)
	}
	if order != "" {
		s.attributes = []attribute{{"tieout.order.id", order}}
	}
	return s
}

func get(t *testing.T, s *Store, name string) []string {
	t.Helper()
	answer, err := (&server{store: s}).GetTrace(t.Context(), &tracev1.GetTraceRequest{Name: name})
	if err != nil {
		rpcerrtest.Want(t, err, rpcerr.NotFound, "name")
		return nil
	}
	var names []string
	for _, sp := range answer.GetTrace().GetSpans() {
		names = append(names, sp.GetName())
	}
	return names
}

func TestStore_GivesATraceAsATree(t *testing.T) {
	t.Parallel()
	s := New(1 << 20)
	for _, sp := range []span{piece(4, 2, 30, ""), piece(3, 1, 20, ""), piece(2, 1, 10, "ord_1"), piece(1, 9, 0, ""), piece(6, 5, 1, ""), piece(5, 6, 2, "")} {
		s.add(traceID(1), sp)
	}
	want := []string{"1", "2", "4", "3", "6", "5"} // the last two are parts of each other
	for _, name := range []string{"ord_1", traceID(1).String()} {
		if got := get(t, s, name); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := get(t, s, "ord_2"); got != nil {
		t.Errorf("got %v of an order that nobody knows", got)
	}
}

func TestStore_KeepsTheSpanOfWhoKnewMore(t *testing.T) {
	t.Parallel()
	s := New(1 << 20)
	retold := piece(1, 0, 0, "ord_1")
	retold.name, retold.attributes = "retold", append(retold.attributes, attribute{"tieout.saga.retold", "true"})
	s.add(traceID(1), retold)
	s.add(traceID(1), piece(1, 0, 0, "ord_1"))
	s.add(traceID(1), retold)
	if got := get(t, s, "ord_1"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("got %v, want the first-hand span alone", got)
	}
}

func TestStore_MakesRoomByAgeAndWhatWentWrongLast(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	s := New(limit)
	failed := piece(1, 0, 0, "ord_failed")
	failed.failed = true
	slowly := piece(1, 0, 0, "ord_slow")
	slowly.ended = slowly.begun.Add(slow)
	s.add(traceID(1), failed)
	s.add(traceID(2), slowly)
	for n := 3; n < 1000; n++ {
		s.add(traceID(n), piece(1, 0, n, fmt.Sprintf("ord_%d", n)))
		if s.size > limit {
			t.Fatalf("%d bytes are kept, at most %d are allowed", s.size, limit)
		}
	}
	for name, kept := range map[string]bool{"ord_failed": true, "ord_slow": true, "ord_3": false, "ord_500": false, "ord_999": true} {
		if got := get(t, s, name); (got != nil) != kept {
			t.Errorf("%s: got %v, kept is to be %v", name, got, kept)
		}
	}
	if s.count() > 100 || len(s.byName) != s.count() {
		t.Errorf("%d traces by %d names", s.count(), len(s.byName))
	}
	for n := 1000; n < 2000; n++ { // nothing but failures: a quarter is left for the others
		failed.attributes = []attribute{{"tieout.order.id", fmt.Sprintf("ord_%d", n)}}
		s.add(traceID(n), failed)
	}
	s.add(traceID(2000), piece(1, 0, 0, "ord_happy"))
	if s.size > limit || get(t, s, "ord_happy") == nil || get(t, s, "ord_failed") != nil || get(t, s, "ord_1999") == nil {
		t.Errorf("%d bytes; of the happy %v, the first failed %v, the last failed %v", s.size, get(t, s, "ord_happy"), get(t, s, "ord_failed"), get(t, s, "ord_1999"))
	}
}

func TestStore_BoundsATrace(t *testing.T) {
	t.Parallel()
	s := New(64 << 20)
	for n := 1; n <= maxSpans+5; n++ {
		s.add(traceID(1), piece(n, 0, n, "ord_1"))
	}
	answer, err := (&server{store: s}).GetTrace(t.Context(), &tracev1.GetTraceRequest{Name: "ord_1"})
	if err != nil || len(answer.GetTrace().GetSpans()) != maxSpans || answer.GetTrace().GetDroppedCount() != 5 {
		t.Errorf("got %d spans and %d dropped (%v)", len(answer.GetTrace().GetSpans()), answer.GetTrace().GetDroppedCount(), err)
	}
}
