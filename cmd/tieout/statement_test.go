package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tieout/tieout/cmd/tieout/importing"
)

// bankDay is a statement of a bank as MT940, of a credit of 12.50 EUR with a text; the balances are in cents, and wrong is what
// the closing one is off by.
func bankDay(number, opening, wrong int, text string) string {
	balance := func(minor int) string { return fmt.Sprintf("C2601%02dEUR%d,%02d", number, minor/100, minor%100) }
	return fmt.Sprintf(":20:S%d\r\n:25:DE89370400440532013000\r\n:28C:%d/1\r\n:60F:%s\r\n:61:2601%02d01%02dC12,50NMSCREF%d\r\n:86:%s\r\n:62F:%s\r\n-\r\n",
		number, number, balance(opening), number, number, number, text, balance(opening+1250+wrong))
}

const stripeHeading = "automatic_payout_id,automatic_payout_effective_at_utc,balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net," +
	"reporting_category,source_id,charge_id,payment_intent_id,payment_metadata[order_id]\n"

// statementFile writes a file and gives its name.
func statementFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// importOf imports a file, and wants it to exit with a code. It skips the test where the format is not read.
func (d *daemon) importOf(t *testing.T, wantCode int, args ...string) (s importing.Summary, stderr string) {
	t.Helper()
	code, stdout, stderr := d.tieout(t, "", append([]string{"statement", "import", "-o", "json"}, args...)...)
	if strings.Contains(stderr, "is not read yet") {
		t.Skip("the format is not read yet")
	}
	if code != wantCode {
		t.Fatalf("import %v: exit %d, want %d: %s", args, code, wantCode, stderr)
	}
	if stdout == "" {
		return s, stderr
	}
	return decode[importing.Summary](t, stdout), stderr
}

func TestStatement_IsImportedListedAndDecidedOn(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	first := statementFile(t, "first.sta", bankDay(5, 10000, 0, "PSPSIM PAYOUT po20260104eur"))
	s, _ := d.importOf(t, exitOK, "--format", "mt940", first)
	if s.State != "accepted" || s.Name != "first.sta" || s.Format != "mt940" || s.Account != "default" || s.Lines != 1 || s.Movements != 1 ||
		s.Failing != 0 || s.Proofs == 0 || s.DurationS <= 0 || s.LinesPerS <= 0 || len(s.Statements) != 1 {
		t.Errorf("imported: %+v", s)
	}
	if of := s.Statements[0]; of.Account != "DE89370400440532013000" || of.Currency != "EUR" || of.Sequence != 5 || *of.Opening != 10000 ||
		*of.Closing != 11250 || *of.Credits != 1250 || *of.Debits != 0 {
		t.Errorf("its statement: %+v", of)
	}
	again, stderr := d.importOf(t, exitOK, "--format", "mt940", first)
	if again.State != "duplicate" || again.FileID != s.FileID || !strings.Contains(stderr, "duplicate: first.sta is there already") {
		t.Errorf("again: %+v: %s", again, stderr)
	}

	wrong, stderr := d.importOf(t, exitFindings, "--format", "mt940", statementFile(t, "wrong.sta", bankDay(6, 11250, 1, "x")))
	if wrong.State != "quarantined" || wrong.Failing == 0 || len(wrong.FailingProofs) == 0 || !strings.Contains(stderr, "does not tie out") {
		t.Errorf("wrong: %+v: %s", wrong, stderr)
	}
	gap, stderr := d.importOf(t, exitFindings, "--format", "mt940", statementFile(t, "gap.sta", bankDay(7, 12500, 0, "x")))
	if gap.State != "held" || gap.Statements[0].Standing != "gap" || !strings.Contains(stderr, "statement release "+gap.FileID) {
		t.Errorf("gap: %+v: %s", gap, stderr)
	}
	_, stderr = d.importOf(t, exitUsage, "--format", "mt940", statementFile(t, "broken.sta", ":20:S\r\n:25:X\r\n:28C:1\r\n:60F:what\r\n"))
	if !strings.Contains(stderr, "FILE_MALFORMED") || !strings.Contains(stderr, "broken.sta:4") || !strings.Contains(stderr, "60F") {
		t.Errorf("broken: %s", stderr)
	}
	d.statementIsShown(t, s)

	if code, _, stderr := d.tieout(t, "", "statement", "release", gap.FileID); code != exitUsage || !strings.Contains(stderr, "--reason") {
		t.Errorf("released without a reason: exit %d: %s", code, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "", "statement", "release", gap.FileID, "--reason", "the bank lost one"); code != exitOK || !strings.Contains(stdout, "accepted") {
		t.Errorf("released: exit %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "", "statement", "drop", wrong.FileID, "--reason", "it is wrong"); code != exitOK || !strings.Contains(stdout, "dropped") {
		t.Errorf("dropped: exit %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "", "audit", "--data-dir", d.dir); code != exitOK {
		t.Errorf("audit: exit %d: %s%s", code, stdout, stderr)
	}
}

// statementIsShown looks at a file that was imported as people do.
func (d *daemon) statementIsShown(t *testing.T, s importing.Summary) {
	t.Helper()
	statement := s.Statements[0].StatementID
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"get", s.FileID}, []string{"name first.sta", "state accepted", "imported by cli", statement + " taken"}},
		{[]string{"get", statement}, []string{"opening 100.00 EUR", "closing 112.50 EUR", "sequence 5/1"}},
		{[]string{"lines", statement}, []string{"payout 12.50 EUR"}},
		{[]string{"lines", s.FileID}, []string{"po20260104eur"}},
		{[]string{"list", "--file", s.FileID}, []string{statement + " taken"}},
		{[]string{"list", "--standing", "gap"}, []string{"DE89370400440532013000"}},
		{[]string{"files", "--state", "quarantined"}, []string{"wrong.sta quarantined"}},
	} {
		code, stdout, stderr := d.tieout(t, "", append([]string{"statement"}, test.args...)...)
		if code != exitOK {
			t.Errorf("%v: exit %d: %s", test.args, code, stderr)
		}
		flat := strings.Join(strings.Fields(stdout), " ")
		for _, want := range test.want {
			if !strings.Contains(flat, want) {
				t.Errorf("%v does not say %q:\n%s", test.args, want, stdout)
			}
		}
	}
}

