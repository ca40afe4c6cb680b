package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// watcherName is who looks for breaks of files.
const watcherName = "import"

// seeFile tells what is wrong with a file. What was wrong with it before and is not told again has vanished.
func (r *reconciliation) seeFile(ctx context.Context, tx *pg.Tx, fid FileID, sightings ...sighting) error {
	if _, err := r.sight(ctx, tx, watcher{name: watcherName, scope: "file/" + fid.String()}, 0, sightings, true); err != nil {
		return fmt.Errorf("telling of a file: %w", err)
	}
	return nil
}

// sightQuarantine tells of a file of which a proof does not hold.
func (r *reconciliation) sightQuarantine(ctx context.Context, tx *pg.Tx, fid FileID, account string, t *taking) error {
	first := t.failingProofs[0]
	s := sighting{code: breaks.BatchControl, subject: fid.String(), account: account}
	if len(t.statements) > 0 {
		s.amount = money.Amount{Currency: t.statements[0].currency}
	}
	err := s.tell(map[string]any{
		"file": t.h.name, "line": first.At, "rule": first.Rule, "stated": first.Stated, "computed": first.Computed, "failing": t.failing,
	})
	if err != nil {
		return err
	}
	return r.seeFile(ctx, tx, fid, s)
}

// sightHeld tells of the statements of a file that are held.
func (r *reconciliation) sightHeld(ctx context.Context, tx *pg.Tx, fid FileID, account string, held []*entry) error {
	sightings := make([]sighting, len(held))
	for i, e := range held {
		code := breaks.SequenceGap
		if e.standing == standingOverlap {
			code = breaks.OverlappingStatement
		}
		sightings[i] = sighting{code: code, subject: statementName(e), account: account, amount: money.Amount{Currency: e.currency}}
		if err := sightings[i].tell(map[string]any{"file_id": fid.String(), "why": e.note}); err != nil {
			return err
		}
	}
	return r.seeFile(ctx, tx, fid, sightings...)
}

// sightRepeat tells that a file came again. It is dropped, and that is all; nothing makes it vanish.
func (r *reconciliation) sightRepeat(ctx context.Context, tx *pg.Tx, first FileID, account string) error {
	s := sighting{code: breaks.DuplicateFile, subject: first.String(), account: account}
	if _, err := r.sight(ctx, tx, watcher{name: watcherName}, 0, []sighting{s}, false); err != nil {
		return fmt.Errorf("telling of a file that came again: %w", err)
	}
	return nil
}

// tell says more of a sighting.
func (s *sighting) tell(detail map[string]any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encoding what was seen: %w", err)
	}
	s.detail = string(text)
	return nil
}

// importMetrics are the instruments of imports.
type importMetrics struct {
	files, lines metric.Int64Counter
}

func newImportMetrics(m metric.Meter) (importMetrics, error) {
	files, err1 := m.Int64Counter("tieout.reconciliation.files",
		metric.WithDescription("Files that were taken in, by what became of them at first, and those held that were accepted later."))
	lines, err2 := m.Int64Counter("tieout.reconciliation.lines",
		metric.WithDescription("Movements of files that were accepted."))
	all := importMetrics{files: files, lines: lines}
	if err := errors.Join(err1, err2); err != nil {
		return all, err
	}
	ctx := context.Background()
	for _, state := range []fileState{fileAccepted, fileHeld, fileQuarantined} {
		files.Add(ctx, 0, metric.WithAttributes(attribute.String("state", state.String())))
	}
	files.Add(ctx, 0, duplicateFile)
	lines.Add(ctx, 0)
	return all, nil
}

// decided counts a file, and the movements of one that was accepted.
func (m importMetrics) decided(ctx context.Context, to fileState, movements int64) {
	m.files.Add(ctx, 1, metric.WithAttributes(attribute.String("state", to.String())))
	if to == fileAccepted {
		m.lines.Add(ctx, movements)
	}
}

// duplicateFile is a file that came again, as an attribute.
var duplicateFile = metric.WithAttributes(attribute.String("state", "duplicate"))

// repeated counts a file that came again.
func (m importMetrics) repeated(ctx context.Context) {
	m.files.Add(ctx, 1, duplicateFile)
}
