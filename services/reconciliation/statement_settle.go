package reconciliation

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
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

// settle judges all files that are held, until nothing changes any more: one that is accepted may be what another one has
// waited for. The caller has locked decisions.
func (r *reconciliation) settle(ctx context.Context, tx *pg.Tx) error {
	for again := true; again; {
		again = false
		held, err := newStore(tx).q.ListHeld(ctx)
		if err != nil {
			return fmt.Errorf("listing files that are held: %w", err)
		}
		for _, f := range held {
			accepted, err := r.judgeFile(ctx, tx, f)
			if err != nil {
				return err
			}
			again = again || accepted
		}
	}
	return nil
}

// judgeFile judges the statements of a file that is held, and accepts it when none of them is held any more.
func (r *reconciliation) judgeFile(ctx context.Context, tx *pg.Tx, f reconciliationdb.ListHeldRow) (accepted bool, err error) {
	st := newStore(tx)
	own, others, err := st.entries(ctx, f)
	if err != nil {
		return false, err
	}
	leans, waits, err := st.leaning(ctx, f)
	if err != nil {
		return false, err
	}
	if err := st.setStandings(ctx, judgeAll(own, others, leans, f.Difference)); err != nil {
		return false, err
	}
	held := slices.DeleteFunc(slices.Clone(own), func(s *entry) bool { return !s.standing.held() })
	switch {
	case len(held) > 0:
		err = st.setNote(ctx, FileID(f.ID), fmt.Sprintf("%s %s", statementName(held[0]), held[0].note))
	case waits != "":
		err = st.setNote(ctx, FileID(f.ID), waits)
	default:
		accepted, err = true, r.accept(ctx, tx, f)
	}
	if err != nil {
		return false, err
	}
	return accepted, r.sightHeld(ctx, tx, FileID(f.ID), f.Account, held)
}

// judgeAll judges the statements of a file, from the first to the last and back, until nothing changes any more: each may be
// what another one continues. It gives those that changed. What a person has decided stays.
func judgeAll(own, others []*entry, leans map[uuid.UUID]bool, difference string) (changed []*entry) {
	before := make(map[*entry]entry, len(own))
	open, counted := []*entry{}, map[seriesKey][]*entry{}
	for _, t := range others {
		counted[t.seriesKey()] = append(counted[t.seriesKey()], t)
	}
	for _, s := range own {
		before[s] = *s
		switch s.standing {
		case standingReleased:
			counted[s.seriesKey()] = append(counted[s.seriesKey()], s)
		case standingDropped, standingRefused:
		default:
			open = append(open, s)
		}
	}
	for again := true; again; {
		again = false
		left := open[:0:0]
		for _, s := range open {
			s.standing, s.note = judgeStatement(s, counted[s.seriesKey()], leans)
			if difference != "" && s.overlapping > 0 {
				s.standing, s.note = standingOverlap, difference
			}
			switch {
			case s.standing.held():
				left = append(left, s)
			case s.standing == standingTaken:
				counted[s.seriesKey()] = append(counted[s.seriesKey()], s)
				again = true
			}
		}
		slices.Reverse(left)
		open = left
	}
	for _, s := range own {
		if was := before[s]; was.standing != s.standing || was.note != s.note {
			changed = append(changed, s)
		}
	}
	return changed
}

// seriesKey is what statements have in common that continue each other.
type seriesKey struct {
	series   string
	currency money.Currency
}

func (s *entry) seriesKey() seriesKey { return seriesKey{s.series, s.currency} }

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
	currencies, err := s.q.CurrenciesOf(ctx, int64(f.DeliveryID))
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
