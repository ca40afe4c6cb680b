package reconciliation

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// finish decides on a file of which everything is written: it is quarantined, held or accepted, unless its content has been
// accepted meanwhile.
func (b *bringing) finish(ctx context.Context, from request, said []idem.Field, read *content) (imported, error) {
	r, sum := b.r, read.Sum(nil)
	once := from.idem(methodImport, r.keyTTL, append(said, idem.Field{Name: "chunk", Value: hex.EncodeToString(sum)})...)
	answer, err := idem.Once(ctx, r.pool, once, func(ctx context.Context, tx *pg.Tx) (imported, string, error) {
		st := newStore(tx)
		if err := st.holdFile(ctx, b.w.file, b.w.attempt); err != nil {
			return imported{}, "", err
		}
		first, found, err := r.repeat(ctx, tx, header{reading: b.asked}, sum)
		if err != nil || found {
			return imported{first, true}, first.String(), err
		}
		return imported{File: b.w.file}, b.w.file.String(), b.decide(ctx, tx, sum, read.size)
	})
	if err == nil && answer.File == b.w.file && b.t.failing > 0 {
		err = r.clear(ctx, b.w.file)
	}
	return answer, err
}

// decide writes what a file came to.
func (b *bringing) decide(ctx context.Context, tx *pg.Tx, sum []byte, size int64) error {
	st, t := newStore(tx), b.t
	proofs, err := json.Marshal(t.failingProofs)
	if err != nil {
		return fmt.Errorf("encoding proofs: %w", err)
	}
	p := reconciliationdb.CompleteFileParams{
		ID: b.w.file.UUID(), State: int16(fileHeld), Sha256: sum, SizeBytes: size, Lines: t.lines, Pending: t.pending,
		PayoutLines: t.payoutLines, Statements: int32(len(t.statements)), Proofs: t.proofs, Failing: t.failing, FailingProofs: proofs,
	}
	is := standingTaken
	if t.failing > 0 {
		is, p.State, p.Clearing = standingRefused, int16(fileQuarantined), true
		p.Note = fmt.Sprintf("%d of %d proofs do not hold; %s", t.failing, t.proofs, t.failingProofs[0])
	}
	if err := st.q.CompleteFile(ctx, p); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	if err := st.insertStatements(ctx, tx, b.w.file, is, t.statements); err != nil {
		return err
	}
	if err := st.q.DropRepeated(ctx, b.w.delivery); err != nil {
		return fmt.Errorf("removing repeated lines: %w", err)
	}
	if err := st.setDeliveries(ctx, b.w.file); err != nil {
		return err
	}
	if t.failing > 0 {
		tx.AfterCommit(func() { b.r.imports.decided(ctx, fileQuarantined, t.lines) })
		return b.r.sightQuarantine(ctx, tx, b.w.file, b.h.Account, t)
	}
	err = st.q.MeasureOverlap(ctx, reconciliationdb.MeasureOverlapParams{FileID: b.w.file.UUID(), DeliveryID: int64(b.w.delivery)})
	if err != nil {
		return fmt.Errorf("measuring overlap: %w", err)
	}
	return b.r.settle(ctx, tx)
}

// settle judges all files that are held, and accepts those of which nothing is held any more. The caller has locked decisions.
func (r *reconciliation) settle(ctx context.Context, tx *pg.Tx) error {
	st := newStore(tx)
	held, others, err := st.held(ctx)
	if err != nil {
		return err
	}
	settleAll(held, others)
	for _, f := range held {
		if err := st.setStandings(ctx, f.statements); err != nil {
			return err
		}
		wrong := slices.DeleteFunc(slices.Clone(f.statements), func(s *entry) bool { return !s.standing.held() })
		switch {
		case f.accepted:
			err = r.accept(ctx, tx, f.ListHeldRow)
		case len(wrong) > 0:
			err = st.setNote(ctx, FileID(f.ID), fmt.Sprintf("%s %s", statementName(wrong[0]), wrong[0].note))
		default:
			err = st.setNote(ctx, FileID(f.ID), fmt.Sprintf("has lines that file %s has, which does not count yet", FileID(f.waits[0])))
		}
		if err != nil {
			return err
		}
		if err := r.sightHeld(ctx, tx, FileID(f.ID), f.Account, wrong); err != nil {
			return err
		}
	}
	return nil
}

// accept makes the movements of a file count, and those of what it pays out.
func (r *reconciliation) accept(ctx context.Context, tx *pg.Tx, f reconciliationdb.ListHeldRow) error {
	st := newStore(tx)
	if f.PayoutsID != nil {
		if err := st.payOut(ctx, f); err != nil {
			return err
		}
	}
	if err := st.setFile(ctx, FileID(f.ID), fileAccepted, ""); err != nil {
		return err
	}
	tx.AfterCommit(func() { r.imports.decided(ctx, fileAccepted, f.Movements) })
	return st.setDeliveries(ctx, FileID(f.ID))
}

// payOut makes the payouts of a report: what each comes to is the net of its lines, which fits, for all lines together do.
func (s store) payOut(ctx context.Context, f reconciliationdb.ListHeldRow) error {
	currencies, err := s.q.CurrenciesOf(ctx, f.ID)
	if err != nil {
		return fmt.Errorf("reading the currencies of payouts: %w", err)
	}
	accounts := slices.Repeat([]string{f.Account}, len(currencies))
	_, err = s.q.PutPartitions(ctx, reconciliationdb.PutPartitionsParams{Stage: int16(stageBank), Accounts: accounts, Currencies: currencies})
	if err != nil {
		return fmt.Errorf("making partitions: %w", err)
	}
	err = s.q.InsertPayouts(ctx, reconciliationdb.InsertPayoutsParams{
		PayoutsID: int64(*f.PayoutsID), DeliveryID: int64(f.DeliveryID), Account: f.Account, Content: hex.EncodeToString(f.Sha256),
	})
	if err != nil {
		return fmt.Errorf("writing payouts: %w", err)
	}
	return nil
}
