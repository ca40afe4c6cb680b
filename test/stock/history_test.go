package stock

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// asked is an operation on the SKU; told is how it ended.
type asked struct {
	read bool
	move stock.Event
}

type told struct {
	refused     bool
	reservation string // what was reserved or released
	seen        seen   // of a read
}

// seen is a level, and the number of the last event that it is the fold of.
type seen struct {
	level stock.Level
	event int64
}

// round is what was done between two moments at which nothing was under way, and the levels at those.
type round struct {
	before, after seen
	history       []porcupine.Operation
}

// register is the stock of a SKU as one would have it who is asked one thing after the other.
func register(before stock.Level) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return before },
		Step: func(state, input, output any) (bool, any) {
			level, in, out := state.(stock.Level), input.(asked), output.(told)
			if in.read {
				return out.seen.level == level, level
			}
			after, err := level.Apply(in.move)
			return out.refused == (err != nil), after
		},
	}
}

// effect is what an operation did to a reservation, and entry the event that says so.
type effect struct {
	kind        stock.EventType
	reservation string
}

type entry struct {
	id int64
	at time.Time
}

// books are the events of reservations.
func (r *run) books() map[effect]entry {
	all := map[effect]entry{}
	for _, e := range pgtest.Rows[struct {
		ID          int64
		Kind        stock.EventType
		Reservation string
		At          time.Time
	}](r.t, r.db, `SELECT id, type, 'res_' || reservation_id, at FROM stock_event WHERE reservation_id IS NOT NULL`) {
		all[effect{e.Kind, e.Reservation}] = entry{e.ID, e.At}
	}
	return all
}

// narrowed has operations begin no sooner than when they can have taken effect, as the books have it: one that changed the
// level when its event was written, behind the one before it, and a read behind the last event that it saw. To search all
// orders of so many operations at once takes for ever; these leave hardly any. An order that suits the narrower times
// suits the wider ones as well. The error is that the order of the events does not suit the times.
func (r *run) narrowed(history []porcupine.Operation, books map[effect]entry) ([]porcupine.Operation, error) {
	type placed struct {
		op       int
		event    int64 // that it is, or that it saw
		earliest int64
	}
	var order []placed
	for i, op := range history {
		in, out := op.Input.(asked), op.Output.(told)
		switch {
		case in.read:
			order = append(order, placed{i, out.seen.event, op.Call})
		case !out.refused:
			e, ok := books[effect{in.move.Type, out.reservation}]
			if !ok {
				return nil, fmt.Errorf("%+v was answered %+v, and no event says so", in, out)
			}
			order = append(order, placed{i, e.id, min(max(op.Call, e.at.Sub(r.began).Nanoseconds()), op.Return)})
		}
	}
	slices.SortFunc(order, func(a, b placed) int { // a read behind the event that it saw
		readA, readB := history[a.op].Input.(asked).read, history[b.op].Input.(asked).read
		switch {
		case a.event != b.event, readA == readB:
			return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.earliest, b.earliest))
		case readA:
			return 1
		}
		return -1
	})
	out, last := slices.Clone(history), int64(0)
	for _, p := range order {
		op := &out[p.op]
		last = max(p.earliest, last+1)
		if op.Call = last; op.Call > op.Return {
			return nil, fmt.Errorf("client %d: %+v was over before what took effect before it began", op.ClientId, history[p.op])
		}
	}
	return out, nil
}

// linearizable looks for an order of a round's operations that leads from the level before it to the level after it. The
// error is that there is none, or that none was found in time.
func (r *run) linearizable(round round, books map[effect]entry) error {
	history, err := r.narrowed(round.history, books)
	if err != nil {
		return err
	}
	if got := porcupine.CheckOperationsTimeout(register(round.before.level), history, checkLimit); got != porcupine.Ok {
		return fmt.Errorf("from %+v to %+v %d operations are in order: %s", round.before, round.after, len(history), got)
	}
	return nil
}

// check gives the verdict on all rounds.
func (r *run) check(rounds []round) string {
	books := r.books()
	for i, round := range rounds {
		err := r.linearizable(round, books)
		if i > 0 && round.before != rounds[i-1].after {
			err = errors.Join(err, fmt.Errorf("it begins with %+v, and the one before it ended with %+v", round.before, rounds[i-1].after))
		}
		if err == nil {
			continue
		}
		r.t.Errorf("round %d: %v", i, err)
		for _, op := range round.history {
			r.t.Logf("client %d, %d to %d: %+v gave %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
		}
		return "not linearizable"
	}
	return "linearizable"
}

// What the service must never answer is found out: each case is a good history with one answer that is none.
func TestLinearizable_FindsWhatIsNotInOrder(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_000_000, 0)
	read := func(call, back, available, event int64) porcupine.Operation {
		return porcupine.Operation{ClientId: 9, Input: asked{read: true}, Call: call, Return: back,
			Output: told{seen: seen{stock.Level{SKU: mug, Available: available, Reserved: 10 - available}, event}}}
	}
	move := func(kind stock.EventType, quantity, call, back int64, out told) porcupine.Operation {
		return porcupine.Operation{ClientId: int(call), Input: asked{move: stock.Event{SKU: mug, Type: kind, Quantity: quantity}}, Call: call, Return: back, Output: out}
	}
	refused := told{refused: true}
	books := map[effect]entry{
		{stock.Reserved, "res_a"}: {2, began.Add(30)}, {stock.Reserved, "res_b"}: {3, began.Add(31)}, {stock.Released, "res_a"}: {4, began.Add(60)},
		{stock.Reserved, "res_early"}: {1, began},
	}
	good := []porcupine.Operation{
		move(stock.Reserved, 6, 10, 50, told{reservation: "res_a"}), move(stock.Reserved, 3, 11, 50, told{reservation: "res_b"}),
		move(stock.Reserved, 2, 12, 48, refused), read(40, 42, 1, 3),
		move(stock.Released, 6, 52, 70, told{reservation: "res_a"}), read(80, 82, 7, 4),
	}
	for name, with := range map[string]struct {
		ok  bool
		ops []porcupine.Operation
	}{
		"all is well":                          {true, nil},
		"refused while others were served":     {true, []porcupine.Operation{move(stock.Reserved, 2, 53, 72, refused)}},
		"refused although there was enough":    {false, []porcupine.Operation{move(stock.Reserved, 2, 90, 95, refused)}},
		"a level that is over":                 {false, []porcupine.Operation{read(85, 86, 1, 3)}},
		"a level that never was":               {false, []porcupine.Operation{read(85, 86, 6, 4)}},
		"written down before what was over":    {false, []porcupine.Operation{move(stock.Reserved, 1, 90, 95, told{reservation: "res_early"})}},
		"pieces that nobody wrote down":        {false, []porcupine.Operation{move(stock.Reserved, 1, 90, 95, told{reservation: "res_c"})}},
		"pieces that were written down before": {false, []porcupine.Operation{move(stock.Released, 6, 75, 79, told{reservation: "res_a"})}},
	} {
		r := &run{began: began}
		err := r.linearizable(round{before: seen{stock.Level{SKU: mug, Available: 10}, 1}, history: slices.Concat(good, with.ops)}, books)
		if (err == nil) != with.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
