package importing

import (
	"math"
	"strings"
	"time"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// Summary is what came of an import. Amounts are in minor units.
type Summary struct {
	FileID  string `json:"file_id"`
	Name    string `json:"name"`
	Format  string `json:"format"`
	Account string `json:"account"`
	// State is accepted, held or quarantined; of a file that was there already and is accepted it is duplicate.
	State string `json:"state"`
	// Duplicate tells that the file was there already, and that nothing has changed.
	Duplicate bool `json:"duplicate"`
	// Note says why it is held or quarantined.
	Note string `json:"note,omitempty"`
	// Lines are all that the file has; of them, Pending are not booked, PayoutLines repeat what is paid out, Overlapping are there
	// from other files, and the others are Movements.
	Lines       int64 `json:"lines"`
	Pending     int64 `json:"pending"`
	PayoutLines int64 `json:"payout_lines"`
	Overlapping int64 `json:"overlapping"`
	Movements   int64 `json:"movements"`
	// Proofs are the controls that the file carries, and Failing those that do not hold.
	Proofs        int64       `json:"proofs"`
	Failing       int64       `json:"failing"`
	FailingProofs []Proof     `json:"failing_proofs"`
	Statements    []Statement `json:"statements"`
	ControlHash   string      `json:"control_hash"`
	// DurationS is how long it took, in seconds, and LinesPerS how many lines came in in one of them.
	DurationS float64 `json:"duration_s"`
	LinesPerS float64 `json:"lines_per_s"`

	// File and Listed are the file and its statements, as they were told.
	File   *reconciliationv1.StatementFile `json:"-"`
	Listed []*reconciliationv1.Statement   `json:"-"`
}

// Proof is a control that does not hold.
type Proof struct {
	Line     int64  `json:"line"`
	Rule     string `json:"rule"`
	Stated   string `json:"stated"`
	Computed string `json:"computed"`
}

// Statement is a statement of the file. Balances are there where the format has them, credits and debits where all lines are in
// one currency.
type Statement struct {
	StatementID string `json:"statement_id"`
	Standing    string `json:"standing"`
	Note        string `json:"note,omitempty"`
	Account     string `json:"account"`
	Currency    string `json:"currency"`
	Sequence    int64  `json:"sequence"`
	Page        int32  `json:"page"`
	Opening     *int64 `json:"opening,omitempty"`
	Closing     *int64 `json:"closing,omitempty"`
	Lines       int64  `json:"lines"`
	Credits     *int64 `json:"credits,omitempty"`
	Debits      *int64 `json:"debits,omitempty"`
	Sums        []Sum  `json:"sums"`
}

// Sum is what the booked lines in a currency come to.
type Sum struct {
	Currency string `json:"currency"`
	Credits  int64  `json:"credits"`
	Debits   int64  `json:"debits"`
	Fees     int64  `json:"fees"`
}

// Summarize gives what came of an import that took that long.
func Summarize(answer *reconciliationv1.ImportStatementResponse, statements []*reconciliationv1.Statement, took time.Duration) Summary {
	f := answer.GetFile()
	s := Summary{
		FileID: f.GetFileId(), Name: f.GetName(), Format: word(f.GetFormat().String(), "STATEMENT_FORMAT_"), Account: f.GetAccount(),
		State: word(f.GetState().String(), "STATEMENT_FILE_STATE_"), Duplicate: answer.GetDuplicate(), Note: f.GetNote(), Lines: f.GetLines(),
		Pending: f.GetPending(), PayoutLines: f.GetPayoutLines(), Overlapping: f.GetOverlapping(), Movements: f.GetMovements(),
		Proofs: f.GetProofs(), Failing: f.GetFailing(), FailingProofs: []Proof{}, Statements: []Statement{}, ControlHash: f.GetControlHash(),
		DurationS: thousandths(took.Seconds()), File: f, Listed: statements,
	}
	if s.Duplicate && s.State == "accepted" {
		s.State = "duplicate"
	}
	if took > 0 && !s.Duplicate {
		s.LinesPerS = thousandths(float64(s.Lines) / took.Seconds())
	}
	for _, p := range f.GetFailingProofs() {
		s.FailingProofs = append(s.FailingProofs, Proof{p.GetLine(), p.GetRule(), p.GetStated(), p.GetComputed()})
	}
	for _, of := range statements {
		s.Statements = append(s.Statements, statement(of))
	}
	return s
}

func statement(of *reconciliationv1.Statement) Statement {
	s := Statement{
		StatementID: of.GetStatementId(), Standing: word(of.GetStanding().String(), "STATEMENT_STANDING_"), Note: of.GetNote(),
		Account: of.GetBankAccount(), Currency: of.GetCurrencyCode(), Sequence: of.GetSequence(), Page: of.GetPage(), Lines: of.GetLines(),
		Sums: []Sum{},
	}
	if b := of.GetOpening(); b != nil {
		s.Opening = &b.MinorUnits
	}
	if b := of.GetClosing(); b != nil {
		s.Closing = &b.MinorUnits
	}
	for _, sum := range of.GetSums() {
		s.Sums = append(s.Sums, Sum{
			sum.GetCredits().GetCurrencyCode(), sum.GetCredits().GetMinorUnits(), sum.GetDebits().GetMinorUnits(), sum.GetFees().GetMinorUnits(),
		})
	}
	if len(s.Sums) == 1 {
		s.Credits, s.Debits = &s.Sums[0].Credits, &s.Sums[0].Debits
	}
	return s
}

// Clean tells whether the file counts, now or from before.
func (s Summary) Clean() bool { return s.State == "accepted" || s.State == "duplicate" }

func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

func thousandths(x float64) float64 { return math.Round(x*1000) / 1000 }
