package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tieout/tieout/cmd/tieout/batching"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/test/systemtest"
)

// startReserve is reservations of one piece each, of so many SKUs in turn, so many in a call.
func startReserve(ctx context.Context, b *bench, kinds int64, items int) (*subject, error) {
	t, err := b.startTieout(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.receive(ctx, kinds); err != nil {
		return nil, errors.Join(err, t.stop())
	}
	request := func(n int64) *inventoryv1.ReserveRequest {
		return &inventoryv1.ReserveRequest{
			IdempotencyKey: fmt.Sprintf("bench/%d/reserve", n), Reference: fmt.Sprintf("bench-%d", n),
			Lines: []*inventoryv1.StockLine{{Sku: sku(n % kinds), Quantity: 1}},
		}
	}
	t.do = func(ctx context.Context, n int64) error {
		client := inventoryv1.NewInventoryServiceClient(t.conn())
		if items == 1 {
			return again(ctx, func() error { _, err := client.Reserve(ctx, request(n)); return err })
		}
		r := &inventoryv1.BatchReserveRequest{}
		for i := range items {
			r.Requests = append(r.Requests, request(n*int64(items)+int64(i)))
		}
		return again(ctx, func() error {
			answer, err := client.BatchReserve(ctx, r)
			for _, one := range answer.GetResults() {
				if one.GetStatus() != nil {
					return fmt.Errorf("a reservation was refused: %v", one.GetStatus())
				}
			}
			return err
		})
	}
	return &t.subject, nil
}

// startCharge is charges over HTTP to the provider's simulator, which is in the system's process.
func startCharge(ctx context.Context, b *bench) (*subject, error) {
	t, err := b.startTieout(ctx)
	if err != nil {
		return nil, err
	}
	t.do = func(ctx context.Context, n int64) error {
		client, key := paymentv1.NewPaymentServiceClient(t.conn()), strconv.FormatInt(n, 10)
		r := &paymentv1.ChargeRequest{
			IdempotencyKey: "bench/" + key + "/charge", Amount: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250},
			PaymentMethod: "pm_ok", CustomerId: "c-1", Reference: "bench-" + key,
		}
		return again(ctx, func() error { _, err := client.Charge(ctx, r); return err })
	}
	return &t.subject, nil
}

// startBatch is batches of so many payments each, from the first byte of the upload until the proof.
func startBatch(ctx context.Context, b *bench, items int) (*subject, error) {
	t, err := b.startTieout(ctx)
	if err != nil {
		return nil, err
	}
	file := systemtest.PaymentFile(items, func(int) string { return "pm_ok" })
	t.do = func(ctx context.Context, n int64) error {
		return t.payBatch(ctx, fmt.Sprintf("bench-batch-%d", n), items, file)
	}
	return &t.subject, nil
}

func (t *tieout) payBatch(ctx context.Context, key string, items int, file string) error {
	batches := billingv1.NewBatchServiceClient(t.conn())
	planned, err := systemtest.Upload(ctx, batches, key, &billingv1.BatchHeader{Name: key}, file)
	if err != nil {
		return err
	}
	_, err = batches.StartBatch(ctx, &billingv1.StartBatchRequest{IdempotencyKey: key, BatchId: planned.GetBatchId(), AcceptDuplicates: true})
	if err != nil {
		return err
	}
	watch, err := batches.WatchBatch(ctx, &billingv1.WatchBatchRequest{BatchId: planned.GetBatchId()})
	if err != nil {
		return err
	}
	for {
		answer, err := watch.Recv()
		if err != nil {
			return err
		}
		if of := answer.GetBatch(); batching.Ended(of.GetState()) {
			if p := of.GetProgress(); p.GetSucceeded() != int64(items) || !of.GetProof().GetHolds() {
				return fmt.Errorf("the batch ended as %v, %v", p, of.GetProof())
			}
			return nil
		}
	}
}

// flushed is how long an idle backend of Postgres may keep what it has counted to itself.
const flushed = 11 * time.Second

// single does one call, which is so much that it is measured by itself.
func (l *load) single(ctx context.Context) (Phase, error) {
	from, err := l.meter.read(ctx)
	if err != nil {
		return Phase{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := l.do(ctx, l.next.Add(1)); err != nil {
		return Phase{}, err
	}
	took := time.Since(from.at)
	pause(ctx, flushed)
	to, err := l.meter.read(ctx)
	units := float64(l.weight)
	return Phase{Rate: units / took.Seconds(), Took: took.Seconds(), Costs: costs(from, to, units)}, err
}
