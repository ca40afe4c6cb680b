package reconciliation

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// readFile gives a file. NOT_FOUND when there is none.
func (r *reconciliation) readFile(ctx context.Context, fid FileID) (*file, error) {
	return newStore(r.pool).file(ctx, fid)
}

// listFiles gives up to n files before one, newest first; of no account or state, of all.
func (r *reconciliation) listFiles(ctx context.Context, before FileID, account string, state fileState, n int32) ([]*file, error) {
	rows, err := newStore(r.pool).q.ListFiles(ctx, reconciliationdb.ListFilesParams{Before: before.UUID(), Account: account, State: int16(state), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing files: %w", err)
	}
	files := make([]*file, len(rows))
	for i, row := range rows {
		if files[i], err = fileOf(reconciliationdb.GetFileRow(row)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// readStatement gives a statement. NOT_FOUND when there is none.
func (r *reconciliation) readStatement(ctx context.Context, sid StatementID) (*statement, error) {
	row, err := newStore(r.pool).q.GetStatement(ctx, sid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noStatement(sid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading statement: %w", err)
	}
	return statementOf(row)
}

// statementFilter says which statements are listed.
type statementFilter struct {
	file        FileID // zero for all
	bankAccount string
	standing    standing
}

// listStatements gives up to n statements, newest file first and in the order of the file, from behind one.
func (r *reconciliation) listStatements(ctx context.Context, of statementFilter, before FileID, after, n int32) ([]*statement, error) {
	rows, err := newStore(r.pool).q.ListStatements(ctx, reconciliationdb.ListStatementsParams{
		Before: before.UUID(), After: after, OneFile: !of.file.IsZero(), BankAccount: of.bankAccount, Standing: int16(of.standing), N: n,
	})
	if err != nil {
		return nil, fmt.Errorf("listing statements: %w", err)
	}
	statements := make([]*statement, len(rows))
	for i, row := range rows {
		if statements[i], err = statementOf(reconciliationdb.GetStatementRow(row)); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// listLines gives up to n movements of a statement, or of a whole file, from behind a place.
func (r *reconciliation) listLines(ctx context.Context, target string, after int64, n int32) ([]line, error) {
	var of *file
	first, last := int64(1), int64(1)<<32-1
	fid, err := id.Parse[fileKind](target)
	if err != nil {
		sid, err := parseStatementID(target)
		if err != nil {
			return nil, err
		}
		s, err := r.readStatement(ctx, sid)
		if err != nil {
			return nil, err
		}
		fid, first, last = s.fileID, s.firstPlace, s.lastPlace
	}
	if of, err = r.readFile(ctx, fid); err != nil {
		return nil, err
	}
	base := movementID(of.delivery, 0)
	rows, err := newStore(r.pool).q.ListLines(ctx, reconciliationdb.ListLinesParams{After: base + max(after, first-1), Last: base + last, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing lines: %w", err)
	}
	lines := make([]line, len(rows))
	for i, m := range rows {
		lines[i] = line{
			place: m.ID - base, line: m.Line, key: m.Key.String(), kind: kindOf(match.Kind(m.Kind)),
			amount: money.Amount{Currency: money.Currency(m.Currency), Minor: m.AmountMinor}, fee: m.FeeMinor, booked: dayIn(m.Day),
			value: dayIn(m.OtherDay), providerID: m.ProviderID, parentID: m.ParentID, idemKey: m.IdemKey, reference: m.Reference,
			payoutID: m.PayoutID, note: m.Note, original: money.Amount{Currency: money.Currency(m.OriginalCurrency), Minor: m.OriginalMinor},
		}
		if of.stage == stageBank {
			lines[i].booked, lines[i].value = lines[i].value, lines[i].booked
		}
		if lines[i].booked == noDay {
			lines[i].booked = lines[i].value
		}
	}
	return lines, nil
}

// kindOf is what a kind is called.
func kindOf(k match.Kind) formats.Kind {
	for name, is := range kinds {
		if is == k {
			return name
		}
	}
	return ""
}
