package stock

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestApply_MovesPieces(t *testing.T) {
	t.Parallel()
	at := Level{SKU: "mug", Available: 5, Reserved: 3, Shipped: 2}
	for _, c := range []struct {
		event Event
		want  Level
		err   error
	}{
		{Event{"mug", Received, 4}, Level{"mug", 9, 3, 2, 0}, nil},
		{Event{"mug", Received, math.MaxInt64 - 10}, Level{"mug", math.MaxInt64 - 5, 3, 2, 0}, nil},
		{Event{"mug", Received, math.MaxInt64 - 9}, at, ErrOverflow},
		{Event{"mug", Reserved, 5}, Level{"mug", 0, 8, 2, 0}, nil},
		{Event{"mug", Reserved, 6}, at, ErrImpossible},
		{Event{"mug", Reserved, math.MaxInt64}, at, ErrImpossible},
		{Event{"mug", Released, 3}, Level{"mug", 8, 0, 2, 0}, nil},
		{Event{"mug", Released, 4}, at, ErrImpossible},
		{Event{"mug", Released, math.MaxInt64}, at, ErrImpossible},
		{Event{"mug", Committed, 3}, Level{"mug", 5, 0, 5, 0}, nil},
		{Event{"mug", Committed, 4}, at, ErrImpossible},
		{Event{"mug", Committed, math.MaxInt64}, at, ErrImpossible},
		{Event{"mug", Received, 0}, at, ErrImpossible},
		{Event{"mug", Released, -1}, at, ErrImpossible},
		{Event{"mug", 0, 1}, at, ErrImpossible},
		{Event{"mug", Adjusted, 4}, Level{"mug", 9, 3, 2, 4}, nil},
		{Event{"mug", Adjusted, -5}, Level{"mug", 0, 3, 2, -5}, nil},
		{Event{"mug", Adjusted, -6}, at, ErrImpossible},
		{Event{"mug", Adjusted, 0}, at, ErrImpossible},
		{Event{"mug", Adjusted, math.MinInt64}, at, ErrImpossible},
		{Event{"mug", Adjusted, math.MaxInt64 - 9}, at, ErrOverflow},
		{Event{"mug", Expired, 3}, Level{"mug", 8, 0, 2, 0}, nil},
		{Event{"mug", Expired, 4}, at, ErrImpossible},
		{Event{"mug", Expired + 1, 1}, at, ErrImpossible},
	} {
		got, err := at.Apply(c.event)
		if !errors.Is(err, c.err) {
			t.Errorf("%d × %d: got error %v, want %v", c.event.Type, c.event.Quantity, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d × %d: level (-want +got):\n%s", c.event.Type, c.event.Quantity, diff)
		}
	}
}

func TestConsolidate_AddsUpBySKU(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines, want []Line
		err         error
	}{
		"nothing":        {nil, nil, nil},
		"sorted by SKU":  {[]Line{{"b", 1}, {"B", 2}, {"a", 3}}, []Line{{"B", 2}, {"a", 3}, {"b", 1}}, nil},
		"several lines":  {[]Line{{"b", 1}, {"a", 3}, {"b", 4}, {"b", 5}}, []Line{{"a", 3}, {"b", 10}}, nil},
		"the most":       {[]Line{{"a", math.MaxInt64 - 1}, {"a", 1}}, []Line{{"a", math.MaxInt64}}, nil},
		"more than that": {[]Line{{"a", math.MaxInt64 - 1}, {"b", 1}, {"a", 2}}, nil, ErrOverflow},
	} {
		given := append([]Line(nil), c.lines...)
		got, err := Consolidate(c.lines)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got error %v, want %v", name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: lines (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(given, c.lines); diff != "" {
			t.Errorf("%s: the caller's lines were changed:\n%s", name, diff)
		}
	}
}

func TestReserve_NamesEveryShortage(t *testing.T) {
	t.Parallel()
	levels := map[string]Level{"a": {"a", 2, 9, 9, 0}, "b": {"b", 0, 1, 0, 0}, "c": {"c", 3, 0, 0, 0}}
	for name, c := range map[string]struct {
		lines []Line
		want  []Shortage
	}{
		"enough":      {[]Line{{"a", 2}, {"c", 1}}, nil},
		"one is none": {[]Line{{"b", 1}, {"c", 1}}, []Shortage{{"b", 1, 0}}},
		"two are few": {[]Line{{"a", 3}, {"b", 7}, {"c", 3}}, []Shortage{{"a", 3, 2}, {"b", 7, 0}}},
	} {
		if diff := cmp.Diff(c.want, Reserve(levels, c.lines)); diff != "" {
			t.Errorf("%s: shortages (-want +got):\n%s", name, diff)
		}
	}
}

func TestEvents_MakesOneForEachLine(t *testing.T) {
	t.Parallel()
	got := Events(Released, []Line{{"a", 2}, {"b", 3}})
	if diff := cmp.Diff([]Event{{"a", Released, 2}, {"b", Released, 3}}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestEventType_HasAName(t *testing.T) {
	t.Parallel()
	for typ, want := range map[EventType]string{
		Received: "received", Reserved: "reserved", Released: "released", Committed: "committed", Adjusted: "adjusted", Expired: "expired", 0: "EventType(0)", 9: "EventType(9)",
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %q for type %d, want %q", got, int(typ), want)
		}
	}
}
