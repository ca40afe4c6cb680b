package stock

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

// patience is how long a client waits for an answer before it sends the request again.
const patience = 2 * time.Second

// client reserves and releases, and takes down what it was told and when.
type client struct {
	run  *run
	name int
	dice *rand.Rand
	stub inventoryv1.InventoryServiceClient

	log                []porcupine.Operation // of this round
	held               []holding
	sent               int // requests, not counting what was sent again
	reserved, released int64
}

// holding is a reservation that the client has.
type holding struct {
	key      string
	quantity int64
}

// work does the steps of a round. A client that has more reserves less: together they want half as much again as there is.
func (c *client) work(ctx context.Context) {
	for range steps {
		if c.run.t.Failed() {
			return
		}
		if c.dice.IntN(24) < len(c.held) {
			c.release(ctx, c.dice.IntN(len(c.held)))
		} else {
			c.reserve(ctx, 1+c.dice.Int64N(3))
		}
	}
}

func (c *client) reserve(ctx context.Context, quantity int64) {
	c.sent++
	h := holding{fmt.Sprintf("client/%d/%d", c.name, c.sent), quantity}
	done := c.do(ctx, stock.Reserved, quantity, func(ctx context.Context) (*inventoryv1.Reservation, error) {
		answer, err := c.stub.Reserve(ctx, &inventoryv1.ReserveRequest{
			IdempotencyKey: h.key, Reference: "ord_1", Lines: []*inventoryv1.StockLine{{Sku: mug, Quantity: int32(quantity)}},
		}, grpc.WaitForReady(true))
		return answer.GetReservation(), err
	})
	if done {
		c.held = append(c.held, h)
		c.reserved++
	}
}

func (c *client) release(ctx context.Context, i int) {
	h := c.held[i]
	done := c.do(ctx, stock.Released, h.quantity, func(ctx context.Context) (*inventoryv1.Reservation, error) {
		answer, err := c.stub.Release(ctx, &inventoryv1.ReleaseRequest{IdempotencyKey: h.key}, grpc.WaitForReady(true))
		return answer.GetReservation(), err
	})
	if done {
		c.held = append(c.held[:i], c.held[i+1:]...)
		c.released++
	}
}

// do sends a request until its answer is known: under its key it takes effect once, between when it was first sent and
// when it was answered. It tells whether it was done.
func (c *client) do(ctx context.Context, move stock.EventType, quantity int64, send func(context.Context) (*inventoryv1.Reservation, error)) bool {
	called := time.Since(c.run.began)
	for {
		sending, cancel := context.WithTimeout(ctx, patience)
		moved, err := send(sending)
		cancel()
		refused := rpcerr.Is(err, rpcerr.InsufficientStock)
		if err == nil || refused {
			c.log = append(c.log, porcupine.Operation{
				ClientId: c.name, Input: asked{move: stock.Event{SKU: mug, Type: move, Quantity: quantity}}, Call: called.Nanoseconds(),
				Output: told{refused: refused, reservation: moved.GetReservationId()}, Return: time.Since(c.run.began).Nanoseconds(),
			})
			c.run.answered.Add(1)
			if refused {
				c.run.refused.Add(1)
			}
			return err == nil
		}
		if e, ok := rpcerr.FromError(err); ctx.Err() != nil || ok && e.Definite() {
			c.run.t.Errorf("client %d: %s %d: %v", c.name, move, quantity, err)
			return false
		}
		c.run.resent.Add(1)
	}
}
