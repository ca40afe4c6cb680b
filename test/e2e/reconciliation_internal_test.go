package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// Whatever becomes of orders and recurring payments, what the services tell of them ties, and our movements are what the
// provider has done.
func TestReconciliation_WhatTheServicesDidTies(t *testing.T) {
	t.Parallel()
	f := &fixture{T: t, world: systemtest.NewWorld(t)}
	f.world.TieOut.Grace = 3 * time.Second
	f.serve()
	f.receive("MUG", 100)
	var placed []string
	for i, method := range []string{"pm_ok", "pm_ok", "pm_slow", "pm_500_then_ok", "pm_timeout_after", "pm_capture_500_after", "pm_declined", "pm_timeout_before"} {
		placed = append(placed, f.place(fmt.Sprintf("order-%04d", i), method, "GB", 1))
	}
	placed = append(placed, f.place("order-abroad", "pm_ok", "XX", 2), f.place("order-large", "pm_ok", "GB", 1000))
	states := map[orderv1.OrderState]int{}
	for _, id := range placed {
		states[systemtest.End(t, f.orders, id).GetState()]++
	}
	if states[orderv1.OrderState_ORDER_STATE_COMPLETED] != 6 || states[orderv1.OrderState_ORDER_STATE_COMPENSATED] != 4 {
		t.Fatalf("the orders ended as %v", states)
	}
	f.refundOne()
	f.charge(map[string]int{"pm_ok": 15, "pm_declined": 3, "pm_timeout_after": 2})

	recon := f.world.Pool["reconciliation"]
	count := func(where string) int64 {
		return pgtest.Column[int64](t, recon, `SELECT count(*) FROM order_fact WHERE `+where)[0]
	}
	waittest.Until(t, "every order and recurring payment ties", func() bool {
		return count(`look_at IS NULL AND NOT sighted`) == int64(len(placed))+20 && count(`look_at IS NOT NULL OR sighted`) == 0
	})
	want := map[string]int64{}
	for _, e := range f.world.PSP.Journal() {
		switch e.Type {
		case pspsim.TypeCharge, pspsim.TypeCapture:
			want["1 "+e.Currency] += e.AmountMinor
		case pspsim.TypeRefund:
			want["2 "+e.Currency] -= e.AmountMinor
		}
	}
	got := map[string]int64{}
	for _, row := range pgtest.Column[string](t, recon, `
SELECT m.kind || ' ' || p.currency || ' ' || sum(m.amount_minor) FROM movement m JOIN partition p ON p.id = m.partition_id
 WHERE m.ours AND m.standing = 0 GROUP BY m.kind, p.currency`) {
		var kind, currency string
		var minor int64
		if _, err := fmt.Sscan(row, &kind, &currency, &minor); err != nil {
			t.Fatal(err)
		}
		got[kind+" "+currency] = minor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what moved at the provider (-journal +movements):\n%s", diff)
	}
	f.wantKnownToProvider()
	if broken := pgtest.Column[string](t, recon, `SELECT code || ' ' || subject || ' ' || detail FROM break`); len(broken) > 0 {
		t.Errorf("breaks: %q", broken)
	}
	f.world.CheckQuiet(t, f.conn)
}

// wantKnownToProvider fails the test unless the provider knows all that our movements are to be recognised by on a statement.
func (f *fixture) wantKnownToProvider() {
	f.Helper()
	known := map[string]bool{}
	for _, e := range f.world.PSP.Journal() {
		known[e.IdempotencyKey], known[e.ID] = true, true
	}
	for _, row := range pgtest.Rows[struct{ ProviderID, ParentID, IdemKey string }](f.T, f.world.Pool["reconciliation"], `SELECT provider_id, parent_id, idem_key FROM movement WHERE ours AND standing = 0`) {
		if !known[row.ProviderID] || !known[row.ParentID] || !known[row.IdemKey] {
			f.Errorf("the provider does not know all of %+v", row)
		}
	}
}

// serve starts all services in one process.
func (f *fixture) serve() {
	f.Helper()
	cfg := servicetest.Config()
	cfg.NATS.URL = f.world.NATS.URL()
	f.process = servicetest.StartWith(f.T, cfg, f.world.Services()...)
	f.connect()
}

func (f *fixture) place(key, method, country string, quantity int32) string {
	f.Helper()
	answer, err := f.orders.PlaceOrder(f.Context(), request(key, method, country, quantity))
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetOrder().GetOrderId()
}

// refundOne gives a part of an order's payment back, as an operator does.
func (f *fixture) refundOne() {
	f.Helper()
	payments := paymentv1.NewPaymentServiceClient(f.conn)
	list, err := payments.ListPayments(f.Context(), &paymentv1.ListPaymentsRequest{State: paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, PageSize: 1})
	if err != nil || len(list.GetPayments()) != 1 {
		f.Fatalf("there is no payment to be refunded: %v", err)
	}
	p := list.GetPayments()[0]
	part := p.GetAmount()
	part.MinorUnits /= 3
	_, err = payments.RefundPayment(f.Context(), &paymentv1.RefundPaymentRequest{
		IdempotencyKey: "refund-a-third", PaymentId: p.GetPaymentId(), Amount: part, Reason: "a broken mug",
	})
	if err != nil {
		f.Fatal(err)
	}
}

// charge runs a batch of payments, so many with each method.
func (f *fixture) charge(methods map[string]int) {
	f.Helper()
	var all []string
	for method, n := range methods {
		for range n {
			all = append(all, method)
		}
	}
	batches := billingv1.NewBatchServiceClient(f.conn)
	planned, err := systemtest.Upload(f.Context(), batches, "upload-dues", &billingv1.BatchHeader{Name: "dues"},
		systemtest.PaymentFile(len(all), func(i int) string { return all[i] }))
	if err == nil {
		_, err = batches.StartBatch(f.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-dues", BatchId: planned.GetBatchId()})
	}
	if err != nil {
		f.Fatal(err)
	}
	systemtest.EndBatch(f, batches, planned.GetBatchId(), 2*time.Minute)
}
