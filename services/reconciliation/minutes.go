package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// minute is where money that moved at the provider is counted: by when the ledger took it, and as which kind of journal.
type minute struct {
	at       time.Time
	currency money.Currency
	kind     int16
}

func (m minute) compare(other minute) int {
	return cmp.Or(m.at.Compare(other.at), cmp.Compare(m.currency, other.currency), cmp.Compare(m.kind, other.kind))
}

// addMinutes counts movements that are new.
func (s store) addMinutes(ctx context.Context, fresh []ourMovement) error {
	sums := map[minute]int64{}
	for _, m := range fresh {
		kind, moved := journalOf[m.what]
		if !moved {
			continue
		}
		at := m.bookedAt.UTC().Truncate(time.Minute)
		sums[minute{at, m.amount.Currency, kind}] += m.signed()
		if !m.fee.IsZero() {
			sums[minute{at, m.fee.Currency, kind}] -= m.fee.Minor
		}
	}
	if len(sums) == 0 {
		return nil
	}
	var p reconciliationdb.AddMinutesParams
	for _, m := range slices.SortedFunc(maps.Keys(sums), minute.compare) {
		p.Minutes, p.Currencies = append(p.Minutes, m.at), append(p.Currencies, string(m.currency))
		p.Kinds, p.Minors = append(p.Kinds, m.kind), append(p.Minors, sums[m])
	}
	if err := s.q.AddMinutes(ctx, p); err != nil {
		return fmt.Errorf("counting movements: %w", err)
	}
	return nil
}