func TestStatement_ImportsSeveralFiles(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	row := func(id string) string {
		return "po_1,2026-01-05 00:00:00," + id + ",2026-01-03 10:00:00,2026-01-05 00:00:00,eur,10.00,0.30,9.70,charge,ch_1,ch_1,pi_1,ord_1\n"
	}
	good := statementFile(t, "good.csv", stripeHeading+row("txn_1")+row("txn_2"))
	broken := statementFile(t, "broken.csv", stripeHeading+strings.Replace(row("txn_3"), "10.00", "ten", 1))
	d.importOf(t, exitOK, "--format", "stripe", "--account", "shop", good)
	code, stdout, stderr := d.tieout(t, "", "statement", "import", "--format", "stripe", "--account", "shop", "-o", "jsonl", good, broken,
		statementFile(t, "more.csv", stripeHeading+row("txn_2")+row("txn_4")))
	var states []string
	for line := range strings.Lines(stdout) {
		s := decode[importing.Summary](t, line)
		states = append(states, fmt.Sprintf("%s %s %d %d", s.Name, s.State, s.Movements, s.Overlapping))
	}
	if got := strings.Join(states, ", "); code != exitPartial || got != "good.csv duplicate 2 0, more.csv accepted 1 1" {
		t.Errorf("exit %d: %s", code, got)
	}
	if !strings.Contains(stderr, "broken.csv was not taken in") || !strings.Contains(stderr, "gross") {
		t.Errorf("what was wrong is not said: %s", stderr)
	}
	if code, _, stderr := d.tieout(t, "", "statement", "import", "nowhere.csv"); code != exitNotFound {
		t.Errorf("a file that there is not: exit %d: %s", code, stderr)
	}
	if code, _, stderr := d.tieout(t, stripeHeading+row("txn_5"), "statement", "import", "--format", "stripe", "--account", "shop", "-"); code != exitOK {
		t.Errorf("stdin: exit %d: %s", code, stderr)
	}
}
