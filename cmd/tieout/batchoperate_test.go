package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/cmd/tieout/batching"
)

func TestBatch_TakesFilesAsTheyAre(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	example, _ := d.batchOf(t, exitPartial, "plan", "-f", "../../docs/example/payments.csv")
	if example.Plan.Items != 5 || example.Plan.Rejected != 1 {
		t.Errorf("the file of the README is planned as %+v", example)
	}
	invoices := paymentFile(t, "invoices.csv", "InvoiceNo,Customer,Total\n1,ann,12.50\n2,bob,7.25\n")
	s := d.summaryOf(t, exitOK, "start", "-f", invoices, "--wait", "--series", "monthly",
		"--map", "reference=InvoiceNo,customer_id=Customer,amount=Total,currency=EUR,payment_method=pm_ok")
	if diff := cmp.Diff(map[string]int64{"EUR": 1975}, s.SumMinor); diff != "" || s.Succeeded != 2 {
		t.Errorf("CSV with other headings: %+v", s)
	}
	lines := `{"reference":"J-1","customer_id":"ann","payment_method":"pm_ok","amount":"3.00","currency":"EUR"}` + "\n"
	code, stdout, stderr := d.tieout(t, lines, "batch", "start", "-f", "-", "--name", "lines", "--series", "monthly", "--wait", "-o", "json")
	if got := decode[batching.Summary](t, stdout); code != exitOK || got.Succeeded != 1 || got.SumMinor["EUR"] != 300 {
		t.Errorf("JSON Lines: exit %d, %s%s", code, stdout, stderr)
	}
	third := paymentFile(t, "third.jsonl", strings.ReplaceAll(lines, "J-1", "J-2"))
	b, _ := d.batchOf(t, exitOK, "plan", "-f", third, "--format", "jsonl", "--name", "third", "--series", "monthly", "--account", "north",
		"--retry-after", "1,3,5", "--give-up-after", "21", "--zone", "Europe/Berlin")
	if b.Plan.Variance.ID == "" || b.Header.Account != "north" || b.Header.Dunning.GiveUp != 21 || b.Header.Dunning.Zone != "Europe/Berlin" {
		t.Errorf("planned as %+v", b)
	}
	if diff := cmp.Diff([]int{1, 3, 5}, b.Header.Dunning.Days); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	cut, _ := d.batchOf(t, exitOK, "plan", "-f", third, "--name", "cut", "--repeats", b.ID, "--cut-off", "2126-11-30T19:00:00+01:00")
	if cut.Header.CutOff != "2126-11-30T18:00:00Z" || cut.Header.Repeats != b.ID {
		t.Errorf("planned as %+v", cut)
	}
	if again, _ := d.batchOf(t, exitOK, "plan", "-f", third, "--key", "another-key", "--name", "third", "--repeats", cut.ID); again.ID == cut.ID {
		t.Error("under another key it is the same batch")
	}
	_, stderr = d.tieoutFails(t, exitUsage, "batch", "plan", "-f", paymentFile(t, "broken.csv", "a,b\n1,2\n"))
	if !strings.Contains(stderr, "FILE_MALFORMED") || !strings.Contains(stderr, "there is no such column") {
		t.Errorf("a file with another heading: %s", stderr)
	}
}

