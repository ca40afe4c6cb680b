package importing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

func TestSummary_SaysWhatCameOfAnImport(t *testing.T) {
	t.Parallel()
	amount := func(minor int64) *commonv1.Amount {
		return &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: minor}
	}
	answer := &reconciliationv1.ImportStatementResponse{File: &reconciliationv1.StatementFile{
		FileId: "stf_1", Name: "january", Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_MT940, Account: "default",
		State: reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_QUARANTINED, Lines: 10, Proofs: 2, Failing: 1, Note: "why",
		FailingProofs: []*reconciliationv1.StatementProof{{Line: 9, Rule: "balance", Stated: "1.00 EUR", Computed: "2.00 EUR"}},
	}}
	statements := []*reconciliationv1.Statement{{
		StatementId: "stm_1", Standing: reconciliationv1.StatementStanding_STATEMENT_STANDING_REFUSED, BankAccount: "DE01", CurrencyCode: "EUR",
		Sequence: 7, Opening: amount(5), Closing: amount(15), Lines: 10,
		Sums: []*reconciliationv1.StatementSum{{Credits: amount(20), Debits: amount(-10), Fees: amount(0)}},
	}, {StatementId: "stm_2", Sums: []*reconciliationv1.StatementSum{{}, {}}}}
	opening, closing, credits, debits := int64(5), int64(15), int64(20), int64(-10)
	want := Summary{
		FileID: "stf_1", Name: "january", Format: "mt940", Account: "default", State: "quarantined", Note: "why", Lines: 10, Proofs: 2, Failing: 1,
		FailingProofs: []Proof{{9, "balance", "1.00 EUR", "2.00 EUR"}}, DurationS: 2, LinesPerS: 5,
		Statements: []Statement{
			{StatementID: "stm_1", Standing: "refused", Account: "DE01", Currency: "EUR", Sequence: 7, Opening: &opening, Closing: &closing, Lines: 10,
				Credits: &credits, Debits: &debits, Sums: []Sum{{"EUR", 20, -10, 0}}},
			{StatementID: "stm_2", Standing: "unspecified", Sums: []Sum{{}, {}}},
		},
	}
	got := Summarize(answer, statements, 2*time.Second)
	got.File, got.Listed = nil, nil
	if diff := cmp.Diff(want, got); diff != "" || got.Clean() {
		t.Errorf("summary, clean: %t (-want +got):\n%s", got.Clean(), diff)
	}
	answer.Duplicate = true
	if got := Summarize(answer, nil, time.Second); got.State != "quarantined" || got.Clean() || got.LinesPerS != 0 {
		t.Errorf("quarantined before: %+v", got)
	}
	answer.File.State = reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_ACCEPTED
	if got := Summarize(answer, nil, time.Second); got.State != "duplicate" || !got.Clean() {
		t.Errorf("accepted before: %+v", got)
	}
}
