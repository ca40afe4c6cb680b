package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/waittest"
)

// printed is as much of what commands print as JSON as the test looks at.
type printed struct {
	SagaID      string `json:"saga_id"`
	Phase       string `json:"phase"`
	OperationID string `json:"operation_id"`
	State       string `json:"state"`
	Matched     string `json:"matched"`
	Possible    string `json:"possible"`
	Done        string `json:"done"`
	Refused     string `json:"refused"`
	Type        string `json:"type"`
	Totals      []struct {
		Sum map[string]string `json:"sum"`
	} `json:"totals"`
}

// want runs a command, fails the test unless it exits with the code and says all the texts on stderr, and reads the
// JSON that it prints.
func want[T any](t *testing.T, d *daemon, code int, texts []string, args ...string) T {
	t.Helper()
	got, stdout, stderr := d.tieout(t, "", append(args, "-o", "json")...)
	if got != code {
		t.Fatalf("tieout %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stderr, text) {
			t.Errorf("tieout %s: stderr lacks %q: %s", strings.Join(args, " "), text, stderr)
		}
	}
	return decode[T](t, stdout)
}

// stuck places orders whose authorization is never answered, and gives their sagas once all are at it.
func stuck(t *testing.T, d *daemon, n int) []string {
	t.Helper()
	if code, _, stderr := d.tieout(t, "", "stock", "receive", "MUG", "999"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var file strings.Builder
	for i := range n {
		file.WriteString(orderLine(fmt.Sprintf("order-%04d", i), "MUG", 1, "pm_timeout_before", "GB"))
	}
	if code, _, stderr := d.tieout(t, file.String(), "order", "place", "-f", "-"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var ids []string
	waittest.Until(t, "all orders are at their authorization", func() bool {
		ids = nil
		for _, s := range want[[]printed](t, d, exitOK, nil, "saga", "list", "--filter", "blocked_on = payment", "--limit", "0") {
			ids = append(ids, s.SagaID)
		}
		return len(ids) == n
	})
	return ids
}

func TestSaga_OperatesOnAllThatMatchAFilter(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	const n = 40
	ids := stuck(t, d, n)

	plan := want[printed](t, d, exitOK, []string{"nothing was done", "saga operation apply sop_"},
		"saga", "pause", "--filter", "blocked_on = payment", "--reason", "the provider is down")
	wanted := printed{OperationID: plan.OperationID, State: "SAGA_OPERATION_STATE_PLANNED", Matched: "40", Possible: "40", Done: "0", Refused: "0", Totals: plan.Totals}
	if diff := cmp.Diff(wanted, plan); diff != "" || plan.Totals[0].Sum["minor_units"] != "35960" {
		t.Errorf("plan (-want +got):\n%s\n%v", diff, plan.Totals)
	}
	if paused := want[[]printed](t, d, exitOK, nil, "saga", "list", "--filter", "paused = true"); len(paused) != 0 {
		t.Errorf("the plan has paused %d sagas", len(paused))
	}
	want[printed](t, d, exitOK, []string{"nothing was done"}, "saga", "operation", "apply", plan.OperationID)
	if applied := want[printed](t, d, exitOK, nil, "saga", "operation", "apply", plan.OperationID, "--yes"); applied.Done != "40" {
		t.Errorf("applied as %+v", applied)
	}
	want[printed](t, d, exitPartial, []string{"possible for 0", "40 of 40 sagas were left as they are"},
		"saga", "pause", "--filter", "paused = true", "--reason", "again", "--yes")
	if none := want[printed](t, d, exitOK, []string{"holds for no saga"}, "saga", "retry", "--filter", "parked = true", "--reason", "x", "--yes"); none.Matched != "0" {
		t.Errorf("matched %s sagas", none.Matched)
	}
	testDetaching(t, d)
	testOneByOne(t, d, ids)

	all := want[[]printed](t, d, exitOK, nil, "saga", "operation", "list")
	if len(all) != 4 || all[3].OperationID != plan.OperationID {
		t.Errorf("%d operations, the first is %s; want 4 and %s", len(all), all[len(all)-1].OperationID, plan.OperationID)
	}
	if got := want[printed](t, d, exitOK, nil, "saga", "operation", "watch", plan.OperationID); got.State != "SAGA_OPERATION_STATE_FINISHED" {
		t.Errorf("watching an operation that has ended: %+v", got)
	}
	code, _, stderr := d.tieout(t, "", "saga", "operation", "cancel", plan.OperationID, "--reason", "too late", "--yes")
	if code != exitPrecondition || !strings.Contains(stderr, "OPERATION_NOT_OPEN") {
		t.Errorf("cancelling an operation that has ended: exit %d, %s", code, stderr)
	}
}

// testDetaching interrupts an operation that takes long: it goes on, and is stopped by another command.
func testDetaching(t *testing.T, d *daemon) {
	t.Helper()
	var running printed
	code, stderr := d.interrupted(t, "", func(string) bool {
		running = want[[]printed](t, d, exitOK, nil, "saga", "operation", "list", "--limit", "1")[0]
		return running.State == "SAGA_OPERATION_STATE_RUNNING"
	}, "saga", "retry", "--filter", "paused = true", "--reason", "one a second", "--rate", "1", "--yes")
	if code != exitPartial || !strings.Contains(stderr, "detached; the operation goes on") || !strings.Contains(stderr, "saga operation watch "+running.OperationID) {
		t.Errorf("interrupted: exit %d, %s", code, stderr)
	}
	if got := want[printed](t, d, exitOK, []string{"nothing was done"}, "saga", "operation", "cancel", running.OperationID, "--reason", "enough"); got.State != "SAGA_OPERATION_STATE_RUNNING" {
		t.Errorf("after detaching it is %s", got.State)
	}
	if got := want[printed](t, d, exitOK, nil, "saga", "operation", "cancel", running.OperationID, "--reason", "enough", "--yes"); got.State != "SAGA_OPERATION_STATE_CANCELLED" {
		t.Errorf("cancelled as %+v", got)
	}
}

// testOneByOne operates on sagas by their ids, follows one to its end and exports them.
func testOneByOne(t *testing.T, d *daemon, ids []string) {
	t.Helper()
	if shown := want[[]printed](t, d, exitOK, []string{"nothing was done"}, "saga", "resume", ids[0], ids[1], "--reason", "it is back"); len(shown) != 2 {
		t.Errorf("a plan for two sagas shows %d", len(shown))
	}
	want[[]printed](t, d, exitOK, nil, "saga", "compensate", ids[0], ids[1], "--reason", "the customer has left", "--yes")
	want[[]printed](t, d, exitOK, nil, "saga", "resume", ids[0], ids[1], "--reason", "it is back", "--yes")
	some := want[[]printed](t, d, exitPartial, []string{ids[0] + " was left as it is", "SAGA_REFUSES_VERB"},
		"saga", "compensate", ids[0], ids[2], "--reason", "the customer has left", "--yes")
	if len(some) != 1 || some[0].SagaID != ids[2] {
		t.Errorf("compensated %v, want only %s", some, ids[2])
	}

	events := want[[]printed](t, d, exitOK, []string{"the saga is compensated"}, "saga", "watch", ids[0])
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	if types[0] != "started" || types[len(types)-1] != "compensated" || !slices.Contains(types, "resumed") {
		t.Errorf("watched %v", types)
	}
	if rest := want[[]printed](t, d, exitOK, nil, "saga", "watch", ids[0], "--after", fmt.Sprint(len(types)-1)); len(rest) != 1 {
		t.Errorf("after event %d it shows %d events, want one", len(types)-1, len(rest))
	}

	code, stdout, stderr := d.tieout(t, "", "saga", "export", "--filter", "phase = compensated OR paused = true")
	if code != exitOK || strings.Count(stdout, "\n") < 39 || strings.Contains(stdout, `"type":"started"`) {
		t.Errorf("export: exit %d, %d lines: %s", code, strings.Count(stdout, "\n"), stderr)
	}
	code, stdout, stderr = d.tieout(t, "", "saga", "export", "--filter", `phase = compensated AND customer_id = c1`, "--history", "-o", "csv")
	heading, rows, _ := strings.Cut(stdout, "\n")
	if code != exitOK || !strings.HasSuffix(heading, "event_type,event_step,event_detail") || strings.Count(rows, ids[0]) < len(types) {
		t.Errorf("export of histories: exit %d, %s: %s", code, heading, stderr)
	}
	code, stdout, stderr = d.tieout(t, "", "saga", "export", "--filter", "colour = red")
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, "FILTER_INVALID") || !strings.Contains(stderr, "at character 1: there is no field colour") {
		t.Errorf("a filter that is wrong: exit %d, %q, %s", code, stdout, stderr)
	}
}
