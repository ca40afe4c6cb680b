package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/cmd/tieout/batching"
)

const paymentHeading = "reference,customer_id,payment_method,amount,currency\n"

// paymentFile writes a file of payments and gives its name.
func paymentFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// manyPayments are n payments of 1.00 EUR.
func manyPayments(prefix string, n int) string {
	var b strings.Builder
	b.WriteString(paymentHeading)
	for i := range n {
		fmt.Fprintf(&b, "%s-%d,c%d,pm_ok,1.00,EUR\n", prefix, i, i)
	}
	return b.String()
}

// gotBatch is what of a batch's JSON the tests look at.
type gotBatch struct {
	ID     string `json:"batch_id"`
	State  string
	Note   string
	Header struct {
		Name    string
		Account string `json:"provider_account"`
		Repeats string `json:"repeats_batch_id"`
		CutOff  string `json:"cut_off_time"`
		Dunning struct {
			Days   []int  `json:"delay_days"`
			GiveUp int    `json:"give_up_after_days"`
			Zone   string `json:"time_zone"`
		}
	}
	Plan struct {
		Items, Rejected, Duplicates int64 `json:",string"`
		Variance                    struct {
			ID string `json:"batch_id"`
		}
	}
	Progress struct {
		Planned, Succeeded, Cancelled int64 `json:",string"`
	}
}

// batchOf runs a command that prints a batch as JSON, and wants it to exit with a code.
func (d *daemon) batchOf(t *testing.T, wantCode int, args ...string) (b gotBatch, stderr string) {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", append(append([]string{"batch"}, args...), "-o", "json")...)
	if code != wantCode {
		t.Fatalf("batch %v: exit %d, want %d: %s", args, code, wantCode, stderr)
	}
	return decode[gotBatch](t, stdout), stderr
}

// summaryOf is batchOf for a command that prints a summary. Its times, which nobody can foretell, are looked at and left out.
func (d *daemon) summaryOf(t *testing.T, wantCode int, args ...string) batching.Summary {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", append(append([]string{"batch"}, args...), "-o", "json")...)
	if code != wantCode {
		t.Fatalf("batch %v: exit %d, want %d: %s", args, code, wantCode, stderr)
	}
	for _, key := range []string{"batch_id", "items", "succeeded", "failed", "unknown", "cancelled", "rejected", "duration_s", "rate_per_s", "sum_minor", "proven"} {
		if _, there := decode[map[string]any](t, stdout)[key]; !there {
			t.Errorf("batch %v: the summary lacks %s: %s", args, key, stdout)
		}
	}
	s := decode[batching.Summary](t, stdout)
	if s.DurationS <= 0 || s.RatePerS <= 0 && s.Succeeded > 0 {
		t.Errorf("batch %v: times are not told: %s", args, stdout)
	}
	s.DurationS, s.RatePerS = 0, 0
	return s
}

