package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tieout/tieout/services/payment/pspsim"
)

func TestPSPSettlement_WritesTheFileAndWhatIsPlanted(t *testing.T) {
	t.Parallel()
	psp, err := pspsim.Start(t.Context(), pspsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"amount_minor": 1250, "currency": "GBP", "payment_method": "pm_ok", "reference": "ord_1"}`
	charge, err := http.NewRequestWithContext(t.Context(), http.MethodPost, psp.URL()+"/v1/charges", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	charge.Header.Set("Idempotency-Key", "k")
	answer, err := http.DefaultClient.Do(charge)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	file := filepath.Join(t.TempDir(), "report.csv")
	settlement := func(more ...string) (code int, stderr string) {
		var out bytes.Buffer
		c := &cli{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &out, program: "tieout"}
		code = run(t.Context(), c, append([]string{"psp", "settlement", "--psp", psp.URL()}, more...))
		return code, out.String()
	}
	if code, stderr := settlement("-o", file); code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	report, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(report), ",12.50,0.38,12.12,charge,") {
		t.Errorf("got %q, error %v; want the charge's row", report, err)
	}
	if _, err := os.Stat(file + ".planted.json"); err == nil {
		t.Error("nothing was planted, and it says what")
	}
	if code, stderr := settlement("-o", file, "--format", "mt940", "--plant", "1"); code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(file + ".planted.json")
	if err != nil {
		t.Fatal(err)
	}
	var planted []pspsim.Discrepancy
	if err := json.Unmarshal(text, &planted); err != nil || len(planted) != 1 || planted[0].Kind != "missing_row" {
		t.Errorf("got %s, error %v; want the one missing row", text, err)
	}
	if code, stderr := settlement("-o", file, "--convert", "GBP:EUR:1.2"); code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	if report, err := os.ReadFile(file); err != nil || !strings.Contains(string(report), ",eur,15.00,0.46,14.54,charge,") {
		t.Errorf("got %q, error %v; want the charge's row in euros", report, err)
	}
	for name, args := range map[string][]string{"no file": nil, "no such format": {"-o", file, "--format", "pdf"}} {
		if code, stderr := settlement(args...); code == 0 || stderr == "" {
			t.Errorf("%s: got exit code %d: %s", name, code, stderr)
		}
	}
}
