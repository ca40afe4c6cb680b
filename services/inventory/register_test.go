package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

// asked is an operation on the stock of a SKU; told is how it ended.
type asked struct {
	sku  string
	read bool
	move stock.Event
}

type told struct {
	refused bool
	level   stock.Level // of a read
}

// stockRegister is the stock of a SKU as one would have it who is asked one thing after the other.
var stockRegister = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		bySKU := map[string][]porcupine.Operation{}
		for _, op := range history {
			sku := op.Input.(asked).sku
			bySKU[sku] = append(bySKU[sku], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range bySKU {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return stock.Level{} },
	Step: func(state, input, output any) (bool, any) {
		level, in, out := state.(stock.Level), input.(asked), output.(told)
		level.SKU = in.sku
		if in.read {
			return out.level == level, level
		}
		after, err := level.Apply(in.move)
		return out.refused == (err != nil), after
	},
}

// client asks for one thing after the other, and takes down what it was told and when.
type client struct {
	b     bundle
	name  int
	start time.Time
	log   []porcupine.Operation
	held  []holding
}

type holding struct {
	key, id string
	event   stock.Event
}

// do asks until the answer is known: under its key a request takes effect once, however often it is sent.
func (c *client) do(ctx context.Context, in asked, ask func() (stock.Level, error)) (refused bool, err error) {
	called := time.Since(c.start)
	for {
		level, err := ask()
		refused = rpcerr.Is(err, rpcerr.InsufficientStock) || rpcerr.Is(err, rpcerr.AdjustmentBelowReserved)
		if err == nil || refused {
			c.log = append(c.log, porcupine.Operation{
				ClientId: c.name, Input: in, Call: called.Nanoseconds(),
				Output: told{refused, level}, Return: time.Since(c.start).Nanoseconds(),
			})
			return refused, nil
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("asking for %+v: %w", in, err)
		}
	}
}

// step does the n-th thing, whatever the dice say.
func (c *client) step(ctx context.Context, dice *rand.Rand, n int) error {
	key := fmt.Sprintf("client/%d/%d", c.name, n)
	sku := []string{"cup", "mug"}[dice.IntN(2)]
	move := func(t stock.EventType, quantity int64) asked {
		return asked{sku: sku, move: stock.Event{SKU: sku, Type: t, Quantity: quantity}}
	}
	switch kind := dice.IntN(5); {
	case kind == 0:
		_, err := c.do(ctx, asked{sku: sku, read: true}, func() (stock.Level, error) {
			answer, err := c.b.GetStock(ctx, &inventoryv1.GetStockRequest{Sku: sku})
			s := answer.GetStock()
			return stock.Level{SKU: sku, Available: s.GetAvailable(), Reserved: s.GetReserved(), Shipped: s.GetShipped(), Adjusted: s.GetAdjusted()}, err
		})
		return err
	case kind == 1:
		by := int64(dice.IntN(7)-3)*2 + 1
		_, err := c.do(ctx, move(stock.Adjusted, by), func() (stock.Level, error) {
			_, err := c.b.adjust(ctx, key, sku, int32(by))
			return stock.Level{}, err
		})
		return err
	case kind == 2 && len(c.held) > 0:
		last := c.held[len(c.held)-1]
		c.held = c.held[:len(c.held)-1]
		sku = last.event.SKU
		commit := dice.IntN(2) == 0
		in := move(stock.Released, last.event.Quantity)
		if commit {
			in = move(stock.Committed, last.event.Quantity)
		}
		_, err := c.do(ctx, in, func() (stock.Level, error) {
			if commit {
				_, err := c.b.Commit(ctx, &inventoryv1.CommitRequest{IdempotencyKey: key, ReservationId: last.id})
				return stock.Level{}, err
			}
			_, err := c.b.Release(ctx, &inventoryv1.ReleaseRequest{IdempotencyKey: last.key})
			return stock.Level{}, err
		})
		return err
	}
	in, made := move(stock.Reserved, 1+dice.Int64N(3)), ""
	refused, err := c.do(ctx, in, func() (stock.Level, error) {
		answer, err := c.b.Reserve(ctx, toReserve(key, line(sku, int32(in.move.Quantity))))
		made = answer.GetReservation().GetReservationId()
		return stock.Level{}, err
	})
	if err == nil && !refused {
		c.held = append(c.held, holding{key, made, in.move})
	}
	return err
}

// killConnections ends every connection of the service to its database.
func (b bundle) killConnections(ctx context.Context) error {
	_, err := b.db.Exec(ctx, `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
	return err
}

// Whatever many clients do at once while connections break, each SKU behaves as if one thing were done after the other.
func TestStock_IsLinearizable(t *testing.T) {
	t.Parallel()
	const clients, steps, killEvery = 5, 24, 8
	b := setup(t, line("cup", 6), line("mug", 6))
	all := make([]*client, clients)
	start := time.Now()
	history := []porcupine.Operation{}
	for _, sku := range []string{"cup", "mug"} { // what setup received, before all
		history = append(history, porcupine.Operation{
			ClientId: clients, Input: asked{sku: sku, move: stock.Event{SKU: sku, Type: stock.Received, Quantity: 6}}, Call: -2, Output: told{}, Return: -1,
		})
	}
	for i, err := range together(clients, func(i int) error {
		all[i] = &client{b: b, name: i, start: start}
		dice := rand.New(rand.NewPCG(uint64(i), 7))
		for n := range steps {
			if i == 0 && n%killEvery == killEvery-1 {
				if err := b.killConnections(t.Context()); err != nil {
					return err
				}
			}
			if err := all[i].step(t.Context(), dice, n); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		history = append(history, all[i].log...)
	}
	if got := porcupine.CheckOperationsTimeout(stockRegister, history, 20*time.Second); got != porcupine.Ok {
		t.Errorf("the history of %d operations is linearizable: %s", len(history), got)
		for _, op := range history {
			t.Logf("client %d, %d to %d: %+v gave %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
		}
	}
}
