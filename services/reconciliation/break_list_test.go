package reconciliation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// list gives the names of the breaks that a filter holds for, in their order.
func (f *breakFixture) list(filter string, size int32, names map[string]string) string {
	f.Helper()
	var all []string
	for token := ""; ; {
		page, err := f.ann.ListBreaks(f.Context(), &reconciliationv1.ListBreaksRequest{Filter: filter, PageSize: size, PageToken: token})
		if err != nil {
			f.Fatalf("%s: %v", filter, err)
		}
		for _, b := range page.GetBreaks() {
			all = append(all, names[b.GetBreakId()])
		}
		if token = page.GetNextPageToken(); token == "" {
			return strings.Join(all, " ")
		}
	}
}

// queue are the breaks of the test below that are not resolved, the most pressing first, and listedBy those that filters hold for.
const queue = "large file old small"

var listedBy = map[string]string{
	"":                                      queue,
	" ":                                     queue,
	"severity >= low":                       queue,
	"severity = critical":                   "large old",
	"severity = BREAK_SEVERITY_HIGH":        "file",
	"severity != critical":                  "file small",
	"severity <= high":                      "file small",
	"severity > high":                       "large old",
	"severity < low":                        "",
	"severity > critical":                   "",
	"severity = low":                        "",
	"severity = medium":                     "small", // by its code
	"age_days >= 5":                         "old",
	"age_days < 5":                          "large file small",
	"age_days = 0":                          "large file small",
	"age_days >= 0":                         queue,
	`create_time < "2020-01-01T00:00:00Z"`:  "",
	`update_time > "2020-01-01T00:00:00Z"`:  queue,
	"state = resolved":                      "gone done",
	"state != resolved":                     queue,
	"state = open":                          "large file old",
	"state = acknowledged":                  "small",
	"resolution = accepted":                 "done",
	"resolution != accepted AND amount < 0": "large gone old small",
	"severity = critical AND resolution = written_off": "", // what is resolved does not age
	"code = missing_at_provider":                       "large old small",
	"code != MISSING_AT_PROVIDER":                      "file",
	"account = default AND currency = gbp":             "large old small",
	`account = ""`:                                     "file",
	"amount < -2":                                      "large old",
	"amount = 0":                                       "file",
	"assignee = bob":                                   "small",
	`assignee = "" AND order_id : *`:                   "large old",
	"snoozed = true":                                   "large",
	"snoozed = false":                                  "file old small",
	"matched = true":                                   "",
	"order_id = ord_1":                                 "large old small",
	"payment_id = pay_1":                               "file",
	"subject : STF":                                    "file",
	"note : because":                                   "large small",
	"watcher = import":                                 "file",
	"run_number = 1 AND NOT severity = critical":       "file small",
	"code = BATCH_CONTROL OR severity = medium AND assignee = bob": "small", // OR binds more tightly
}

func TestBreak_IsListedByWhatIsPressingAndByAFilter(t *testing.T) {
	f := setupBreaks(t)
	names := map[string]string{}
	named := func(name, id string) string {
		names[id] = name
		return id
	}
	small, large, old := named("small", f.broken(1)), named("large", f.broken(2_000_000)), named("old", f.broken(3))
	done, gone := named("done", f.broken(4)), named("gone", f.broken(5))
	file := sighting{code: breaks.BatchControl, subject: "stf_1", paymentID: "pay_1"}
	f.sees(watcher{name: "import"}, false, file)
	named("file", BreakID(file.id()).String())
	for id, days := range map[string]int{old: 30, gone: 31} {
		bid, _ := parseBreakID(id)
		f.exec(`UPDATE break SET opened_on = opened_on - $2::int WHERE id = $1`, bid.UUID(), days)
	}
	f.must(f.ann, done, verb(accept))
	f.must(f.ann, gone, resolve(writeOff))
	f.work()
	f.must(f.ann, small, &reconciliationv1.BreakDecision{Verb: assign, Assignee: "bob"})
	f.must(f.ann, large, &reconciliationv1.BreakDecision{Verb: snooze, SnoozeUntilTime: timestamppb.New(time.Now().Add(time.Hour))})

	for filter, want := range listedBy {
		if got := f.list(filter, 0, names); got != want {
			t.Errorf("%s: got %q, want %q", filter, got, want)
		}
	}
	if got := f.list("severity >= low", 1, names); got != queue {
		t.Errorf("page by page: %q", got)
	}
	if b := f.get(old).GetBreak(); b.GetSeverity() != reconciliationv1.BreakSeverity_BREAK_SEVERITY_CRITICAL || b.GetAgeDays() < 20 {
		t.Errorf("got %v", b)
	}
}

// What an operation acts upon is what the list shows.
func TestBreak_AFilterFindsForAnOperationWhatTheListShows(t *testing.T) {
	f := setupBreaks(t)
	f.broken(1)
	f.broken(20_000)
	f.must(f.ann, f.broken(3), verb(accept))
	for i, filter := range []string{"severity >= medium", "amount < -5 OR assignee = x", "state = resolved", "code = AMBIGUOUS"} {
		page, err := f.ann.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		listed := []string{}
		for _, b := range page.GetBreaks() {
			listed = append(listed, b.GetBreakId())
		}
		op := f.plan(fmt.Sprintf("plan-%04d", i), filter, verb(ack))
		oid, _ := parseBreakOperationID(op.GetOperationId())
		found := []string{}
		for _, id := range pgtest.Column[uuid.UUID](t, f.db, `SELECT break_id FROM break_operation_item WHERE operation_id = $1`, oid.UUID()) {
			found = append(found, BreakID(id).String())
		}
		slices.Sort(listed)
		slices.Sort(found)
		if diff := cmp.Diff(listed, found); diff != "" || op.GetMatched() != int64(len(listed)) {
			t.Errorf("%s: %d matched (-listed +found):\n%s", filter, op.GetMatched(), diff)
		}
	}
}

func TestBreak_RefusesAFilterThatSaysNothingTrue(t *testing.T) {
	f := setupBreaks(t)
	for filter, says := range map[string]string{
		"colour = red":       "there is no field colour",
		"code = X":           "is a code of breaks",
		"state = gone":       "is one of open, acknowledged",
		"severity = worst":   "is one of low, medium, high, critical",
		"age_days >= -1":     "is a number of business days, up to 10000",
		`age_days >= "5m"`:   "is a number of business days",
		"age_days > 10001":   "is a number of business days",
		"currency = XXL":     "is a code of ISO 4217",
		"amount > 12.50":     "minor units",
		"state > open":       "cannot be compared with >",
		"code = AMBIGUOUS )": "cannot",
	} {
		_, err := f.ann.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{Filter: filter})
		rpcerrtest.Want(t, err, rpcerr.FilterInvalid, "filter")
		if err == nil || says != "cannot" && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", filter, err, says)
		}
	}
	f.broken(1)
	f.broken(2)
	page, err := f.ann.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{Filter: "state = open", PageSize: 1})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	_, err = f.ann.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{PageToken: page.GetNextPageToken()}) // of another filter
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}
