package payment

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func TestGetPayment_GivesOnePayment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := b.mustCharge(t, key, "pm_ok")
	got, err := b.GetPayment(t.Context(), &paymentv1.GetPaymentRequest{PaymentId: want.GetPaymentId()})
	if err != nil {
		t.Fatal(err)
	}
	all := got.GetPayment().GetOperations()
	got.GetPayment().Operations = nil
	if diff := cmp.Diff(want, got.GetPayment(), protocmp.Transform()); diff != "" {
		t.Errorf("payment (-want +got):\n%s", diff)
	}
	if len(all) != 1 || all[0].GetState() != paymentv1.OperationState_OPERATION_STATE_DONE || len(all[0].GetCalls()) != 1 ||
		all[0].GetCalls()[0].GetAsk() != "do" || all[0].GetCalls()[0].GetOutcome() != "succeeded" {
		t.Errorf("got operations %v, want the charge with its call", all)
	}
	for _, none := range []string{"pay_01a1ff8a-d6f0-7dc6-a8c7-997f6569b9f1", "ord_1", "x"} {
		_, err := b.GetPayment(t.Context(), &paymentv1.GetPaymentRequest{PaymentId: none})
		rpcerrtest.Want(t, err, rpcerr.NotFound, "payment_id")
	}
}

func TestListPayments_PagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for i := range 5 {
		want = append(want, b.mustCharge(t, fmt.Sprintf("saga/sag_%d/charge", i), "pm_ok").GetPaymentId())
	}
	slices.Reverse(want)
	var got []string
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		page, err := b.ListPayments(t.Context(), &paymentv1.ListPaymentsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.GetPayments() {
			got = append(got, p.GetPaymentId())
		}
		token = page.GetNextPageToken()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payments (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"%", "b3JkXzE"} {
		_, err := b.ListPayments(t.Context(), &paymentv1.ListPaymentsRequest{PageToken: bad})
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
	}
}
