package reconciliation

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// again tells what of a piece is there already.
type again struct {
	*copier
	st      store
	next    map[[16]byte]int32                             // how many lines with the key the file has had
	there   map[[16]byte]reconciliationdb.FindMovementsRow // by key
	written *reconciliationdb.WritePieceParams
}

// sort gives the rows that are new, each with the key of its occurrence, and counts the others.
func (a *again) sort(ctx context.Context, rows []movement) ([]movement, error) {
	if err := a.look(ctx, rows); err != nil {
		return nil, err
	}
	keys, repeated := make([]uuid.UUID, len(rows)), []uuid.UUID{}
	for i := range rows {
		n := a.next[rows[i].key]
		a.next[rows[i].key]++
		if keys[i] = occurrence(rows[i].key, n); n > 0 {
			repeated = append(repeated, keys[i])
		}
	}
	if err := a.find(ctx, repeated); err != nil {
		return nil, err
	}
	var fresh []movement
	counted := map[uuid.UUID]bool{}
	for i := range rows {
		m := rows[i]
		found, there := a.there[keys[i]]
		if there || keys[i] != m.key {
			counted[m.key] = true
		}
		if !there {
			m.key = keys[i]
			fresh = append(fresh, m)
			continue
		}
		if a.own(found.ID) {
			return nil, fmt.Errorf("line %d is there already under the same key", m.line)
		}
		a.overlap(&m, found)
	}
	return fresh, a.keep(ctx, counted)
}

// look finds out which of the keys are there, and how often the file has had each.
func (a *again) look(ctx context.Context, rows []movement) error {
	keys := make([]uuid.UUID, len(rows))
	for i := range rows {
		keys[i] = rows[i].key
	}
	if err := a.find(ctx, keys); err != nil {
		return err
	}
	for key, found := range a.there {
		if a.own(found.ID) {
			a.next[key] = 1
		}
	}
	repeated, err := a.st.q.FindRepeated(ctx, reconciliationdb.FindRepeatedParams{DeliveryID: a.delivery, Keys: keys})
	if err != nil {
		return fmt.Errorf("looking for repeated lines: %w", err)
	}
	for _, r := range repeated {
		a.next[r.Key] = r.Seen
	}
	return nil
}

func (a *again) find(ctx context.Context, keys []uuid.UUID) error {
	if len(keys) == 0 {
		return nil
	}
	found, err := a.st.q.FindMovements(ctx, keys)
	if err != nil {
		return fmt.Errorf("looking for movements: %w", err)
	}
	for _, m := range found {
		a.there[m.Key] = m
	}
	return nil
}

// own tells whether a movement is of this file.
func (a *again) own(movementID int64) bool {
	of := int32(movementID >> 32)
	return of == a.delivery || of == a.payouts && of != 0
}

// overlap counts a line that is a movement of another file. What the provider calls the same must say the same there.
func (a *again) overlap(m *movement, found reconciliationdb.FindMovementsRow) {
	of := int32(found.ID >> 32)
	if !slices.Contains(a.written.LeansOn, of) {
		a.written.LeansOn = append(a.written.LeansOn, of)
	}
	if m.delivery == a.delivery {
		a.written.Overlapping++
		a.written.Movements--
	}
	partition := a.partitions[partitionKey{m.stage, m.currency}]
	if m.amount == found.AmountMinor && m.fee == found.FeeMinor && partition == found.PartitionID && m.day == dayOf(found.Day.Time) {
		return
	}
	a.written.Differing++
	if a.written.Difference == "" {
		is := money.Amount{Currency: m.currency, Minor: m.amount}
		was := fmt.Sprintf("%d in minor units", found.AmountMinor)
		if partition == found.PartitionID {
			was = money.Amount{Currency: m.currency, Minor: found.AmountMinor}.String()
		}
		a.written.Difference = fmt.Sprintf("line %d says %s with a fee of %d in minor units, on %s; it is there already with %s, %d, %s",
			m.line, is, m.fee, dayText(m.day), was, found.FeeMinor, found.Day.Time.Format("2006-01-02"))
	}
}

// keep keeps how often the file has had the keys that do not say it by themselves: of the first line with a key, which is a
// movement of this file, that is seen by the movement.
func (a *again) keep(ctx context.Context, keys map[uuid.UUID]bool) error {
	if len(keys) == 0 {
		return nil
	}
	p := reconciliationdb.PutRepeatedParams{DeliveryID: a.delivery}
	for key := range keys {
		p.Keys, p.Seen = append(p.Keys, key), append(p.Seen, a.next[key])
	}
	if err := a.st.q.PutRepeated(ctx, p); err != nil {
		return fmt.Errorf("counting repeated lines: %w", err)
	}
	return nil
}
