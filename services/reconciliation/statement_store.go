package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// dateOf is a day as a column; NULL for noDay.
func dateOf(d match.Day) pgtype.Date {
	if d == noDay {
		return pgtype.Date{}
	}
	return pgtype.Date{Time: time.Unix(int64(d)*86400, 0).UTC(), Valid: true}
}

// dayIn is the day of a column; noDay for NULL.
func dayIn(d pgtype.Date) match.Day {
	if !d.Valid {
		return noDay
	}
	return dayOf(d.Time)
}

// dayText is a day as people write it; nothing for noDay.
func dayText(d match.Day) string {
	if d == noDay {
		return ""
	}
	return dateOf(d).Time.Format(time.DateOnly)
}

func yearOf(d match.Day) int { return dateOf(d).Time.Year() }

func balanceOf(minor *int64, day pgtype.Date) *balance {
	if minor == nil {
		return nil
	}
	return &balance{*minor, dayIn(day)}
}

// columns are a balance as two columns.
func (b *balance) columns() (minor *int64, day pgtype.Date) {
	if b == nil {
		return nil, pgtype.Date{}
	}
	return &b.minor, dateOf(b.day)
}

// insertStatements writes the statements of a file.
func (s store) insertStatements(ctx context.Context, tx *pg.Tx, fid FileID, is standing, statements []*statement) error {
	columns := []string{
		"id", "file_id", "number", "standing", "sender_id", "bank_account", "series", "currency", "sequence", "page", "opening_minor",
		"opening_day", "closing_minor", "closing_day", "first_day", "last_day", "lines", "pending", "unkeyed", "sums", "first_place",
		"last_place", "overlapping", "overlap_minor",
	}
	rows := pgx.CopyFromSlice(len(statements), func(i int) ([]any, error) {
		t := statements[i]
		sums := t.sums
		if sums == nil {
			sums = []sum{}
		}
		text, err := json.Marshal(sums)
		if err != nil {
			return nil, fmt.Errorf("encoding sums: %w", err)
		}
		opening, openingDay := t.opening.columns()
		closing, closingDay := t.closing.columns()
		return []any{
			t.id.UUID(), fid.UUID(), t.number, int16(is), t.senderID, t.bankAccount, t.series, string(t.currency), t.sequence, t.page, opening,
			openingDay, closing, closingDay, dateOf(t.first), dateOf(t.last), t.lines, t.pending, t.unkeyed, text, t.firstPlace,
			t.lastPlace, int64(0), int64(0),
		}, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"statement"}, columns, rows); err != nil {
		return fmt.Errorf("writing statements: %w", err)
	}
	return nil
}

func (s store) setDeliveries(ctx context.Context, fid FileID) error {
	if err := s.q.SetDeliveries(ctx, fid.UUID()); err != nil {
		return fmt.Errorf("writing deliveries: %w", err)
	}
	return nil
}

func (s store) setFile(ctx context.Context, fid FileID, to fileState, note string) error {
	if err := s.q.SetFile(ctx, reconciliationdb.SetFileParams{ID: fid.UUID(), State: int16(to), Note: note}); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	return nil
}

func (s store) setNote(ctx context.Context, fid FileID, note string) error {
	if err := s.q.SetNote(ctx, reconciliationdb.SetNoteParams{ID: fid.UUID(), Note: note}); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	return nil
}

func (s store) setStandings(ctx context.Context, changed []*entry) error {
	if len(changed) == 0 {
		return nil
	}
	var p reconciliationdb.SetStandingsParams
	for _, e := range changed {
		p.Ids, p.Standings, p.Notes = append(p.Ids, e.id), append(p.Standings, int16(e.standing)), append(p.Notes, e.note)
	}
	if err := s.q.SetStandings(ctx, p); err != nil {
		return fmt.Errorf("writing statements: %w", err)
	}
	return nil
}

