package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/test/systemtest"
)

const (
	completed   = orderv1.OrderState_ORDER_STATE_COMPLETED
	compensated = orderv1.OrderState_ORDER_STATE_COMPENSATED
)

// scenario is orders that all go the same way.
type scenario struct {
	name string
	// What is ordered, how it is paid, and where it goes.
	sku, method, country string
	// cancel has each order cancelled as soon as it is acknowledged.
	cancel bool
	// fails has what follows an authorization, by its path at the provider, fail at first, before its effect and after it.
	fails string
	// ends are the states that an order may end in.
	ends []orderv1.OrderState
	// events has the relay and the inbox of events killed too.
	events bool
}

// The stock of a world: one SKU that never runs out, and one of which there is a single piece.
const (
	plenty = "MUG"
	scarce = "VASE"
)

var scenarios = []scenario{
	{name: "through", sku: plenty, method: "pm_ok", country: "GB", ends: ends(completed), events: true},
	{name: "no stock", sku: scarce, method: "pm_ok", country: "GB", ends: ends(compensated)},
	{name: "declined", sku: plenty, method: "pm_declined", country: "GB", ends: ends(compensated)},
	{name: "not shipped", sku: plenty, method: "pm_ok", country: "XX", ends: ends(compensated), events: true},
	{name: "authorization unknown, happened", sku: plenty, method: "pm_timeout_after", country: "GB", ends: ends(completed)},
	{name: "authorization unknown, at first", sku: plenty, method: "pm_500_then_ok", country: "GB", ends: ends(completed)},
	{name: "authorization unknown, never happens", sku: plenty, method: "pm_timeout_before", country: "GB", ends: ends(compensated)},
	{name: "cancelled", sku: plenty, method: "pm_slow", country: "GB", cancel: true, ends: ends(completed, compensated)},
	{name: "capture fails", sku: plenty, method: "pm_ok", country: "GB", fails: "/v1/captures", ends: ends(completed)},
	{name: "void fails", sku: plenty, method: "pm_ok", country: "XX", fails: "/v1/voids", ends: ends(compensated)},
}

func ends(states ...orderv1.OrderState) []orderv1.OrderState { return states }

// How many orders a scenario has. In the whole matrix the second is on its way beside the first: if their participant
// dies, one of them may have to wait for the other's lease. In the sample nobody waits for that.
const (
	ordersOfAll    = 2
	ordersOfSample = 1
)

// pieces of a SKU in an order: more than there are of the scarce one.
const pieces = 2

// patience is how long a client waits for all of its orders to end: longer than any lease, timeout and redelivery.
const patience = 90 * time.Second

// client places orders with whichever replica answers.
type client struct {
	fronts []*grpc.ClientConn
}

// run places the orders of a scenario, one after the other is acknowledged, waits until all have ended, and tells what
// went wrong. The name makes their keys.
func (c client) run(ctx context.Context, s scenario, orders int, name string) []error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	wrong := make([]error, orders)
	var ending sync.WaitGroup
	for i := range orders {
		id, want, err := c.place(ctx, s, fmt.Sprintf("%s-%d", name, i))
		if err != nil {
			wrong[i] = err
			continue
		}
		ending.Go(func() { wrong[i] = c.end(ctx, id, want) })
	}
	ending.Wait()
	return slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
}

// place gives the id of an acknowledged order, and the states that it may end in.
func (c client) place(ctx context.Context, s scenario, key string) (id string, want []orderv1.OrderState, err error) {
	r := &orderv1.PlaceOrderRequest{
		IdempotencyKey: key, CustomerId: "crash", PaymentMethod: s.method, ShipTo: &commonv1.Address{Country: s.country},
		Lines: []*orderv1.OrderLine{{Sku: s.sku, Quantity: pieces, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
	}
	err = c.call(ctx, func(ctx context.Context, orders orderv1.OrderServiceClient) error {
		answer, err := orders.PlaceOrder(ctx, r)
		id = answer.GetOrder().GetOrderId()
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("placing order %s: %w", key, err)
	}
	if !s.cancel {
		return id, s.ends, nil
	}
	err = c.call(ctx, func(ctx context.Context, orders orderv1.OrderServiceClient) error {
		_, err := orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{IdempotencyKey: key + "-cancel", OrderId: id})
		return err
	})
	switch {
	case err == nil:
		return id, ends(compensated), nil // that was promised
	case rpcerr.Is(err, rpcerr.OrderNotCancellable):
		return id, s.ends, nil
	}
	return "", nil, fmt.Errorf("cancelling order %s: %w", id, err)
}

// end waits until an acknowledged order is at rest, and tells when it is not as it should be.
func (c client) end(ctx context.Context, id string, want []orderv1.OrderState) error {
	var last *orderv1.Order
	err := c.call(ctx, func(ctx context.Context, orders orderv1.OrderServiceClient) error {
		answer, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id})
		if err != nil {
			return err
		}
		if last = answer.GetOrder(); !systemtest.AtRest(last) {
			return errOnItsWay
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("acknowledged order %s, at last %s (%s): %w", id, last.GetState(), last.GetCause(), err)
	case !slices.Contains(want, last.GetState()):
		return fmt.Errorf("order %s ended as %s (%s), want %v", id, last.GetState(), last.GetCause(), want)
	}
	return nil
}

var errOnItsWay = errors.New("it has not ended")

// callLimit is how long one attempt of the client may take: the front may be gone without a word.
const callLimit = 5 * time.Second

// call does something with one front after the other, until one answers for good or ctx ends.
func (c client) call(ctx context.Context, do func(context.Context, orderv1.OrderServiceClient) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var last error
		for _, front := range c.fronts {
			front.ResetConnectBackoff() // a client in a hurry
			attempt, cancel := context.WithTimeout(ctx, callLimit)
			last = do(attempt, orderv1.NewOrderServiceClient(front))
			cancel()
			if e, ok := rpcerr.FromError(last); last == nil || ok && e.Definite() {
				return last
			}
			if errors.Is(last, errOnItsWay) {
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}