func TestBatch_IsPausedResumedAndCancelled(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	testSlowLimit(t, d)
	file := paymentFile(t, "slow.csv", manyPayments("S", 1000))
	b, _ := d.batchOf(t, exitOK, "start", "-f", file)
	id := b.ID
	_, stderr := d.tieoutFails(t, exitUsage, "batch", "pause", id)
	if !strings.Contains(stderr, "--reason") {
		t.Errorf("paused without a reason: %s", stderr)
	}
	if b, _ = d.batchOf(t, exitOK, "pause", id, "--reason", "lunch"); b.State != "BATCH_STATE_PAUSED" || !strings.Contains(b.Note, "lunch") {
		t.Errorf("paused: %+v", b)
	}
	_, stderr = d.tieoutFails(t, exitPrecondition, "batch", "pause", id, "--reason", "lunch")
	if !strings.Contains(stderr, "BATCH_STATE_REFUSED") || !strings.Contains(stderr, "resource     "+id) {
		t.Errorf("paused twice: %s", stderr)
	}
	if b, _ = d.batchOf(t, exitOK, "resume", id); b.State != "BATCH_STATE_RUNNING" {
		t.Errorf("resumed: %+v", b)
	}

	d.batchOf(t, exitOK, "cancel", id, "--reason", "wrong file")

	code, stderr := d.interrupted(t, "", func(string) bool {
		_, stdout, _ := d.tieout(t, "", "batch", "list", "--limit", "1", "-o", "jsonl")
		b := decode[gotBatch](t, stdout)
		id = b.ID
		return b.Header.Name == "detached" && b.Progress.Succeeded > 0
	}, "batch", "start", "-f", paymentFile(t, "detached.csv", manyPayments("D", 1000)), "--wait")
	if code != exitPartial || !strings.Contains(stderr, "the batch goes on") || !strings.Contains(stderr, "batch watch "+id) {
		t.Errorf("interrupted: exit %d: %s", code, stderr)
	}
	if b, _ = d.batchOf(t, exitOK, "get", id); b.State != "BATCH_STATE_RUNNING" {
		t.Errorf("whoever detaches has stopped the batch: %+v", b)
	}

	d.batchOf(t, exitOK, "cancel", id, "--reason", "wrong file")
	s := d.summaryOf(t, exitPartial, "watch", id)
	if s.Cancelled == 0 || s.Succeeded == 0 || s.Cancelled+s.Succeeded != 1000 || s.SumMinor["EUR"] != 100*s.Succeeded || !s.Proven {
		t.Errorf("cancelled: %+v", s)
	}
	_, stderr = d.tieoutFails(t, exitPrecondition, "batch", "retry-failed", id)
	if !strings.Contains(stderr, "BATCH_STATE_REFUSED") {
		t.Errorf("tried again: %s", stderr)
	}
}

// testSlowLimit plans a limit of one item a second, and then sets it.
func testSlowLimit(t *testing.T, d *daemon) {
	t.Helper()
	slow := []string{"limit", "set", "default", "--rate", "1", "--concurrency", "1", "--reason", "a test"}
	code, stdout, stderr := d.tieout(t, "", append(slow, "-o", "jsonl")...)
	if code != exitOK || !strings.Contains(stderr, "nothing was done") || decode[map[string]any](t, stdout)["concurrency"] != 1.0 {
		t.Errorf("the plan of a limit: exit %d, %s%s", code, stdout, stderr)
	}
	if _, stdout, _ = d.tieout(t, "", "limit", "list", "-o", "json"); stdout != "[]\n" {
		t.Errorf("a plan has set a limit: %s", stdout)
	}
	if code, _, stderr = d.tieout(t, "", append(slow, "--yes")...); code != exitOK || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, stdout, _ = d.tieout(t, "", "limit", "list", "-o", "csv"); !strings.Contains(stdout, "default,1,1,cli,") {
		t.Errorf("limits: %s", stdout)
	}
}

func TestBatch_RefusesCommandLinesThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	file := paymentFile(t, "a.csv", manyPayments("A", 1))
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"batch plan", exitUsage, "-f FILE is missing"},
		{"batch plan -f -", exitUsage, "--name"},
		{"batch plan -f nowhere.csv", exitNotFound, "nowhere.csv"},
		{"batch plan -f FILE --format xml", exitUsage, `"xml" is none of csv, jsonl`},
		{"batch plan -f FILE --map total=x", exitUsage, `--map: "total" is none of reference`},
		{"batch plan -f FILE --cut-off tomorrow", exitUsage, "--cut-off"},
		{"batch plan -f FILE --zone Europe/Berlin", exitUsage, "--retry-after and --give-up-after"},
		{"batch plan -f FILE --rejected no/such/directory", exitNotFound, "no/such/directory"},
		{"batch start", exitUsage, "either a batch or -f FILE"},
		{"batch start bat_1 -f FILE", exitUsage, "either a batch or -f FILE"},
		{"batch start bat_1 --name x --map y", exitUsage, "--map, --name: only a file"},
		{"batch cancel bat_1", exitUsage, "--reason"},
		{"batch report bat_1 --state done", exitUsage, `--state "done" is none of planned`},
		{"limit set default --rate 5 --reason r", exitUsage, "--concurrency"},
		{"limit set default --rate 5 --concurrency 5", exitUsage, "--reason"},
		{"batch get bat_1 --addr 127.0.0.1:1", exitUnavailable, "DESTINATION_DOWN"},
	} {
		args := strings.Fields(strings.ReplaceAll(test.args, "FILE", file))
		code, stdout, stderr := (&daemon{}).tieout(t, "", args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit %d, want %d, %q\n%s", test.args, code, test.code, stdout, stderr)
		}
	}
}