// held are the files that are held, with their statements, and those statements that count of the same series.
func (s store) held(ctx context.Context) (held []*heldFile, others []*entry, err error) {
	rows, err := s.q.ListHeld(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("listing files that are held: %w", err)
	}
	var series reconciliationdb.ListSeriesParams
	seen := map[seriesKey]bool{}
	for _, row := range rows {
		f := &heldFile{ListHeldRow: row}
		if f.statements, err = s.entries(ctx, row.ID, formats.Format(row.Format)); err != nil {
			return nil, nil, err
		}
		if err := s.lean(ctx, f); err != nil {
			return nil, nil, err
		}
		for _, e := range f.statements {
			if key := (seriesKey{e.series, e.currency}); !seen[key] {
				seen[key] = true
				series.Series, series.Currencies = append(series.Series, key.series), append(series.Currencies, string(key.currency))
			}
		}
		held = append(held, f)
	}
	counted, err := s.q.ListSeries(ctx, series)
	if err != nil {
		return nil, nil, fmt.Errorf("reading series of statements: %w", err)
	}
	for _, r := range counted {
		others = append(others, &entry{
			id: r.ID, file: r.FileID, format: formats.Format(r.Format), series: r.Series, currency: money.Currency(r.Currency), sequence: r.Sequence,
			page: r.Page, opening: balanceOf(r.OpeningMinor, r.OpeningDay), closing: balanceOf(r.ClosingMinor, r.ClosingDay),
			first: dayIn(r.FirstDay), last: dayIn(r.LastDay), lines: r.Lines, unkeyed: r.Unkeyed,
		})
	}
	return held, others, nil
}

// entries are the statements of a file.
func (s store) entries(ctx context.Context, file uuid.UUID, format formats.Format) ([]*entry, error) {
	rows, err := s.q.ListToJudge(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("reading statements: %w", err)
	}
	entries := make([]*entry, len(rows))
	for i, r := range rows {
		entries[i] = &entry{
			id: r.ID, file: file, format: format, series: r.Series, currency: money.Currency(r.Currency), sequence: r.Sequence, page: r.Page,
			opening: balanceOf(r.OpeningMinor, r.OpeningDay), closing: balanceOf(r.ClosingMinor, r.ClosingDay),
			first: dayIn(r.FirstDay), last: dayIn(r.LastDay), lines: r.Lines, unkeyed: r.Unkeyed, places: int64(r.Places),
			overlapping: r.Overlapping, standing: standing(r.Standing), note: r.Note,
		}
	}
	return entries, nil
}

// lean finds the files that have lines of a file, and those of them that do not count.
func (s store) lean(ctx context.Context, f *heldFile) error {
	rows, err := s.q.FilesOfDeliveries(ctx, f.LeansOn)
	if err != nil {
		return fmt.Errorf("reading files that have the same lines: %w", err)
	}
	f.leans = map[uuid.UUID]bool{}
	for _, r := range rows {
		f.leans[r.ID] = true
		if fileState(r.State) != fileAccepted {
			f.waits = append(f.waits, r.ID)
		}
	}
	return nil
}

func (s store) file(ctx context.Context, fid FileID) (*file, error) {
	row, err := s.q.GetFile(ctx, fid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noFile(fid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading file: %w", err)
	}
	return fileOf(row)
}

func fileOf(row reconciliationdb.GetFileRow) (*file, error) {
	f := &file{
		id: FileID(row.ID), state: fileState(row.State), name: row.Name, account: row.Account, format: formats.Format(row.Format),
		stage: stage(row.Stage), sha256: row.Sha256, control: row.Control, size: row.SizeBytes, delivery: row.DeliveryID,
		statements: row.Statements, lines: row.Lines, pending: row.Pending, payoutLines: row.PayoutLines, movements: row.Movements,
		overlapping: row.Overlapping, proofs: row.Proofs, failing: row.Failing, note: row.Note, repeats: row.Repeats,
		createdBy: row.CreatedBy, createdAt: row.CreatedAt,
	}
	if row.DecidedAt != nil {
		f.decidedAt = *row.DecidedAt
	}
	if err := json.Unmarshal(row.FailingProofs, &f.failingProofs); err != nil {
		return nil, fmt.Errorf("decoding proofs of file %s: %w", f.id, err)
	}
	return f, nil
}

func statementOf(row reconciliationdb.GetStatementRow) (*statement, error) {
	s := &statement{
		id: StatementID(row.ID), fileID: FileID(row.FileID), number: row.Number, standing: standing(row.Standing), note: row.Note,
		senderID: row.SenderID, bankAccount: row.BankAccount, currency: money.Currency(row.Currency), sequence: row.Sequence, page: row.Page,
		opening: balanceOf(row.OpeningMinor, row.OpeningDay), closing: balanceOf(row.ClosingMinor, row.ClosingDay),
		lines: row.Lines, pending: row.Pending, overlapping: row.Overlapping, firstPlace: row.FirstPlace, lastPlace: row.LastPlace,
	}
	if err := json.Unmarshal(row.Sums, &s.sums); err != nil {
		return nil, fmt.Errorf("decoding sums of statement %s: %w", s.id, err)
	}
	return s, nil
}
