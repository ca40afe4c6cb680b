package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/codes"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// skus is how many kinds of goods the orders are for.
const skus = 200

func sku(n int64) string { return fmt.Sprintf("SKU-%04d", n) }

// receive puts goods of the first so many SKUs on stock.
func (t *tieout) receive(ctx context.Context, kinds int64) error {
	r := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all"}
	for n := range kinds {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: sku(n), Quantity: 1 << 30})
	}
	_, err := inventoryv1.NewInventoryServiceClient(t.conn()).ReceiveStock(ctx, r)
	return err
}

// orderRequest asks for the n-th order.
func orderRequest(n int64) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		IdempotencyKey: fmt.Sprintf("order-%010d", n), CustomerId: "c-1", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: "GB"},
		Lines: []*orderv1.OrderLine{{Sku: sku(n % skus), Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
	}
}

// place places the n-th order. One that is to fail is accepted by everybody but the carrier: its goods and its money are set aside, and given back.
func (t *tieout) place(ctx context.Context, n int64, fails bool) (id string, err error) {
	r := orderRequest(n)
	if fails {
		r.ShipTo.Country = "XX" // no carrier goes there
	}
	err = again(ctx, func() error {
		answer, err := orderv1.NewOrderServiceClient(t.conn()).PlaceOrder(ctx, r)
		id = answer.GetOrder().GetOrderId()
		return err
	})
	return id, err
}

// again makes a call, and makes it again for as long as it is refused for there being too much.
func again(ctx context.Context, call func() error) error {
	for {
		err := call()
		wait := retryAfter(err)
		if wait == 0 || ctx.Err() != nil {
			return err
		}
		pause(ctx, wait)
	}
}

// retryAfter is when a call that was refused for there being too much may be made again; 0 for other errors.
func retryAfter(err error) time.Duration {
	if e, ok := rpcerr.FromError(err); ok && (e.Code() == codes.Unavailable || e.Code() == codes.ResourceExhausted) {
		return e.RetryAfter
	}
	return 0
}

// ends tells how orders end, as the events say that the system publishes.
type ends struct {
	mu      sync.Mutex
	waiting map[string]chan string // by order, each of length 1
}

// followEnds takes in the events about ends of orders from now on.
func (t *tieout) followEnds() (*ends, error) {
	e := &ends{waiting: map[string]chan string{}}
	for _, how := range []string{"completed", "compensated", "parked"} {
		sub, err := t.nats.Subscribe("evt.orchestrator.order."+how+".*", func(m *nats.Msg) {
			select {
			case e.of(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]) <- how:
			default: // it was told before
			}
		})
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			return nil, err
		}
	}
	return e, t.nats.Flush()
}

// of is where the end of an order is told; the event may be here before the order's id is.
func (e *ends) of(id string) chan string {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.waiting[id]
	if told == nil {
		told = make(chan string, 1)
		e.waiting[id] = told
	}
	return told
}

func (e *ends) await(ctx context.Context, id string) (how string, err error) {
	told := e.of(id)
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.waiting, id)
	}()
	select {
	case how = <-told:
		return how, nil
	case <-ctx.Done():
		return "", errors.New("the order does not end")
	}
}

// startOrders is orders from the call that places one to the event that tells its end. One in so many fails; 0 is none.
func startOrders(ctx context.Context, b *bench, oneInFails int64) (*subject, error) {
	t, err := b.startTieout(ctx)
	if err != nil {
		return nil, err
	}
	told, err := t.followEnds()
	if err == nil {
		err = t.receive(ctx, skus)
	}
	if err != nil {
		return nil, errors.Join(err, t.stop())
	}
	t.do = func(ctx context.Context, n int64) error {
		fails, wanted := oneInFails > 0 && n%oneInFails == 0, "completed"
		if fails {
			wanted = "compensated"
		}
		id, err := t.place(ctx, n, fails)
		if err != nil {
			return err
		}
		how, err := told.await(ctx, id)
		if err == nil && how != wanted {
			err = fmt.Errorf("order %s is %s", id, how)
		}
		return err
	}
	return &t.subject, nil
}

// startAccept is orders until they are accepted, which is when they cannot be lost any more. Where goods are reserved nobody
// listens, so that nobody works the orders off meanwhile.
func startAccept(ctx context.Context, b *bench) (*subject, error) {
	t, err := b.startTieout(ctx, "TIEOUT_ORCHESTRATOR_INVENTORY_ADDR=127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	t.settle = t.told
	t.do = func(ctx context.Context, n int64) error {
		_, err := t.place(ctx, n, false)
		return err
	}
	return &t.subject, nil
}