func TestBatch_IsPlannedChargedAndToldOf(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	file := paymentFile(t, "dues.csv", paymentHeading+
		"D-1,c1,pm_ok,12.50,EUR\nD-2,c2,pm_declined,20.00,EUR\nD-3,c3,pm_lost_card,5.00,EUR\nD-4,c4,pm_ok,1000,JPY\n"+
		"D-5,c5,pm_500_then_ok,0.50,EUR\nD-6,c6,pm_ok,=1+1,EUR\nD-1,c7,pm_ok,1.00,EUR\n")
	rejected := filepath.Join(t.TempDir(), "rejected.csv")
	planned, stderr := d.batchOf(t, exitPartial, "plan", "-f", file, "--rejected", rejected, "--series", "dues")
	if planned.State != "BATCH_STATE_PLANNED" || planned.Header.Name != "dues" || planned.Plan.Items != 5 || planned.Plan.Rejected != 2 ||
		!strings.Contains(stderr, "batch rejected "+planned.ID) {
		t.Errorf("planned as %+v: %s", planned, stderr)
	}
	text, err := os.ReadFile(rejected)
	if err != nil {
		t.Fatal(err)
	}
	_, printed, _ := d.tieout(t, "", "batch", "rejected", planned.ID)
	if string(text) != printed || !strings.Contains(printed, "AMOUNT_MALFORMED") || !strings.Contains(printed, "REFERENCE_DUPLICATE") {
		t.Errorf("rejected rows in the file:\n%s\nprinted:\n%s", text, printed)
	}
	want := batching.Summary{
		BatchID: planned.ID, Items: 5, Rejected: 2, Succeeded: 3, Failed: 2, Proven: true,
		SumMinor: map[string]int64{"EUR": 1300, "JPY": 1000}, PlannedMinor: map[string]int64{"EUR": 3800, "JPY": 1000},
	}
	// The same file again is the same batch: planned or charged, it is not done anew.
	for run := range 2 {
		if diff := cmp.Diff(want, d.summaryOf(t, exitPartial, "start", "-f", file, "--series", "dues", "--wait")); diff != "" {
			t.Errorf("run %d: summary (-want +got):\n%s", run, diff)
		}
	}
	if diff := cmp.Diff(want, d.summaryOf(t, exitPartial, "watch", planned.ID)); diff != "" {
		t.Errorf("watching a batch that has ended: summary (-want +got):\n%s", diff)
	}
	wantReport := "2 D-1 12.50 EUR succeeded  1\n3 D-2 20.00 EUR failed insufficient_funds 1\n4 D-3 5.00 EUR failed lost_card 1\n" +
		"5 D-4 1000 JPY succeeded  1\n6 D-5 0.50 EUR succeeded  1\n"
	if diff := cmp.Diff(wantReport, d.report(t, planned.ID)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}

	_, stderr = d.batchOf(t, exitOK, "retry-failed", planned.ID)
	if !strings.Contains(stderr, "1 items are tried again; 1 were declined for good") {
		t.Errorf("retry-failed says: %s", stderr)
	}
	if diff := cmp.Diff(want, d.summaryOf(t, exitPartial, "watch", planned.ID)); diff != "" {
		t.Errorf("tried again: summary (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("3 D-2 20.00 EUR failed insufficient_funds 2\n4 D-3 5.00 EUR failed lost_card 1\n", d.report(t, planned.ID, "--state", "failed")); diff != "" {
		t.Errorf("report of what failed, tried again (-want +got):\n%s", diff)
	}
	testBatchIsShown(t, d, planned.ID)
	if code, stdout, stderr := d.tieout(t, "", "audit", "--data-dir", d.dir); code != exitOK {
		t.Errorf("audit: exit %d: %s%s", code, stdout, stderr)
	}
}

// report gives what the report says of each item: line, reference, amount, currency, state, reason and attempts.
func (d *daemon) report(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", append([]string{"batch", "report"}, args...)...)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if code != exitOK || err != nil || len(rows) == 0 {
		t.Fatalf("report: exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	var b strings.Builder
	for _, row := range rows[1:] {
		var cells []string
		for _, name := range []string{"line", "reference", "amount", "currency", "state", "reason", "attempts"} {
			cells = append(cells, row[at[name]])
		}
		if (row[at["payment_id"]] == "") || row[at["customer_id"]] == "" {
			t.Errorf("an item that was charged has no payment or customer: %v", row)
		}
		b.WriteString(strings.Join(cells, " ") + "\n")
	}
	return b.String()
}

// testBatchIsShown looks at a finished batch as people do.
func testBatchIsShown(t *testing.T, d *daemon, id string) {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", "batch", "get", id)
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "state finished", "sum 38.00 EUR, 1000 JPY", "taken 13.00 EUR, 1000 JPY", "started by cli",
		"EUR 4 38.00 EUR 2 13.00 EUR", "AMOUNT_MALFORMED 1", "REFERENCE_DUPLICATE 1")
	if !strings.Contains(stdout, "holds: 5 items, 13.00 EUR, 1000 JPY taken") {
		t.Errorf("does not tell the proof:\n%s", stdout)
	}
	code, stdout, stderr = d.tieout(t, "", "batch", "list", "-o", "jsonl")
	if got := decode[gotBatch](t, stdout); code != exitOK || got.ID != id {
		t.Errorf("list: exit %d, %s%s", code, stdout, stderr)
	}
	for _, format := range []string{"json", "jsonl", "yaml", "table"} {
		code, stdout, stderr = d.tieout(t, "", "batch", "report", id, "-o", format)
		if code != exitOK || strings.Count(stdout, "pay_") < 5 {
			t.Errorf("report -o %s: exit %d, %s%s", format, code, stdout, stderr)
		}
	}
	code, stdout, stderr = d.tieout(t, "", "batch", "get", "bat_00000000-0000-7000-8000-000000000000", "-o", "json")
	if code != exitNotFound || stdout != "" || !strings.Contains(stderr, "trace ") {
		t.Errorf("a batch that is not there: exit %d, %q, %s", code, stdout, stderr)
	}
}

func TestBatch_IsOneHoweverOftenAFileIsSent(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	file := paymentFile(t, "rent.csv", manyPayments("R", 3000))
	race := func(names ...string) (ids []string, codes []int, notes string) {
		var racing sync.WaitGroup
		results, errs, exits := make([]string, len(names)), make([]string, len(names)), make([]int, len(names))
		for i, name := range names {
			racing.Go(func() {
				exits[i], results[i], errs[i] = d.tieout(t, "", "batch", "plan", "-f", file, "--name", name, "-o", "json")
			})
		}
		racing.Wait()
		for i, code := range exits {
			codes = append(codes, code)
			if code == exitOK {
				ids = append(ids, decode[gotBatch](t, results[i]).ID)
			}
		}
		return ids, codes, strings.Join(errs, "\n")
	}
	ids, codes, notes := race("rent", "rent", "rent")
	if len(ids) != 3 || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("under one name: exits %v, batches %v: %s", codes, ids, notes)
	}
	first := ids[0]
	_, codes, notes = race("rent again")
	if codes[0] != exitPrecondition || !strings.Contains(notes, "BATCH_DUPLICATE") || !strings.Contains(notes, "--repeats "+first) {
		t.Errorf("under another name: exits %v: %s", codes, notes)
	}

	file = paymentFile(t, "gas.csv", manyPayments("G", 3000))
	ids, codes, notes = race("gas", "gas again")
	if len(ids) != 1 || codes[0]+codes[1] != exitPrecondition || !strings.Contains(notes, "--repeats "+ids[0]) {
		t.Errorf("racing under two names: exits %v, batches %v: %s", codes, ids, notes)
	}

	repeat := []string{"start", "-f", file, "--repeats", ids[0]}
	_, stderr := d.tieoutFails(t, exitPrecondition, append([]string{"batch"}, repeat...)...)
	if !strings.Contains(stderr, "BATCH_HAS_DUPLICATES") || !strings.Contains(stderr, "--accept-duplicates") {
		t.Errorf("the same once more: %s", stderr)
	}
	s := d.summaryOf(t, exitOK, append(repeat, "--accept-duplicates", "--wait")...)
	if s.Succeeded != 3000 || s.BatchID == ids[0] || s.SumMinor["EUR"] != 300_000 {
		t.Errorf("the same once more, on purpose: %+v", s)
	}
	code, stdout, _ := d.tieout(t, "", "batch", "duplicates", s.BatchID)
	if rows := strings.Count(stdout, ids[0]+",planned,1.00 EUR\n"); code != exitOK || rows != 3000 {
		t.Errorf("duplicates: exit %d, %d of 3000", code, rows)
	}
}

// tieoutFails runs a command that is to exit with a code and to print nothing.
func (d *daemon) tieoutFails(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", args...)
	if code != wantCode || stdout != "" {
		t.Errorf("%v: exit %d, want %d, %q: %s", args, code, wantCode, stdout, stderr)
	}
	return stdout, stderr
}
