package inventory

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// FuzzPages reads what a client asks lists to begin and end with: what is taken is a time, a day or a place that the
// database knows, and anything else is the client's mistake.
func FuzzPages(f *testing.F) {
	for _, token := range []string{"", "eA", rpc.PageToken("17"), rpc.PageToken("-1"), rpc.PageToken("2026-02-03mug"), rpc.PageToken("0000-01-01mug"), rpc.PageToken("2026-02-3ä")} {
		f.Add(token, "2026-02-03", int64(1), int32(0))
	}
	f.Add("", "0000-12-31", int64(-62135596801), int32(0))
	f.Add("", "2026-02-30", int64(253402300800), int32(-1))
	f.Fuzz(func(t *testing.T, token, day string, seconds int64, nanos int32) {
		at := &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos}
		events, err := eventsPage(&inventoryv1.ListStockEventsRequest{PageToken: token, Since: at, Until: at})
		if err != nil {
			wantField(t, err, "since", "page_token")
		} else if !storable(events.since) || !storable(events.until) || !events.since.Equal(at.AsTime()) {
			t.Errorf("events from %v to %v", events.since, events.until)
		}
		movements, err := movementsPage(&inventoryv1.ListDailyMovementsRequest{PageToken: token, Since: day, Until: day})
		if err != nil {
			wantField(t, err, "since", "until", "page_token")
			return
		}
		for _, day := range []string{movements.Since, movements.Until, movements.AfterDay} {
			if d, err := time.Parse(time.DateOnly, day); err != nil || !storable(d) {
				t.Errorf("%q was taken for a day", day)
			}
		}
		if key, _ := rpc.ParsePageToken(token); key != "" && movements.AfterDay+movements.AfterSKU != key {
			t.Errorf("behind %q comes what is behind %q of %q", key, movements.AfterSKU, movements.AfterDay)
		}
	})
}

func wantField(t *testing.T, err error, fields ...string) {
	t.Helper()
	e, _ := rpcerr.FromError(err)
	if e != nil && len(e.Fields) == 1 {
		for _, f := range fields {
			if e.Fields[0].Path == f {
				rpcerrtest.Want(t, err, rpcerr.RequestInvalid, f)
				return
			}
		}
	}
	t.Errorf("got %v, want a refusal of one of %q", err, fields)
}

// storable tells whether the database has such a time.
func storable(at time.Time) bool { return at.UTC().Year() >= 1 && at.UTC().Year() <= 9999 }

// FuzzStoredAnswers reads answers that were kept: what can be read is answered, and could be kept again as it is.
func FuzzStoredAnswers(f *testing.F) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)
	made := reservation{Reference: "ord_1", State: held, Lines: linesFromProto([]*inventoryv1.StockLine{line("mug", 2)}), ExpiresAt: &at}
	for _, kept := range []any{made, &made, (*reservation)(nil), []levelAt{{UpdatedAt: at}}, rebuilt{Changed: true}, item{SKU: "mug", CreatedAt: &at}} {
		text, err := json.Marshal(kept)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"id":"res_1","lines":[null,{"quantity":9223372036854775808}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		answered(t, text, func(made *reservation) any {
			if made == nil { // a Release that found nothing
				return nil
			}
			return reservationToProto(*made)
		})
		answered(t, text, func(levels []levelAt) any { return levelsToProto(levels) })
		answered(t, text, func(done rebuilt) any { return levelToProto(done.Level) })
		answered(t, text, func(put item) any { return itemToProto(put) })
	})
}

// answered reads a kept answer, if it is one, answers with it, and keeps it again.
func answered[A any](t *testing.T, text []byte, answer func(A) any) {
	t.Helper()
	var kept, again A
	if json.Unmarshal(text, &kept) != nil {
		return
	}
	answer(kept)
	stored, err := json.Marshal(kept)
	if err != nil {
		t.Fatalf("cannot be kept again: %v", err)
	}
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatalf("was kept again as %s: %v", stored, err)
	}
	if diff := cmp.Diff(kept, again, cmpopts.IgnoreUnexported(levelAt{})); diff != "" {
		t.Errorf("answer (-kept +kept again):\n%s", diff)
	}
}
