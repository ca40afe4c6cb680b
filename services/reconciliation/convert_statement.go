package reconciliation

import (
	"cmp"
	"encoding/hex"

	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

var statementFormats = map[formats.Format]reconciliationv1.StatementFormat{
	formats.Camt053: reconciliationv1.StatementFormat_STATEMENT_FORMAT_CAMT053,
	formats.Camt054: reconciliationv1.StatementFormat_STATEMENT_FORMAT_CAMT054,
	formats.MT940:   reconciliationv1.StatementFormat_STATEMENT_FORMAT_MT940,
	formats.MT942:   reconciliationv1.StatementFormat_STATEMENT_FORMAT_MT942,
	formats.BAI2:    reconciliationv1.StatementFormat_STATEMENT_FORMAT_BAI2,
	formats.Stripe:  reconciliationv1.StatementFormat_STATEMENT_FORMAT_STRIPE,
	formats.CSV:     reconciliationv1.StatementFormat_STATEMENT_FORMAT_CSV,
}

// The numbers of sides and standings are those of the contract; those of file states are one less.
func fileStateFromProto(s reconciliationv1.StatementFileState) fileState { return fileState(s) - 1 }

func fileStateToProto(s fileState) reconciliationv1.StatementFileState {
	return reconciliationv1.StatementFileState(s + 1)
}

// statementHeaderFromProto reads a header.
func statementHeaderFromProto(h *reconciliationv1.StatementHeader) (header, error) {
	out := header{name: h.GetName(), reading: reading{
		Account: cmp.Or(h.GetAccount(), defaultAccount), Side: stage(h.GetSide()), Currency: money.Currency(h.GetCurrencyCode()), Mapping: h.GetMapping(),
	}}
	for format, number := range statementFormats {
		if number == h.GetFormat() {
			out.Format = format
		}
	}
	if h.GetSha256() == "" {
		return out, nil
	}
	var err error
	if out.sha256, err = hex.DecodeString(h.GetSha256()); err != nil {
		return out, rpcerr.ForField(rpcerr.RequestInvalid, "header.sha256", "%v", err)
	}
	return out, nil
}

func fileToProto(f *file) *reconciliationv1.StatementFile {
	out := &reconciliationv1.StatementFile{
		FileId: f.id.String(), State: fileStateToProto(f.state), Name: f.name, Account: f.account, Format: statementFormats[f.format],
		Side: reconciliationv1.StatementSide(f.stage), Sha256: hex.EncodeToString(f.sha256), SizeBytes: f.size, Statements: int64(f.statements),
		Lines: f.lines, Pending: f.pending, PayoutLines: f.payoutLines, Movements: f.movements, Overlapping: f.overlapping,
		ControlHash: hex.EncodeToString(f.control), Proofs: f.proofs, Failing: f.failing, Note: f.note, Repeats: f.repeats,
		ImportedBy: f.createdBy, CreateTime: timestamppb.New(f.createdAt),
	}
	if !f.decidedAt.IsZero() {
		out.DecideTime = timestamppb.New(f.decidedAt)
	}
	for _, p := range f.failingProofs {
		out.FailingProofs = append(out.FailingProofs, &reconciliationv1.StatementProof{
			Line: int64(p.At), Rule: string(p.Rule), Stated: p.Stated, Computed: p.Computed,
		})
	}
	return out
}

func statementToProto(s *statement) *reconciliationv1.Statement {
	amount := func(c money.Currency, minor int64) *commonv1.Amount {
		return &commonv1.Amount{CurrencyCode: string(c), MinorUnits: minor}
	}
	out := &reconciliationv1.Statement{
		StatementId: s.id.String(), FileId: s.fileID.String(), Number: s.number, Standing: reconciliationv1.StatementStanding(s.standing),
		Note: s.note, SenderId: s.senderID, BankAccount: s.bankAccount, CurrencyCode: string(s.currency), Sequence: s.sequence, Page: s.page,
		Lines: s.lines, Pending: s.pending, Overlapping: s.overlapping,
	}
	if s.opening != nil {
		out.Opening, out.OpeningDate = amount(s.currency, s.opening.minor), dayText(s.opening.day)
	}
	if s.closing != nil {
		out.Closing, out.ClosingDate = amount(s.currency, s.closing.minor), dayText(s.closing.day)
	}
	for _, of := range s.sums {
		currency := money.Currency(of.Currency)
		out.Sums = append(out.Sums, &reconciliationv1.StatementSum{
			Credits: amount(currency, of.Credits), Debits: amount(currency, of.Debits), Fees: amount(currency, of.Fees),
		})
	}
	return out
}

func lineToProto(l line) *reconciliationv1.StatementLine {
	out := &reconciliationv1.StatementLine{
		Line: int64(l.line), Kind: string(l.kind), Amount: &commonv1.Amount{CurrencyCode: string(l.amount.Currency), MinorUnits: l.amount.Minor},
		Fee:        &commonv1.Amount{CurrencyCode: string(l.amount.Currency), MinorUnits: l.fee},
		BookedDate: dayText(l.booked), ValueDate: dayText(l.value), ProviderId: l.providerID, ParentId: l.parentID, Key: l.idemKey,
		Reference: l.reference, PayoutId: l.payoutID, Note: l.note, MovementKey: l.key, Place: l.place,
	}
	if l.original.Currency != "" {
		out.Original = amountToProto(l.original)
	}
	return out
}
