package shipment

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// babbling is a carrier that does not say what a carrier says.
type babbling struct {
	carrier.Simulator
	number string
	refuse error
	told   []carrier.Event
}

func (b *babbling) Book(context.Context, carrier.Booking) (string, error) { return b.number, b.refuse }

func (b *babbling) Lookup(context.Context, carrier.Booking) (string, bool, error) {
	return b.number, true, b.refuse
}

func (b *babbling) Track(context.Context, carrier.Booking) ([]carrier.Event, error) {
	return b.told, nil
}

func TestCarrier_ThatRefusesInWordsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"no \x00room\xff":           "no room\uFFFD",
		"":                          "without a reason",
		strings.Repeat("ä", 10_000): strings.Repeat("ä", maxWords),
	} {
		b := setup(t, &babbling{refuse: &carrier.RefusedError{Reason: said}})
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
		if got := b.rows(t, `SELECT state, refusal_reason FROM shipment`); !cmp.Equal(got, []string{"3 " + want}) {
			t.Errorf("got %q, want it refused: %q", got, want)
		}
	}
}

func TestCarrier_WhoseNumberCannotBeKeptHasNotAnswered(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"", "A\x00", "A\xff", strings.Repeat("A", maxName+1)} {
		by := &babbling{number: number}
		b := setup(t, by)
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
		by.number = "A1"
		if got := b.mustSchedule(t, key); got.GetTrackingNumber() != "A1" {
			t.Errorf("after %q: got %v", number, got)
		}
	}
}

func TestTracker_TakesDownWhatItCanOfWhatACarrierTells(t *testing.T) {
	t.Parallel()
	now := time.Now()
	by := &babbling{number: "A1", told: []carrier.Event{
		{ID: "", Stage: carrier.StageHandedOver, At: now}, {ID: "e1\x00", Stage: carrier.StageHandedOver, At: now},
		{ID: "e2", Stage: 99, At: now}, {ID: "e3", Stage: carrier.StageHandedOver}, {ID: "e4", Stage: carrier.StageHandedOver, At: now.AddDate(9000, 0, 0)},
		{ID: "e5", Stage: carrier.StageHandedOver, Detail: "at\x00 the d\xffor", At: now},
	}}
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	got, err := b.TrackShipment(t.Context(), &shipmentv1.TrackShipmentRequest{ShipmentId: made.GetShipmentId()})
	if err != nil || got.GetShipment().GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_HANDED_OVER {
		t.Errorf("got %v, %v, want it handed over", got, err)
	}
	if diff := cmp.Diff([]string{"e5 at the d\uFFFDor"}, b.rows(t, `SELECT event_id, detail FROM tracking_event`)); diff != "" {
		t.Errorf("taken down (-want +got):\n%s", diff)
	}
}

// FuzzCarrier reads whatever a carrier may say: what is taken from it can be kept, and what can be kept is taken as it is.
func FuzzCarrier(f *testing.F) {
	f.Add("SIM1", "no delivery", "SIM1/1", "at the door", 1, int64(1_700_000_000))
	f.Add("", "\x00\xff", "e\xff", strings.Repeat("ä", 600), 99, int64(-62135596801))
	f.Add(strings.Repeat("A", 301), "", "\x00", "\xe2\x28", 0, int64(253402300800))
	f.Fuzz(func(t *testing.T, number, reason, name, detail string, stage int, seconds int64) {
		wantKeepable := func(what, said string, longest int) {
			if !utf8.ValidString(said) || strings.ContainsRune(said, 0) || utf8.RuneCountInString(said) > longest {
				t.Errorf("%s %q is taken", what, said)
			}
		}
		if e, err := booked(number, nil); err == nil {
			wantKeepable("number", e.tracking, maxName)
			if e.tracking == "" || e.tracking != number || e.state != scheduled {
				t.Errorf("number %q is taken as %q", number, e.tracking)
			}
		}
		if e, err := undone(&carrier.HandedOverError{Tracking: number}); err == nil && (e.state != handedOver || e.tracking != number || number == "") {
			t.Errorf("a parcel that has left as %q: %+v", number, e)
		}
		e, err := booked("", &carrier.RefusedError{Reason: reason})
		if err != nil || e.state != refused || e.reason == "" {
			t.Errorf("refused for %q: %+v, %v", reason, e, err)
		}
		wantKeepable("reason", e.reason, maxWords)
		told := carrier.Event{ID: name, Stage: carrier.Stage(stage), Detail: detail, At: time.Unix(seconds, 0).UTC()}
		usable, unusable := heard([]carrier.Event{told})
		if (len(usable) == 1) != (unusable == nil) {
			t.Fatalf("%+v is taken as %v, and not for %v", told, usable, unusable)
		}
		for _, e := range usable {
			wantKeepable("name", e.ID, maxName)
			wantKeepable("detail", e.Detail, maxWords)
			if e.ID != name || stages[e.Stage] == 0 || e.At.Year() < 1 || e.At.Year() > 9999 {
				t.Errorf("%+v is taken as %+v", told, e)
			}
			if words(e.Detail) != e.Detail {
				t.Errorf("%q changes again", e.Detail)
			}
		}
	})
}

// FuzzTrackingPage reads tokens of anybody's making.
func FuzzTrackingPage(f *testing.F) {
	for _, key := range []string{"", "1", "-1", "2147483648", "x"} {
		f.Add(rpc.PageToken(key))
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := placeAfter(token); err != nil {
			rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
		}
	})
}

// FuzzStoredShipment reads answers that were kept: what can be read is answered, and could be kept again as it is.
func FuzzStoredShipment(f *testing.F) {
	text, err := json.Marshal(shipment{State: scheduled, Reference: "ord_1", Address: carrier.Address{Country: "GB"}, TrackingNumber: "A1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("null"))
	f.Add([]byte(`{"id":"shp_1","state":99,"address":null,"created_at":"10000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var kept, again *shipment
		if json.Unmarshal(text, &kept) != nil || kept == nil {
			return
		}
		shipmentToProto(*kept)
		stored, err := json.Marshal(kept)
		if err == nil {
			err = json.Unmarshal(stored, &again)
		}
		if diff := cmp.Diff(kept, again); diff != "" || err != nil {
			t.Errorf("kept again as %s: %v (-kept +kept again):\n%s", stored, err, diff)
		}
	})
}
