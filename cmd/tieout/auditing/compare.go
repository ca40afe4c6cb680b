package auditing

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
)

const (
	// pageSize is how many items are read at once.
	pageSize = 1000
	// clockSkew is how far the clocks of services and databases may be apart. What belongs to an order is younger than
	// the order, give or take that.
	clockSkew = 5 * time.Minute
)

// comparer compares what the services say.
type comparer struct {
	orders      orderv1.OrderServiceClient
	sagas       sagav1.SagaServiceClient
	batches     billingv1.BatchServiceClient
	payments    paymentv1.PaymentServiceClient
	shipments   shipmentv1.ShipmentServiceClient
	stock       inventoryv1.InventoryServiceClient
	providerURL string
}

func newComparer(conns map[string]*grpc.ClientConn, providerURL string) *comparer {
	return &comparer{
		orders:      orderv1.NewOrderServiceClient(conns["orchestrator"]),
		sagas:       sagav1.NewSagaServiceClient(conns["orchestrator"]),
		batches:     billingv1.NewBatchServiceClient(conns["billing"]),
		payments:    paymentv1.NewPaymentServiceClient(conns["payment"]),
		shipments:   shipmentv1.NewShipmentServiceClient(conns["shipment"]),
		stock:       inventoryv1.NewInventoryServiceClient(conns["inventory"]),
		providerURL: providerURL,
	}
}

// once compares everything once. The order of the reads matters: a payment is durable before the provider is asked,
// stock that does not change while the orders are read is what they say of it, and a saga has ended before billing says
// what came of its item.
func (c *comparer) once(ctx context.Context) (findings, error) {
	wrong := findings{}
	before, err := c.readStock(ctx)
	if err != nil {
		return nil, err
	}
	charges, err := c.readJournal(ctx)
	if err != nil {
		return nil, err
	}
	books, err := c.readBatches(ctx)
	if err != nil {
		return nil, err
	}
	payments := follow(c.listPayments(ctx), (*paymentv1.Payment).GetReference)
	defer payments.stop()
	shipments := follow(c.listShipments(ctx), (*shipmentv1.Shipment).GetReference)
	defer shipments.stop()
	pieces := map[string]ordered{}
	for s, err := range newestFirst(c.subjectOrders(ctx), c.subjectPayments(ctx)) {
		if err != nil {
			return nil, err
		}
		e := effects{of: s, witness: c.providerURL != "", wrong: wrong}
		oldest := s.created.Add(-clockSkew)
		if e.payments, err = payments.of(s.id, oldest); err != nil {
			return nil, err
		}
		if e.shipments, err = shipments.of(s.id, oldest); err != nil {
			return nil, err
		}
		e.charges = charges[s.id]
		delete(charges, s.id)
		e.judge()
		if s.order != nil {
			count(pieces, s.order)
		} else {
			books.see(s)
		}
	}
	after, err := c.readStock(ctx)
	if err != nil {
		return nil, err
	}
	compareStock(wrong, before, after, pieces)
	if err := c.compareBatches(ctx, wrong, books); err != nil {
		return nil, err
	}
	return wrong, judgeRest(wrong, payments, shipments, charges)
}

// dated is what lists consist of.
type dated interface {
	comparable
	GetCreateTime() *timestamppb.Timestamp
}

// follower reads a list, newest first, and keeps what was read until what it is for comes up.
type follower[T dated] struct {
	next  func() (T, error, bool)
	stop  func()
	forID func(T) string
	kept  map[string][]T // by what it is for
	last  time.Time      // of the last one read
	ended bool
}

func follow[T dated](list iter.Seq2[T, error], forID func(T) string) *follower[T] {
	next, stop := iter.Pull2(list)
	return &follower[T]{next: next, stop: stop, forID: forID, kept: map[string][]T{}, last: time.Unix(1<<40, 0)}
}

// of gives what is for an order or a recurring payment, having read on until what comes is older than that.
func (f *follower[T]) of(id string, oldest time.Time) ([]T, error) {
	if err := f.readTo(oldest); err != nil {
		return nil, err
	}
	found := f.kept[id]
	delete(f.kept, id)
	return found, nil
}

func (f *follower[T]) readTo(oldest time.Time) error {
	for !f.ended && !f.last.Before(oldest) {
		item, err, more := f.next()
		if err != nil {
			return err
		}
		if f.ended = !more; more {
			f.kept[f.forID(item)] = append(f.kept[f.forID(item)], item)
			f.last = item.GetCreateTime().AsTime()
		}
	}
	return nil
}

// pages gives the items of a list, page by page.
func pages[T any](read func(token string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := read(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

func (c *comparer) listOrders(ctx context.Context) iter.Seq2[*orderv1.Order, error] {
	return pages(func(token string) ([]*orderv1.Order, string, error) {
		p, err := c.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{PageSize: pageSize, PageToken: token})
		return p.GetOrders(), p.GetNextPageToken(), err
	})
}

func (c *comparer) listPayments(ctx context.Context) iter.Seq2[*paymentv1.Payment, error] {
	return pages(func(token string) ([]*paymentv1.Payment, string, error) {
		p, err := c.payments.ListPayments(ctx, &paymentv1.ListPaymentsRequest{PageSize: pageSize, PageToken: token})
		return p.GetPayments(), p.GetNextPageToken(), err
	})
}

func (c *comparer) listShipments(ctx context.Context) iter.Seq2[*shipmentv1.Shipment, error] {
	return pages(func(token string) ([]*shipmentv1.Shipment, string, error) {
		p, err := c.shipments.ListShipments(ctx, &shipmentv1.ListShipmentsRequest{PageSize: pageSize, PageToken: token})
		return p.GetShipments(), p.GetNextPageToken(), err
	})
}
