package e2e

import (
	"fmt"
	"sync"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// traffic is what a shop does in a day: orders in three currencies, most of which go through; a batch of dues, some of which the
// provider takes without ever saying so; refunds, all of a payment or a part; and chargebacks, one of which is reversed.
type traffic struct {
	orders, items int
	// lost is how many items of the batch stay in doubt: taken, not told, and not found by a lookup.
	lost int
	// batch is the batch, which does not end before somebody finds out.
	batch *billingv1.Batch
}

const trafficClients = 64

// run has all of it happen.
func (tr *traffic) run(f *fixture) {
	f.Helper()
	f.receive("MUG", int32(4*tr.orders))
	tr.startBatch(f)
	placed := tr.place(f)
	for _, id := range placed {
		systemtest.End(f.T, f.orders, id)
	}
	tr.giveBack(f, tr.settle(f))
}

// place places orders of many amounts, and gives their ids.
func (tr *traffic) place(f *fixture) []string {
	ids := make([]string, tr.orders)
	var clients sync.WaitGroup
	for c := range trafficClients {
		clients.Go(func() {
			for i := c; i < tr.orders; i += trafficClients {
				r := request(fmt.Sprintf("traffic-order-%05d", i), "pm_ok", "GB", int32(1+i%3))
				currency := []string{"GBP", "EUR"}[i%2]
				if i%20 == 11 {
					currency = "USD" // which the provider settles in euros
				}
				r.Lines[0].UnitPrice = &commonv1.Amount{CurrencyCode: currency, MinorUnits: int64(9_900 + (i*3_701)%990_001)}
				switch {
				case i%50 == 7:
					r.PaymentMethod = "pm_declined"
				case i%50 == 23:
					r.ShipTo.Country = "XX" // no carrier goes there
				}
				answer, err := f.orders.PlaceOrder(f.Context(), r)
				if err != nil {
					f.Errorf("placing order %d: %v", i, err)
					return
				}
				ids[i] = answer.GetOrder().GetOrderId()
			}
		})
	}
	clients.Wait()
	if f.Failed() {
		f.FailNow()
	}
	return ids
}

func (tr *traffic) startBatch(f *fixture) {
	f.Helper()
	batches := billingv1.NewBatchServiceClient(f.conn)
	every := tr.items / max(tr.lost, 1)
	file := systemtest.PaymentFile(tr.items, func(i int) string {
		if i%every == 3 && i/every < tr.lost {
			return "pm_lookup_fails"
		}
		return "pm_ok"
	})
	planned, err := systemtest.Upload(f.Context(), batches, "traffic-upload", &billingv1.BatchHeader{Name: "dues"}, file)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := batches.StartBatch(f.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "traffic-start", BatchId: planned.GetBatchId()}); err != nil {
		f.Fatal(err)
	}
	tr.batch = planned
}

// settle waits until only what is in doubt is left of the batch, and gives the payments that were captured.
func (tr *traffic) settle(f *fixture) []*paymentv1.Payment {
	f.Helper()
	stream, err := billingv1.NewBatchServiceClient(f.conn).WatchBatch(f.Context(), &billingv1.WatchBatchRequest{BatchId: tr.batch.GetBatchId()})
	for err == nil && tr.batch.GetProgress().GetSucceeded() < int64(tr.items-tr.lost) {
		var answer *billingv1.WatchBatchResponse
		if answer, err = stream.Recv(); err == nil {
			tr.batch = answer.GetBatch()
		}
	}
	if err != nil {
		f.Fatalf("watching the batch: %v; at last %v", err, tr.batch.GetProgress())
	}
	var captured []*paymentv1.Payment
	for token := ""; ; {
		page, err := paymentv1.NewPaymentServiceClient(f.conn).ListPayments(f.Context(), &paymentv1.ListPaymentsRequest{
			PageSize: 1000, PageToken: token, State: paymentv1.PaymentState_PAYMENT_STATE_CAPTURED,
		})
		if err != nil {
			f.Fatal(err)
		}
		captured = append(captured, page.GetPayments()...)
		if token = page.GetNextPageToken(); token == "" {
			return captured
		}
	}
}

// giveBack refunds some of the payments, and has the customer's bank take others back.
func (tr *traffic) giveBack(f *fixture, captured []*paymentv1.Payment) {
	f.Helper()
	f.world.SendWebhooks(f.process) // chargebacks are told by them alone
	payments := paymentv1.NewPaymentServiceClient(f.conn)
	for i, p := range captured {
		switch {
		case i%40 == 3 || i%40 == 17:
			r := &paymentv1.RefundPaymentRequest{IdempotencyKey: "refund/" + p.GetPaymentId(), PaymentId: p.GetPaymentId(), Reason: "came back"}
			if i%40 == 17 {
				r.Amount = &commonv1.Amount{CurrencyCode: p.GetAmount().GetCurrencyCode(), MinorUnits: p.GetAmount().GetMinorUnits()/2 + 1}
			}
			if _, err := payments.RefundPayment(f.Context(), r); err != nil {
				f.Fatal(err)
			}
		case i%200 == 5:
			e, err := f.world.PSP.Chargeback(pspsim.ChargebackOrder{Charge: p.GetProviderChargeId()})
			if err != nil {
				f.Fatal(err)
			}
			if i%400 == 5 {
				if _, err := f.world.PSP.ReverseChargeback(pspsim.ReversalOrder{Chargeback: e.ID, ReturnFee: true}); err != nil {
					f.Fatal(err)
				}
			}
		}
	}
}
