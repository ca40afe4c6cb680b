package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// printedMoney is as much of balances and entries as the test looks at.
type printedMoney struct {
	JournalID  string            `json:"journal_id"`
	CreateTime string            `json:"create_time"`
	PaymentID  string            `json:"payment_id"`
	Account    string            `json:"account"`
	Amount     map[string]string `json:"amount"`
	Balance    map[string]string `json:"balance"`
}

func TestLedger_ShowsWhatOrdersCameTo(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	if code, _, stderr := d.tieout(t, "", "stock", "receive", "MUG", "9"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, order := range []string{
		orderLine("order-first", "MUG", 2, "pm_ok", "GB"),
		orderLine("order-nowhere", "MUG", 3, "pm_ok", "XX"), // its money was only set aside
		orderLine("order-last", "MUG", 1, "pm_ok", "GB"),
	} {
		if code, _, stderr := d.tieout(t, order, "order", "place", "-f", "-", "--wait"); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	const header = "account,debits,credits,balance\n"
	sold := header + "provider_clearing,26.97 GBP,0.00 GBP,26.97 GBP\nrevenue,0.00 GBP,26.97 GBP,-26.97 GBP\n"
	newest := want[[]printedMoney](t, d, exitOK, nil, "ledger", "entries", "--account", "revenue")[0]
	for line, want := range map[string]string{
		"":                                sold,
		"--currency GBP":                  sold,
		"--currency JPY":                  header,
		"--as-of 2001-01-01":              header,
		"--as-of " + newest.CreateTime:    sold,
		"--as-of " + newest.JournalID:     sold,
		"--as-of 9999-12-31T23:59:59.99Z": sold,
	} {
		code, stdout, stderr := d.tieout(t, "", append(strings.Fields("ledger balances -o csv"), strings.Fields(line)...)...)
		if diff := cmp.Diff(want, stdout); diff != "" || code != exitOK {
			t.Errorf("balances %s: exit %d, %s (-want +got):\n%s", line, code, stderr, diff)
		}
	}
	for line, lines := range map[string]int{
		"": 4, "--limit 3": 3, "--account revenue": 2, "--account bank": 0, "--payment " + newest.PaymentID: 2,
		"--since " + newest.CreateTime: 2, "--until " + newest.CreateTime: 2, "--since 2001-01-01": 4, "--currency JPY": 0,
	} {
		got := want[[]printedMoney](t, d, exitOK, nil, append([]string{"ledger", "entries"}, strings.Fields(line)...)...)
		if len(got) != lines {
			t.Errorf("entries %s: got %v, want %d", line, got, lines)
		}
	}
	if code, _, stderr := d.tieout(t, "", "ledger", "balances", "--as-of", "jrn_1"); code != exitNotFound || !strings.Contains(stderr, "as_of_journal_id") {
		t.Errorf("as of a journal that there is not: exit %d, %s", code, stderr)
	}
}

func TestLedger_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"ledger":                            "needs a command",
		"ledger balances --as-of yesterday": `--as-of "yesterday" is neither`,
		"ledger balances GBP":               "unknown command",
		"ledger entries --since 2026-13-01": `--since "2026-13-01" is neither`,
		"ledger entries --until noon":       `--until "noon" is neither`,
		"ledger entries --account pocket":   "is none of bank, provider_clearing, customer_receivable, revenue, refunds, fees, write_offs, suspense",
	} {
		if code, stdout, stderr := call(t, nil, strings.Fields(line)...); code != exitUsage || stdout != "" || !strings.Contains(stderr, text) {
			t.Errorf("tieout %s: exit %d, want %d with %q; stdout %q, stderr:\n%s", line, code, exitUsage, text, stdout, stderr)
		}
	}
}
