package reconciliation

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// reportLine is what an explanation, or the timing, is made of.
type reportLine struct {
	at                               lineKey
	stage                            stage
	code                             string
	amount                           int64 // minor units that our books have more
	day, until                       match.Day
	movements                        int64
	ids                              []MovementID // of a few
	reference, providerID, paymentID string
}

// The sections of lines, in their order.
const (
	linesOpen    = 1 // movements that are open
	linesNotes   = 2 // what was found about what is matched
	linesByHand  = 3 // matches that people made and that do not come to nothing
	linesTransit = 4 // what is on its way
	linesEnd     = 5
)

// lineKey is where a line stands: its section, and up to three numbers within it.
type lineKey struct {
	section int
	a, b, c int64
}

// String is the key as a page token has it.
func (k lineKey) String() string { return fmt.Sprintf("%d/%d/%d/%d", k.section, k.a, k.b, k.c) }

// parseLineKey reads what String wrote; the begin for "".
func parseLineKey(text string) (lineKey, error) {
	if text == "" {
		return lineKey{section: linesOpen}, nil
	}
	var k lineKey
	if n, err := fmt.Sscanf(text, "%d/%d/%d/%d", &k.section, &k.a, &k.b, &k.c); n != 4 || err != nil || k.section < linesOpen || k.section >= linesEnd {
		return k, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return k, nil
}

// reportLines gives up to n lines behind a key.
func (r *reconciliation) reportLines(ctx context.Context, q reportQuery, after lineKey, n int32) (lines []*reportLine, err error) {
	err = r.reading(ctx, q, func(ctx context.Context, reader *reporter) error {
		sections := map[int]func(context.Context, lineKey, int32) ([]*reportLine, error){
			linesOpen: reader.openLines, linesNotes: reader.noteLines, linesByHand: reader.byHandLines, linesTransit: reader.transitLines,
		}
		for ; after.section < linesEnd && len(lines) < int(n); after = (lineKey{section: after.section + 1}) {
			more, err := sections[after.section](ctx, after, n-int32(len(lines)))
			if err != nil {
				return fmt.Errorf("reading lines: %w", err)
			}
			lines = append(lines, more...)
		}
		return nil
	})
	return lines, err
}

func (r *reporter) openLines(ctx context.Context, after lineKey, n int32) ([]*reportLine, error) {
	rows, err := r.q.ReportOpenLines(ctx, reconciliationdb.ReportOpenLinesParams{
		Run: r.number, Finished: r.finished, Places: r.places, Until: dateOf(r.to), After: after.a, N: n,
	})
	lines := make([]*reportLine, len(rows))
	for i, row := range rows {
		lines[i] = &reportLine{
			at: lineKey{section: linesOpen, a: row.ID}, stage: stage(row.Stage), code: row.Code, amount: row.AmountMinor, day: dayIn(row.Day),
			movements: 1, ids: []MovementID{MovementID(row.Key)}, reference: row.Reference, providerID: row.ProviderID, paymentID: row.PaymentID,
		}
	}
	return lines, err
}

func (r *reporter) noteLines(ctx context.Context, after lineKey, n int32) ([]*reportLine, error) {
	rows, err := r.q.ReportNoteLines(ctx, reconciliationdb.ReportNoteLinesParams{
		Run: r.number, Places: r.places, Until: dateOf(r.to), AfterPartition: int32(after.a), AfterRun: int32(after.b), AfterPlace: int32(after.c), N: n,
	})
	if err != nil {
		return nil, err
	}
	var about []int64
	for _, row := range rows {
		about = append(about, row.Movements...)
	}
	movements, err := r.q.ListSighted(ctx, about)
	byID := make(map[int64]reconciliationdb.ListSightedRow, len(movements))
	for _, m := range movements {
		byID[m.ID] = m
	}
	lines := make([]*reportLine, len(rows))
	for i, row := range rows {
		l := &reportLine{
			at: lineKey{linesNotes, int64(row.PartitionID), int64(row.RunNumber), int64(row.Place)}, stage: stage(row.Stage), code: row.Code,
			amount: row.DriftMinor, day: dayIn(row.Day), movements: int64(len(row.Movements)),
		}
		for _, id := range row.Movements[:min(len(row.Movements), maxNamed)] {
			m := byID[id]
			l.ids = append(l.ids, MovementID(uuid.UUID(m.Key)))
			if l.paymentID == "" {
				l.paymentID = m.PaymentID
			}
			if l.reference == "" {
				l.reference = m.Reference
			}
		}
		lines[i] = l
	}
	return lines, err
}

// maxNamed is how many movements a line names.
const maxNamed = 20

func (r *reporter) byHandLines(ctx context.Context, after lineKey, n int32) ([]*reportLine, error) {
	behind := after.a
	if behind == 0 {
		behind = math.MinInt64 // matches by hand have ids less than zero
	}
	rows, err := r.q.ReportByHand(ctx, reconciliationdb.ReportByHandParams{Places: r.places, Until: dateOf(r.to), After: behind, N: n})
	lines := make([]*reportLine, len(rows))
	for i, row := range rows {
		lines[i] = &reportLine{
			at: lineKey{section: linesByHand, a: row.ID}, stage: stage(row.Stage), code: codeByHand, amount: row.AmountMinor,
			day: dayIn(row.Day), movements: row.Movements,
		}
	}
	return lines, err
}

// transitLines are few: a line for each pair of days. They come all at once, behind what was sent of them.
func (r *reporter) transitLines(ctx context.Context, after lineKey, n int32) ([]*reportLine, error) {
	rows, err := r.q.ReportTransitLines(ctx, reconciliationdb.ReportTransitLinesParams{Places: r.places, Run: r.number, Until: dateOf(r.to)})
	var lines []*reportLine
	for i, row := range rows {
		if int64(i) < after.a || len(lines) == int(n) {
			continue
		}
		lines = append(lines, &reportLine{
			at: lineKey{section: linesTransit, a: int64(i) + 1}, stage: stage(row.Stage), code: codeInTransit, amount: row.AmountMinor,
			day: dayIn(row.Since), until: dayIn(row.Until), movements: row.Legs,
		})
	}
	return lines, err
}
