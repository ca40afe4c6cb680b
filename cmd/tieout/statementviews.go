package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tieout/tieout/cmd/tieout/importing"
	"github.com/tieout/tieout/cmd/tieout/output"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// statementFileView is the view of a file with these statements.
func statementFileView(statements []*reconciliationv1.Statement) output.View[*reconciliationv1.StatementFile] {
	type file = *reconciliationv1.StatementFile
	return output.View[file]{
		JSON: output.Message[file],
		Columns: []output.Column[file]{
			{Name: "file_id", Value: file.GetFileId},
			{Name: "name", Value: file.GetName},
			{Name: "state", Value: func(f file) string { return enum(f.GetState(), fileStatePrefix) }},
			{Name: "account", Value: file.GetAccount},
			{Name: "format", Value: func(f file) string { return enum(f.GetFormat(), statementFormatPrefix) }},
			{Name: "statements", Value: func(f file) string { return pieces(f.GetStatements()) }},
			{Name: "lines", Value: func(f file) string { return pieces(f.GetLines()) }},
			{Name: "movements", Value: func(f file) string { return pieces(f.GetMovements()) }},
			{Name: "overlapping", Value: func(f file) string { return pieces(f.GetOverlapping()) }},
			{Name: "pending", Value: func(f file) string { return pieces(f.GetPending()) }},
			{Name: "failing", Value: func(f file) string { return pieces(f.GetFailing()) }},
			{Name: "create_time", Value: func(f file) string { return instant(f.GetCreateTime()) }},
			{Name: "note", Value: file.GetNote},
		},
		Fields: []output.Column[file]{
			{Name: "side", Value: func(f file) string { return enum(f.GetSide(), statementSidePrefix) }},
			{Name: "payout_lines", Value: func(f file) string { return pieces(f.GetPayoutLines()) }},
			{Name: "proofs", Value: func(f file) string { return pieces(f.GetProofs()) }},
			{Name: "repeats", Value: func(f file) string { return pieces(f.GetRepeats()) }},
			{Name: "sha256", Value: file.GetSha256},
			{Name: "control_hash", Value: file.GetControlHash},
			{Name: "imported_by", Value: file.GetImportedBy},
			{Name: "decide_time", Value: func(f file) string { return instant(f.GetDecideTime()) }},
		},
		Sections: func(w io.Writer, f file) error {
			if err := output.Section(w, "Statements", statementView.Columns, statements); err != nil {
				return err
			}
			return output.Section(w, "Does not tie out", proofColumns, f.GetFailingProofs())
		},
	}
}

var proofColumns = []output.Column[*reconciliationv1.StatementProof]{
	{Name: "line", Value: func(p *reconciliationv1.StatementProof) string { return pieces(p.GetLine()) }},
	{Name: "rule", Value: (*reconciliationv1.StatementProof).GetRule},
	{Name: "stated", Value: (*reconciliationv1.StatementProof).GetStated},
	{Name: "computed", Value: (*reconciliationv1.StatementProof).GetComputed},
}

var statementView = output.View[*reconciliationv1.Statement]{
	JSON: output.Message[*reconciliationv1.Statement],
	Columns: []output.Column[*reconciliationv1.Statement]{
		{Name: "statement_id", Value: (*reconciliationv1.Statement).GetStatementId},
		{Name: "standing", Value: func(s *reconciliationv1.Statement) string { return enum(s.GetStanding(), standingPrefix) }},
		{Name: "bank_account", Value: (*reconciliationv1.Statement).GetBankAccount},
		{Name: "currency", Value: (*reconciliationv1.Statement).GetCurrencyCode},
		{Name: "sequence", Value: func(s *reconciliationv1.Statement) string { return sequenceText(s.GetSequence(), s.GetPage()) }},
		{Name: "closing_date", Value: (*reconciliationv1.Statement).GetClosingDate},
		{Name: "opening", Value: func(s *reconciliationv1.Statement) string { return amount(s.GetOpening()) }},
		{Name: "credits", Value: func(s *reconciliationv1.Statement) string {
			return sides(s, (*reconciliationv1.StatementSum).GetCredits)
		}},
		{Name: "debits", Value: func(s *reconciliationv1.Statement) string {
			return sides(s, (*reconciliationv1.StatementSum).GetDebits)
		}},
		{Name: "closing", Value: func(s *reconciliationv1.Statement) string { return amount(s.GetClosing()) }},
		{Name: "lines", Value: func(s *reconciliationv1.Statement) string { return pieces(s.GetLines()) }},
		{Name: "overlapping", Value: func(s *reconciliationv1.Statement) string { return pieces(s.GetOverlapping()) }},
		{Name: "note", Value: (*reconciliationv1.Statement).GetNote},
	},
	Fields: []output.Column[*reconciliationv1.Statement]{
		{Name: "file_id", Value: (*reconciliationv1.Statement).GetFileId},
		{Name: "number", Value: func(s *reconciliationv1.Statement) string { return strconv.Itoa(int(s.GetNumber())) }},
		{Name: "sender_id", Value: (*reconciliationv1.Statement).GetSenderId},
		{Name: "opening_date", Value: (*reconciliationv1.Statement).GetOpeningDate},
		{Name: "fees", Value: func(s *reconciliationv1.Statement) string { return sides(s, (*reconciliationv1.StatementSum).GetFees) }},
		{Name: "pending", Value: func(s *reconciliationv1.Statement) string { return pieces(s.GetPending()) }},
	},
}

