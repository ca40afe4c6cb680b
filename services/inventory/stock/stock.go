// Package stock decides about stock: whether pieces can be promised, and what each event does to a SKU's level.
// The events are the truth; a level is their fold.
package stock

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// EventType is what happened to pieces of a SKU.
type EventType int16

// The types of events.
const (
	// Received: pieces came into the warehouse.
	Received EventType = iota + 1
	// Reserved: available pieces were promised.
	Reserved
	// Released: promised pieces are available again.
	Released
	// Committed: promised pieces left the warehouse.
	Committed
	// Adjusted: a count found more pieces, or fewer, than were known.
	Adjusted
	// Expired: promised pieces are available again, because the time of the promise was over.
	Expired
)

var typeNames = [...]string{"", "received", "reserved", "released", "committed", "adjusted", "expired"}

// String is the name of the type.
func (t EventType) String() string {
	if t < Received || t > Expired {
		return fmt.Sprintf("EventType(%d)", int16(t))
	}
	return typeNames[t]
}

// Event is one change of one SKU. Quantity is more than zero, or for Adjusted, where pieces are missing, less.
type Event struct {
	SKU      string
	Type     EventType
	Quantity int64
}

// Line is a quantity of one SKU.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Level is what there is of one SKU, in pieces.
type Level struct {
	SKU string
	// Available pieces are in the warehouse and promised to nobody.
	Available int64
	// Reserved pieces are in the warehouse and promised.
	Reserved int64
	// Shipped pieces have left, ever.
	Shipped int64
	// Adjusted is how many pieces more were found than missed, ever.
	Adjusted int64
}

// Received is how many pieces ever came in.
func (l Level) Received() int64 { return l.known() - l.Adjusted }

// known is how many pieces there are and were.
func (l Level) known() int64 { return l.Available + l.Reserved + l.Shipped }

// Totals are how many pieces the events of one SKU moved, by type.
type Totals map[EventType]int64

// Level is what the events add up to.
func (t Totals) Level(sku string) Level {
	given := t[Released] + t[Expired]
	return Level{
		SKU: sku, Available: t[Received] + t[Adjusted] - t[Reserved] + given,
		Reserved: t[Reserved] - given - t[Committed], Shipped: t[Committed], Adjusted: t[Adjusted],
	}
}

// ErrOverflow says that more pieces came in than 64 bits can count.
var ErrOverflow = errors.New("quantity does not fit in 64 bits")

// ErrImpossible says that an event cannot have happened at a level: the history is damaged.
var ErrImpossible = errors.New("event is impossible at this level")

// Apply gives the level after an event.
func (l Level) Apply(e Event) (Level, error) {
	switch {
	case e.Quantity == 0, e.Quantity < 0 && e.Type != Adjusted, e.Quantity == math.MinInt64:
		return l, fmt.Errorf("%s %d of %s: %w", e.Type, e.Quantity, e.SKU, ErrImpossible)
	case e.Type == Received && e.Quantity > math.MaxInt64-max(l.known(), l.Received()),
		e.Type == Adjusted && e.Quantity > math.MaxInt64-l.known():
		return l, fmt.Errorf("%s %d of %s: %w", e.Type, e.Quantity, e.SKU, ErrOverflow)
	}
	after := l
	after.SKU = e.SKU
	switch e.Type {
	case Received:
		after.Available += e.Quantity
	case Reserved:
		after.Available -= e.Quantity
		after.Reserved += e.Quantity
	case Released, Expired:
		after.Reserved -= e.Quantity
		after.Available += e.Quantity
	case Committed:
		after.Reserved -= e.Quantity
		after.Shipped += e.Quantity
	case Adjusted:
		after.Available += e.Quantity
		after.Adjusted += e.Quantity
	default:
		return l, fmt.Errorf("%s of %s: %w", e.Type, e.SKU, ErrImpossible)
	}
	if after.Available < 0 || after.Reserved < 0 {
		return l, fmt.Errorf("%s %d of %s with %d available and %d reserved: %w",
			e.Type, e.Quantity, e.SKU, l.Available, l.Reserved, ErrImpossible)
	}
	return after, nil
}

// Record applies events to the levels of their SKUs, all or nothing: an error leaves levels as it was.
func Record(levels map[string]Level, events []Event) error {
	after := make(map[string]Level, len(events))
	for _, e := range events {
		level, changed := after[e.SKU]
		if !changed {
			level = levels[e.SKU]
		}
		next, err := level.Apply(e)
		if err != nil {
			return err
		}
		after[e.SKU] = next
	}
	maps.Copy(levels, after)
	return nil
}

// Consolidate adds up the lines of each SKU, by SKU. The error is ErrOverflow.
func Consolidate(lines []Line) ([]Line, error) {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b Line) int { return strings.Compare(a.SKU, b.SKU) })
	var out []Line
	for _, l := range sorted {
		last := len(out) - 1
		if last < 0 || out[last].SKU != l.SKU {
			out = append(out, l)
			continue
		}
		if l.Quantity > math.MaxInt64-out[last].Quantity {
			return nil, fmt.Errorf("sum of %s: %w", l.SKU, ErrOverflow)
		}
		out[last].Quantity += l.Quantity
	}
	return out, nil
}

// Shortage is a SKU of which fewer pieces are available than asked for.
type Shortage struct {
	SKU              string
	Asked, Available int64
}

// Reserve decides whether consolidated lines can be promised, all or nothing: the shortages, if there are any.
func Reserve(levels map[string]Level, lines []Line) []Shortage {
	var short []Shortage
	for _, l := range lines {
		if have := levels[l.SKU].Available; have < l.Quantity {
			short = append(short, Shortage{SKU: l.SKU, Asked: l.Quantity, Available: have})
		}
	}
	return short
}

// Events makes an event of one type for each line.
func Events(t EventType, lines []Line) []Event {
	events := make([]Event, len(lines))
	for i, l := range lines {
		events[i] = Event{SKU: l.SKU, Type: t, Quantity: l.Quantity}
	}
	return events
}
