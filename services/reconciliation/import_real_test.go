package reconciliation

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// realFiles are files of banks: those that tie out, with how many statements and lines they have; those that do not, with what
// the first proof that fails is of; and those that cannot be read, or that may be either.
var realFiles = map[string]struct {
	state, rule       string
	statements, lines int64
}{
	"bai2/sample1.txt":                    {state: "accepted", statements: 2, lines: 17},
	"bai2/sample2.txt":                    {state: "quarantined", rule: "sum", statements: 5, lines: 4},
	"bai2/sample3.txt":                    {state: "accepted", statements: 15, lines: 26},
	"bai2/sample-parseError.txt":          {state: "malformed"},
	"camt/camt053.v2.five.decimals.xml":   {state: "quarantined", rule: "balance", statements: 1, lines: 1},
	"camt/camt053.v2.minimal.xml":         {state: "quarantined", rule: "balance", statements: 1, lines: 1},
	"camt/camt053.v2.multi.statement.xml": {state: "accepted", statements: 2, lines: 2},
	"camt/camt053.v2.wrong.xml":           {state: "malformed"},
	"camt/camt053.v3.xml":                 {state: "quarantined", rule: "entry", statements: 1, lines: 1},
	"camt/camt053.v4.xml":                 {state: "quarantined", rule: "balance", statements: 1, lines: 1},
	"camt/camt053.v8.xml":                 {state: "quarantined", rule: "balance", statements: 1, lines: 1},
	"camt/camt054.v4.xml":                 {state: "accepted", statements: 1, lines: 1},
	"mt940/amount_formats.sta":            {},
	"mt940/asnb.txt":                      {state: "accepted", statements: 31, lines: 8},
	"mt940/cmxl.sta":                      {state: "accepted", statements: 3, lines: 16},
	"mt940/empty_86.sta":                  {},
	"mt940/february_30.sta":               {state: "accepted", statements: 1, lines: 1},
	"mt940/ing.sta":                       {state: "quarantined", rule: "balance", statements: 1, lines: 7},
	"mt940/malformed_details.sta":         {state: "quarantined", rule: "balance", statements: 1, lines: 1},
	"mt940/missing_crlf_at_end.sta":       {},
	"mt940/multiline.sta":                 {},
	"mt940/sepa_mt9401.sta":               {state: "accepted", statements: 26, lines: 97},
	"stripe/charge_data.csv":              {state: "malformed"},
}

func TestImport_OfRealFiles(t *testing.T) {
	const files = "../../../shared/data/statements"
	if _, err := os.Stat(files); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("there are no real files at %s", files)
	}
	if head, err := os.ReadFile(filepath.Join(files, "mt940/sepa_mt9401.sta")); err != nil {
		t.Fatal(err)
	} else if _, read := formats.Detect(head, false); !read {
		t.Skip("the formats are not read yet")
	}
	f := setupImports(t)
	f.reconciliation.read = formats.Read
	for name, want := range realFiles {
		content, err := os.ReadFile(filepath.Join(files, name))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := f.importAs("import-"+name, &reconciliationv1.StatementHeader{Name: filepath.Base(name)}, content)
		file, is := answer.GetFile(), ""
		if refusal, ok := rpcerr.FromError(err); ok && refusal.Reason == rpcerr.FileMalformed && refusal.Metadata["file"] == filepath.Base(name) {
			is = "malformed"
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		} else {
			is = state(file)
		}
		switch {
		case want.state == "":
			t.Logf("%s is %s: %v", name, is, err)
		case is != want.state || file.GetStatements() != want.statements || file.GetLines() != want.lines:
			t.Errorf("%s is %s with %d statements and %d lines, want %v: %s %v", name, is, file.GetStatements(), file.GetLines(), want, file.GetNote(), err)
		case want.rule != "" && file.GetFailingProofs()[0].GetRule() != want.rule:
			t.Errorf("%s: the first proof that fails is %v", name, file.GetFailingProofs()[0])
		}
		if file == nil {
			continue
		}
		for _, s := range f.statementsOf(file) {
			if s.GetOpening() == nil || s.GetClosing() == nil || is != "accepted" {
				continue
			}
			total := s.GetOpening().GetMinorUnits()
			for _, sum := range s.GetSums() {
				total += sum.GetCredits().GetMinorUnits() + sum.GetDebits().GetMinorUnits()
			}
			if total != s.GetClosing().GetMinorUnits() {
				t.Errorf("%s: %s comes to %d: %v", name, s.GetStatementId(), total, s)
			}
		}
	}
	f.wantClean()
}
