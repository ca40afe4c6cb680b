package main

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// shipmentDesk answers as the shipment service does, from what the test puts there, and keeps what it was asked to do.
type shipmentDesk struct {
	shipmentv1.UnimplementedShipmentServiceServer
	addr     string
	shipment *shipmentv1.Shipment
	err      error // what requests end with

	mu    sync.Mutex
	asked []proto.Message
}

func newShipmentDesk(t *testing.T) *shipmentDesk {
	t.Helper()
	d := &shipmentDesk{shipment: &shipmentv1.Shipment{
		ShipmentId: "shp_1", State: shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED, Reference: "ord_1", Carrier: "simulator",
		ServiceLevel: shipmentv1.ServiceLevel_SERVICE_LEVEL_EXPRESS, TrackingNumber: "SIM1",
	}}
	s := grpc.NewServer()
	shipmentv1.RegisterShipmentServiceServer(s, d)
	healthv1.RegisterHealthServer(s, health.NewServer())
	d.addr = nettest.ServeGRPC(t, s)
	return d
}

func (d *shipmentDesk) tieout(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, []string{envAddr + "=" + d.addr}, append([]string{"shipment"}, args...)...)
}

func (d *shipmentDesk) note(m proto.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, m)
	return d.err
}

func (d *shipmentDesk) wantAsked(t *testing.T, want ...proto.Message) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(want, d.asked, protocmp.Transform()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	d.asked = nil
}

func (d *shipmentDesk) GetShipment(_ context.Context, r *shipmentv1.GetShipmentRequest) (*shipmentv1.GetShipmentResponse, error) {
	if r.GetShipmentId() != d.shipment.GetShipmentId() {
		return nil, rpcerr.New(rpcerr.NotFound, "there is no shipment %s", r.GetShipmentId())
	}
	return &shipmentv1.GetShipmentResponse{Shipment: d.shipment}, nil
}

func (d *shipmentDesk) ListShipments(_ context.Context, r *shipmentv1.ListShipmentsRequest) (*shipmentv1.ListShipmentsResponse, error) {
	return &shipmentv1.ListShipmentsResponse{Shipments: []*shipmentv1.Shipment{d.shipment}}, d.note(r)
}

func (d *shipmentDesk) TrackShipment(_ context.Context, r *shipmentv1.TrackShipmentRequest) (*shipmentv1.TrackShipmentResponse, error) {
	return &shipmentv1.TrackShipmentResponse{Shipment: d.shipment}, d.note(r)
}

func (d *shipmentDesk) ListTrackingEvents(context.Context, *shipmentv1.ListTrackingEventsRequest) (*shipmentv1.ListTrackingEventsResponse, error) {
	return &shipmentv1.ListTrackingEventsResponse{TrackingEvents: []*shipmentv1.TrackingEvent{{
		EventId: "SIM1/2", State: shipmentv1.ShipmentState_SHIPMENT_STATE_HANDED_OVER, EventTime: &timestamppb.Timestamp{},
	}}}, nil
}

func (d *shipmentDesk) CancelShipment(_ context.Context, r *shipmentv1.CancelShipmentRequest) (*shipmentv1.CancelShipmentResponse, error) {
	return &shipmentv1.CancelShipmentResponse{Shipment: d.shipment}, d.note(r)
}

func TestShipmentGetAndList_ShowShipments(t *testing.T) {
	t.Parallel()
	d := newShipmentDesk(t)
	code, stdout, stderr := d.tieout(t, "get", "shp_1")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "shipment id shp_1", "state scheduled", "carrier simulator", "service level express", "tracking number SIM1")
	if code, _, stderr := d.tieout(t, "get", "shp_2"); code != exitNotFound {
		t.Errorf("unknown: exit %d, %s", code, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "list", "--state", "scheduled", "--reference", "ord_1"); code != exitOK || !strings.Contains(stdout, "shp_1") {
		t.Errorf("list: exit %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := d.tieout(t, "list", "--state", "flying"); code != exitUsage || !strings.Contains(stderr, "handed_over") {
		t.Errorf("a state that there is not: exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &shipmentv1.ListShipmentsRequest{PageSize: 50, State: 2, Reference: "ord_1"})
}

func TestShipmentTrack_AsksTheCarrierAndListsWhatItTold(t *testing.T) {
	t.Parallel()
	d := newShipmentDesk(t)
	for _, want := range []string{"the shipment is scheduled", "the carrier does not answer"} {
		code, stdout, stderr := d.tieout(t, "track", "shp_1")
		if code != exitOK || !strings.Contains(stderr, want) || !strings.Contains(stdout, "handed_over") || !strings.Contains(stdout, "SIM1/2") {
			t.Errorf("exit %d, %s%s, want that %s", code, stdout, stderr, want)
		}
		d.err = rpcerr.New(rpcerr.CarrierOutcomeUnknown, "no answer")
	}
	d.err = rpcerr.New(rpcerr.NotFound, "there is no shipment")
	if code, _, stderr := d.tieout(t, "track", "shp_2"); code != exitNotFound {
		t.Errorf("unknown: exit %d, %s", code, stderr)
	}
}

func TestShipmentCancel_IsAPlanUntilYes(t *testing.T) {
	t.Parallel()
	d := newShipmentDesk(t)
	if code, _, _ := d.tieout(t, "cancel", "shp_1"); code != exitUsage {
		t.Errorf("without a reason: exit %d", code)
	}
	code, stdout, stderr := d.tieout(t, "cancel", "shp_1", "--reason", "wrong address")
	if code != exitOK || !strings.Contains(stderr, "do it with --yes") || !strings.Contains(stdout, "shp_1") {
		t.Errorf("plan: exit %d, %s%s", code, stdout, stderr)
	}
	d.wantAsked(t)
	code, _, stderr = d.tieout(t, "cancel", "shp_1", "--reason", "wrong address", "--yes")
	_, key, _ := strings.Cut(strings.TrimSpace(stderr), "the key of this cancellation is ")
	if code != exitOK || !strings.HasPrefix(key, "cancel/") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &shipmentv1.CancelShipmentRequest{IdempotencyKey: key, ShipmentId: "shp_1", Reason: "wrong address"})

	d.err = rpcerr.New(rpcerr.ShipmentHandedOver, "the carrier has it")
	code, stdout, stderr = d.tieout(t, "cancel", "shp_1", "--reason", "wrong address", "--key", key, "--yes")
	if code != exitPrecondition || stdout != "" || !strings.Contains(stderr, "SHIPMENT_HANDED_OVER") {
		t.Errorf("refused: exit %d, %s%s", code, stdout, stderr)
	}
	d.shipment.State = shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED
	if _, _, stderr := d.tieout(t, "cancel", "shp_1", "--reason", "wrong address"); !strings.Contains(stderr, "nothing could be: the shipment is delivered") {
		t.Errorf("plan of what has left: %s", stderr)
	}
}
