package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

const key = "saga/sag_1/reserve"

func TestReserve_PromisesALineASKU(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10), line("cup", 4))
	got := b.mustReserve(t, key, line("mug", 2), line("cup", 4), line("mug", 3), line("mug", 1))
	want := &inventoryv1.Reservation{
		Reference: "ord_1", State: inventoryv1.ReservationState_RESERVATION_STATE_HELD,
		Lines: []*inventoryv1.Reservation_Line{{Sku: "cup", Quantity: 4}, {Sku: "mug", Quantity: 6}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "reservation_id")); diff != "" {
		t.Errorf("reservation (-want +got):\n%s", diff)
	}
	b.wantLevels(t, stock.Level{SKU: "cup", Reserved: 4}, stock.Level{SKU: "mug", Available: 4, Reserved: 6})

	var subject, reference string
	var data []byte
	err := b.db.QueryRow(t.Context(), `SELECT subject, reference, data FROM outbox WHERE entity = 'reservation' AND name = 'held'`).
		Scan(&subject, &reference, &data)
	if err != nil {
		t.Fatal(err)
	}
	var event eventv1.StockReserved
	if err := proto.Unmarshal(data, &event); err != nil {
		t.Fatal(err)
	}
	wantEvent := &eventv1.StockReserved{
		ReservationId: got.GetReservationId(), Reference: "ord_1",
		Lines: []*eventv1.StockQuantity{{Sku: "cup", Quantity: 4}, {Sku: "mug", Quantity: 6}},
	}
	if diff := cmp.Diff(wantEvent, &event, protocmp.Transform()); diff != "" || subject != got.GetReservationId() || reference != "ord_1" {
		t.Errorf("event of %s for %s (-want +got):\n%s", subject, reference, diff)
	}
}

func TestReserve_IsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, line("bowl", 1), line("cup", 4), line("mug", 10))
	before := b.levels(t)
	_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 5), line("cup", 3), line("mug", 6), line("bowl", 2), line("cup", 1)))
	refusal := rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "bowl", "mug")
	want := []rpcerr.Field{{Path: "bowl", Description: "1 available, 2 asked for"}, {Path: "mug", Description: "10 available, 11 asked for"}}
	if diff := cmp.Diff(want, refusal.Fields); diff != "" {
		t.Errorf("shortages (-want +got):\n%s", diff)
	}
	b.wantLevels(t, before...)
	if diff := cmp.Diff([]string{"stock.received"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReserve_RefusalIsGivenAgainWhenStockHasCome(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 1))
	_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 2)))
	first := rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "mug")
	b.mustReceive(t, "receipt-two", line("mug", 5))
	var header metadata.MD
	_, err = b.Reserve(t.Context(), toReserve(key, line("mug", 2)), grpc.Header(&header))
	if diff := cmp.Diff(first, rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "mug")); diff != "" || !replayed(header) {
		t.Errorf("refusal given again, header %v (-first +again):\n%s", header, diff)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 6})
}

func TestReserve_NamesUnknownSKUsWhereTheyStand(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 1), line("jug", 1), line("mug", 99), line("Mug", 1), line("jug", 1)))
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "lines[1].sku", "lines[3].sku", "lines[4].sku")
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
}

func TestReserve_KeyReusedNamesTheFieldsThatDiffer(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	made := b.mustReserve(t, key, line("mug", 2), line("mug", 1))
	other := toReserve(key, line("mug", 3))
	other.Reference = "ord_2"
	_, err := b.Reserve(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "reference")
	other.Lines[0].Quantity = 4
	_, err = b.Reserve(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "reference", "lines")
	_, err = b.Reserve(t.Context(), toReserve(key, line("jug", 3)))
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "lines")

	same := b.mustReserve(t, key, line("mug", 3)) // the same pieces, on fewer lines
	if diff := cmp.Diff(made, same, protocmp.Transform()); diff != "" {
		t.Errorf("reservation (-first +again):\n%s", diff)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 7, Reserved: 3})
}

func TestReserve_RefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	many := make([]*inventoryv1.StockLine, 1001)
	for i := range many {
		many[i] = line("mug", 1)
	}
	noReference := toReserve(key, line("mug", 1))
	noReference.Reference = ""
	for name, c := range map[string]struct {
		request *inventoryv1.ReserveRequest
		reason  rpcerr.Reason
		field   string
	}{
		"no key":        {toReserve("", line("mug", 1)), rpcerr.IdempotencyKeyMissing, "idempotency_key"},
		"short key":     {toReserve("short", line("mug", 1)), rpcerr.IdempotencyKeyInvalid, "idempotency_key"},
		"no reference":  {noReference, rpcerr.RequestInvalid, "reference"},
		"no lines":      {toReserve(key), rpcerr.RequestInvalid, "lines"},
		"1,001 lines":   {toReserve(key, many...), rpcerr.RequestInvalid, "lines"},
		"no pieces":     {toReserve(key, line("mug", 1), line("mug", 0)), rpcerr.RequestInvalid, "lines[1].quantity"},
		"minus a piece": {toReserve(key, line("mug", -1)), rpcerr.RequestInvalid, "lines[0].quantity"},
		"no SKU":        {toReserve(key, line("", 1)), rpcerr.RequestInvalid, "lines[0].sku"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Reserve(t.Context(), c.request)
			rpcerrtest.Want(t, err, c.reason, c.field)
		})
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
}
