package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/cmd/tieout/reconciling"
)

// reported is a file of the provider's report, with the charges of a payout.
func reported(t *testing.T, rows ...string) string {
	t.Helper()
	return statementFile(t, "report.csv", stripeHeading+strings.Join(rows, "\n")+"\n")
}

// charged is a row of the report.
func charged(n int, gross, fee, net string) string {
	return fmt.Sprintf("po_1,2026-11-03 00:00:00,txn_%[1]d,2026-11-02 10:00:00,2026-11-03 00:00:00,eur,%[2]s,%[3]s,%[4]s,charge,ch_%[1]d,ch_%[1]d,,ord_%[1]d", n, gross, fee, net)
}

func TestRecon_RunsIsVerifiedAndExplained(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	d.importOf(t, exitOK, "--format", "stripe", reported(t, charged(1, "10.00", "0.35", "9.65"), charged(2, "20.00", "0.50", "19.50")))

	code, stdout, stderr := d.tieout(t, "", "recon", "run", "--as-of", "2026-11-20", "-o", "json")
	s := decode[reconciling.Summary](t, stdout)
	if code != exitFindings || s.State != "finished" || s.Digest == "" || s.AsOf != "2026-11-20" || !strings.Contains(stderr, "break list") {
		t.Fatalf("run: exit %d, %+v: %s", code, s, stderr)
	}
	if diff := cmp.Diff(map[string]int64{"MISSING_INTERNALLY": 2}, s.Breaks); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "verify", s.RunID, "-o", "json"); code != exitOK || !strings.Contains(stdout, `"holds": true`) {
		t.Errorf("verify: exit %d: %s", code, stdout)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "get", s.RunID); code != exitOK || !strings.Contains(stdout, "MISSING_INTERNALLY 2") || !strings.Contains(stdout, "signature") {
		t.Errorf("get: exit %d: %s", code, stdout)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "runs", "-o", "csv"); code != exitOK || !strings.Contains(stdout, s.RunID) {
		t.Errorf("runs: exit %d: %s", code, stdout)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "matches", "--run", s.RunID, "-o", "jsonl"); code != exitOK || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, "po_1") {
		t.Errorf("matches: exit %d: %s", code, stdout)
	}
	report := []string{"recon", "report", "--currency", "EUR", "--from", "2026-11-01", "--to", "2026-11-20"}
	if code, stdout, _ = d.tieout(t, "", report...); code != exitOK || !strings.Contains(stdout, "MISSING_INTERNALLY") || !strings.Contains(stdout, "-30.00 EUR") || !strings.Contains(stdout, "ADJUSTED") {
		t.Errorf("report: exit %d: %s", code, stdout)
	}
	if code, stdout, _ = d.tieout(t, "", append(report, "--lines", "-o", "csv")...); code != exitOK || strings.Count(stdout, "\n") != 4 {
		t.Errorf("its lines: exit %d: %s", code, stdout)
	}
	if code, _, stderr = d.tieout(t, "", "recon", "run", "--as-of", "2026-11-19"); code != exitPrecondition || !strings.Contains(stderr, "RUN_BEHIND") {
		t.Errorf("a run of an earlier day: exit %d: %s", code, stderr)
	}
	if code, _, stderr = d.tieout(t, "", "recon", "cancel", s.RunID, "--reason", "too late"); code != exitPrecondition || !strings.Contains(stderr, "RUN_STATE_REFUSED") {
		t.Errorf("cancelling what has ended: exit %d: %s", code, stderr)
	}
	d.rulesAreTriedPutAndActivated(t)
}

func (d *daemon) rulesAreTriedPutAndActivated(t *testing.T) {
	t.Helper()
	file := statementFile(t, "rules.yaml", "due:\n  - {stage: provider, business_days: 300}\n  - {stage: bank, business_days: 300}\nholidays: ['2026-12-25']\n")
	code, stdout, stderr := d.tieout(t, "", "recon", "run", "--dry-run", "--rules", file, "--as-of", "2026-11-20")
	if code != exitOK || !strings.Contains(stdout, "MISSING_INTERNALLY") {
		t.Errorf("dry run: exit %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = d.tieout(t, "", "recon", "rules", "put", "-f", file, "--note", "patience", "-o", "json")
	if code != exitOK || !strings.Contains(stdout, `"version": 2`) {
		t.Fatalf("put: exit %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = d.tieout(t, "", "recon", "rules", "activate", "2", "--reason", "patience"); code != exitOK || !strings.Contains(stderr, "nothing was done") {
		t.Errorf("a plan to activate: exit %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = d.tieout(t, "", "recon", "rules", "activate", "2", "--reason", "patience", "--yes"); code != exitOK {
		t.Errorf("activate: exit %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "rules", "get", "-o", "json"); code != exitOK || !strings.Contains(stdout, `"active": true`) || !strings.Contains(stdout, "2026-12-25") {
		t.Errorf("get: exit %d: %s", code, stdout)
	}
	if code, stdout, _ = d.tieout(t, "", "recon", "rules", "list", "-o", "csv"); code != exitOK || strings.Count(stdout, "\n") != 3 {
		t.Errorf("list: exit %d: %s", code, stdout)
	}
	wrong := statementFile(t, "wrong.json", `{"dew": []}`)
	if code, _, stderr = d.tieout(t, "", "recon", "rules", "put", "-f", wrong); code != exitUsage || !strings.Contains(stderr, `"dew"`) {
		t.Errorf("wrong rules: exit %d: %s", code, stderr)
	}
	if code, stdout, stderr = d.tieout(t, "", "recon", "run", "-o", "json"); code != exitFindings && code != exitOK || decode[reconciling.Summary](t, stdout).Number != 2 {
		t.Errorf("a run by them: exit %d: %s%s", code, stdout, stderr)
	}
}

func TestRecon_SaysWhatIsWrongWithTheCommand(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"recon run --rules 2", "recon cancel run_1", "recon matches", "recon matches --run a --payment b", "recon report --currency EUR",
		"recon rules put", "recon rules activate two --reason x", "recon rules activate 2",
	} {
		if code, _, stderr := (&daemon{}).tieout(t, "", strings.Fields(line)...); code != exitUsage {
			t.Errorf("%s: exit %d: %s", line, code, stderr)
		}
	}
}