// sequenceText is the number of a statement, and its page.
func sequenceText(sequence int64, page int32) string {
	switch {
	case sequence == 0:
		return ""
	case page == 0:
		return pieces(sequence)
	}
	return fmt.Sprintf("%d/%d", sequence, page)
}

// sides is one side of a statement's sums, per currency.
func sides(s *reconciliationv1.Statement, side func(*reconciliationv1.StatementSum) *commonv1.Amount) string {
	var texts []string
	for _, sum := range s.GetSums() {
		texts = append(texts, amount(side(sum)))
	}
	return strings.Join(texts, ", ")
}

var statementLineView = output.View[*reconciliationv1.StatementLine]{
	JSON: output.Message[*reconciliationv1.StatementLine],
	Columns: []output.Column[*reconciliationv1.StatementLine]{
		{Name: "line", Value: func(l *reconciliationv1.StatementLine) string { return pieces(l.GetLine()) }},
		{Name: "kind", Value: (*reconciliationv1.StatementLine).GetKind},
		{Name: "amount", Value: func(l *reconciliationv1.StatementLine) string { return amount(l.GetAmount()) }},
		{Name: "fee", Value: func(l *reconciliationv1.StatementLine) string { return amount(l.GetFee()) }},
		{Name: "booked_date", Value: (*reconciliationv1.StatementLine).GetBookedDate},
		{Name: "value_date", Value: (*reconciliationv1.StatementLine).GetValueDate},
		{Name: "provider_id", Value: (*reconciliationv1.StatementLine).GetProviderId},
		{Name: "parent_id", Value: (*reconciliationv1.StatementLine).GetParentId},
		{Name: "key", Value: (*reconciliationv1.StatementLine).GetKey},
		{Name: "reference", Value: (*reconciliationv1.StatementLine).GetReference},
		{Name: "payout_id", Value: (*reconciliationv1.StatementLine).GetPayoutId},
		{Name: "note", Value: (*reconciliationv1.StatementLine).GetNote},
	},
}

var importView = output.View[importing.Summary]{
	JSON: output.Value[importing.Summary],
	Columns: []output.Column[importing.Summary]{
		{Name: "file_id", Value: func(s importing.Summary) string { return s.FileID }},
		{Name: "name", Value: func(s importing.Summary) string { return s.Name }},
		{Name: "state", Value: func(s importing.Summary) string { return s.State }},
		{Name: "format", Value: func(s importing.Summary) string { return s.Format }},
		{Name: "account", Value: func(s importing.Summary) string { return s.Account }},
		{Name: "statements", Value: func(s importing.Summary) string { return strconv.Itoa(len(s.Statements)) }},
		{Name: "lines", Value: func(s importing.Summary) string { return pieces(s.Lines) }},
		{Name: "movements", Value: func(s importing.Summary) string { return pieces(s.Movements) }},
		{Name: "overlapping", Value: func(s importing.Summary) string { return pieces(s.Overlapping) }},
		{Name: "pending", Value: func(s importing.Summary) string { return pieces(s.Pending) }},
		{Name: "proofs", Value: func(s importing.Summary) string { return pieces(s.Proofs) }},
		{Name: "failing", Value: func(s importing.Summary) string { return pieces(s.Failing) }},
		{Name: "duration_s", Value: func(s importing.Summary) string { return decimal(s.DurationS) }},
		{Name: "lines_per_s", Value: func(s importing.Summary) string { return decimal(s.LinesPerS) }},
	},
	Sections: func(w io.Writer, s importing.Summary) error {
		return statementFileView(s.Listed).Sections(w, s.File)
	},
}
