package shipment

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func TestListShipments_PagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	const n = 5
	want := make([]string, n)
	for i := range n {
		want[n-1-i] = b.mustSchedule(t, fmt.Sprintf("saga/sag_%d/ship", i)).GetShipmentId()
	}
	var got []string
	var sizes []int
	for token, more := "", true; more; more = token != "" {
		page, err := b.ListShipments(t.Context(), &shipmentv1.ListShipmentsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, sh := range page.GetShipments() {
			got = append(got, sh.GetShipmentId())
		}
		sizes, token = append(sizes, len(page.GetShipments())), page.GetNextPageToken()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 2, 1}, sizes); diff != "" {
		t.Errorf("sizes of the pages (-want +got):\n%s", diff)
	}
}

func TestListShipments_RefusesAForeignToken(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	for _, token := range []string{"not base64!", base64.RawURLEncoding.EncodeToString([]byte("ord_1\xff"))} {
		_, err := b.ListShipments(t.Context(), &shipmentv1.ListShipmentsRequest{PageToken: token})
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
	}
}

func TestGetShipment_RefusesAnIDThatNamesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	for _, shipmentID := range []string{id.New[shipmentKind]().String(), "shp_1", "ord_1"} {
		_, err := b.GetShipment(t.Context(), &shipmentv1.GetShipmentRequest{ShipmentId: shipmentID})
		rpcerrtest.Want(t, err, rpcerr.NotFound, "shipment_id")
	}
}
