package rpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// setupUnreached is a server whose handlers must not be reached.
func setupUnreached(t *testing.T) fixture {
	t.Helper()
	return setup(t, &warehouse{
		getStock: func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
			t.Error("GetStock was reached")
			return &inventoryv1.GetStockResponse{}, nil
		},
		reserve: func(context.Context, *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
			t.Error("Reserve was reached")
			return &inventoryv1.ReserveResponse{}, nil
		},
	}, &orders{watch: func(*orderv1.WatchOrderRequest, grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
		t.Error("WatchOrder was reached")
		return nil
	}})
}

func reserveRequest() *inventoryv1.ReserveRequest {
	return &inventoryv1.ReserveRequest{
		IdempotencyKey: "saga/1/reserve", Reference: "ord_1",
		Lines: []*inventoryv1.StockLine{{Sku: "A1", Quantity: 1}, {Sku: "B2", Quantity: 2}},
	}
}

func TestServer_NamesTheFieldsThatBreakTheirRule(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	for name, test := range map[string]struct {
		change func(*inventoryv1.ReserveRequest)
		want   []string
	}{
		"one nested":    {func(r *inventoryv1.ReserveRequest) { r.Lines[1].Quantity = 0 }, []string{"lines[1].quantity"}},
		"several":       {func(r *inventoryv1.ReserveRequest) { r.Reference, r.Lines[0].Sku = "", "" }, []string{"reference", "lines[0].sku"}},
		"a whole list":  {func(r *inventoryv1.ReserveRequest) { r.Lines = nil }, []string{"lines"}},
		"much too long": {func(r *inventoryv1.ReserveRequest) { r.Lines[0].Sku = strings.Repeat("x", 65) }, []string{"lines[0].sku"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := reserveRequest()
			test.change(r)
			_, err := f.inventory().Reserve(t.Context(), r)
			got := rpcerrtest.Want(t, err, rpcerr.RequestInvalid, test.want...)
			for _, field := range got.Fields {
				if field.Description == "" || !strings.Contains(got.Message, field.Path+": "+field.Description) {
					t.Errorf("message %q does not say what is wrong with %s", got.Message, field.Path)
				}
			}
		})
	}
}

// What is wrong travels in a header: it must fit there however much is wrong.
func TestServer_BoundsHowManyFieldsAnErrorNames(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	r := reserveRequest()
	for range 10_000 {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{})
	}
	_, err := f.inventory().Reserve(t.Context(), r)
	got, ok := rpcerr.FromError(err)
	if !ok || got.Reason != rpcerr.RequestInvalid {
		t.Fatalf("got error %v, want %s", err, rpcerr.RequestInvalid)
	}
	if len(got.Fields) != 20 || !strings.HasSuffix(got.Message, "more") {
		t.Errorf("got %d fields and message %q", len(got.Fields), got.Message)
	}
	if size := proto.Size(got.GRPCStatus().Proto()); size > 6<<10 {
		t.Errorf("the error takes %d bytes", size)
	}
}

func TestServer_RefusesAnUnusableIdempotencyKey(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	for name, test := range map[string]struct {
		key  string
		want rpcerr.Reason
	}{
		"missing":     {"", rpcerr.IdempotencyKeyMissing},
		"short":       {"1234567", rpcerr.IdempotencyKeyInvalid},
		"long":        {strings.Repeat("k", 256), rpcerr.IdempotencyKeyInvalid},
		"unprintable": {"order\x7f01", rpcerr.IdempotencyKeyInvalid},
		"not ASCII":   {"bestellung-ä", rpcerr.IdempotencyKeyInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := reserveRequest()
			r.IdempotencyKey = test.key
			_, err := f.inventory().Reserve(t.Context(), r)
			rpcerrtest.Want(t, err, test.want, "idempotency_key")
		})
	}
}

func TestServer_NeedsNoKeyWhereNoneIsDeclared(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{getStock: func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
		return &inventoryv1.GetStockResponse{}, nil
	}}, &orders{})
	if _, err := f.inventory().GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "A1"}); err != nil {
		t.Error(err)
	}
}

func TestServer_BlamesTheClientForWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	good, err := proto.Marshal(reserveRequest())
	if err != nil {
		t.Fatal(err)
	}
	text := func(field protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
	}
	badText := func(field protowire.Number) []byte { return text(field, "\xff\xfe") }
	badLine := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), badText(1))
	f := setupUnreached(t)
	conn := f.dial(nil)
	for name, test := range map[string]struct {
		raw  []byte
		want []string
	}{
		"bad UTF-8 at the top":         {badText(2), []string{"reference"}},
		"bad UTF-8 in the first line":  {badLine, []string{"lines[0].sku"}},
		"bad UTF-8 in the third line":  {append(slices.Clone(good), badLine...), []string{"lines[2].sku"}},
		"NUL, which no database takes": {text(2, "a\x00b"), []string{"reference"}},
		"a message cut short":          {good[:len(good)-1], nil},
		"garbage":                      {[]byte("\xff\xff\xff\xff"), nil},
		"bad UTF-8 behind garbage":     {append([]byte("\xff\xff\xff\xff"), badText(2)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := conn.Invoke(t.Context(), inventoryv1.InventoryService_Reserve_FullMethodName, &test.raw, new([]byte), grpc.ForceCodecV2(passThrough{}))
			rpcerrtest.Want(t, err, rpcerr.RequestMalformed, test.want...)
		})
	}
}

// A field that this version does not know is no mistake: the client may be newer.
func TestServer_TakesFieldsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{reserve: func(context.Context, *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
		return &inventoryv1.ReserveResponse{}, nil
	}}, &orders{})
	r := reserveRequest()
	r.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4711, protowire.VarintType), 1))
	if _, err := f.inventory().Reserve(t.Context(), r); err != nil {
		t.Error(err)
	}
}
