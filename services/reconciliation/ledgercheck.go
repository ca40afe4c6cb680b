package reconciliation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	// overlap is how much of what was compared is compared again: a journal may be there only after its time.
	overlap = 2 * time.Minute
	// reread is how much is compared again when the whole balance does not agree.
	reread = 24 * time.Hour
	// maxDiffering is how many minutes that differ are looked into at once, each no sooner again than readAgain.
	maxDiffering = 10
	readAgain    = 10 * time.Minute
)

// clearing is what the provider holds, in the ledger.
const clearing = "provider_clearing"

// compareOnce compares what the ledger says that moved at the provider with our movements, minute by minute, as far as the
// minutes are older than the grace. Of a minute that differs its journals are read; movements that no event has told are taken
// in. What is still different is a break of the ledger, until it agrees.
func (t *ties) compareOnce(ctx context.Context) (again bool, err error) {
	st := newStore(t.pool)
	at, err := st.ledgerProgress(ctx)
	if err != nil {
		return false, err
	}
	until := at.now.Add(-t.tieOut.Grace).Truncate(time.Minute)
	if waiting, err := t.waiting(ctx); err != nil || waiting > manyWaiting {
		return false, err // what is late is not lost
	}
	if at.through.Before(until) {
		through, err := t.readMinutes(ctx, at.through, until)
		if err != nil {
			return false, err
		}
		again = through.Before(until)
	}
	differing, err := st.q.DifferingMinutes(ctx, reconciliationdb.DifferingMinutesParams{AgainSeconds: readAgain.Seconds(), N: maxDiffering})
	if err != nil {
		return false, fmt.Errorf("looking for minutes that differ: %w", err)
	}
	slices.SortFunc(differing, time.Time.Compare)
	differing = slices.CompactFunc(differing, time.Time.Equal) // a row for each currency and kind
	for _, from := range differing {
		if err := t.lookInto(ctx, from.UTC()); err != nil {
			return false, err
		}
	}
	again = again || len(differing) == maxDiffering
	if err := t.sightMinutes(ctx); err != nil {
		return false, err
	}
	if !again && at.now.Sub(at.balanceAt) >= t.tieOut.BalanceEvery {
		return false, t.compareBalance(ctx, until)
	}
	return again, nil
}

// progress is how far the ledger was compared.
type progress struct {
	through   time.Time // minute by minute; zero for not at all
	balanceAt time.Time // when the whole balance was
	now       time.Time
}

func (s store) ledgerProgress(ctx context.Context) (p progress, err error) {
	row, err := s.q.LedgerProgress(ctx)
	if err != nil {
		return p, fmt.Errorf("reading how far the ledger was compared: %w", err)
	}
	p.now = row.Now
	if row.Through != nil {
		p.through = row.Through.UTC()
	}
	if row.BalanceAt != nil {
		p.balanceAt = *row.BalanceAt
	}
	return p, nil
}

// readMinutes writes what the ledger says of minutes, from a little before a time, and marks those that differ. It gives how
// far it has come.
func (t *ties) readMinutes(ctx context.Context, since, until time.Time) (through time.Time, err error) {
	if !since.IsZero() {
		since = since.Add(-overlap)
	}
	moved, through, err := t.owners.turnover(ctx, since, until)
	if err != nil {
		return through, err
	}
	return through, pg.InTx(ctx, t.pool, func(tx *pg.Tx) error { return newStore(tx).putTurnover(ctx, moved, since, through) })
}

// putTurnover writes what the ledger says of the minutes from one time on and before another.
func (s store) putTurnover(ctx context.Context, moved map[minute]int64, since, through time.Time) error {
	p := reconciliationdb.PutTurnoverParams{}
	for _, m := range slices.SortedFunc(maps.Keys(moved), minute.compare) {
		p.Minutes, p.Currencies = append(p.Minutes, m.at), append(p.Currencies, string(m.currency))
		p.Kinds, p.Minors = append(p.Kinds, m.kind), append(p.Minors, moved[m])
	}
	err := errors.Join(
		s.q.ClearTurnover(ctx, reconciliationdb.ClearTurnoverParams{Since: since, Through: through}),
		s.q.PutTurnover(ctx, p),
		s.q.MarkDiffering(ctx, reconciliationdb.MarkDifferingParams{Since: since, Through: through}),
		s.q.SetLedgerThrough(ctx, through),
	)
	if err != nil {
		return fmt.Errorf("writing the turnover: %w", err)
	}
	return nil
}

// lookInto takes in the movements of a minute that no event has told, and compares it again.
func (t *ties) lookInto(ctx context.Context, from time.Time) error {
	var missing []ourMovement
	err := t.owners.bookedIn(ctx, from, func(booked []ourMovement) error {
		unknown, err := newStore(t.pool).unknownOf(ctx, booked)
		missing = append(missing, unknown...)
		return err
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(missing, page) {
		if err := t.takeInMissing(ctx, some); err != nil {
			return err
		}
	}
	return newStore(t.pool).q.MarkDiffering(ctx, reconciliationdb.MarkDifferingParams{Since: from, Through: from.Add(time.Minute)})
}

// takeInMissing takes in movements that the ledger has and no event has told.
func (t *ties) takeInMissing(ctx context.Context, missing []ourMovement) error {
	if err := t.owners.complete(ctx, missing); err != nil {
		return err
	}
	return pg.InTx(ctx, t.pool, func(tx *pg.Tx) error {
		fresh, err := t.takeIn(ctx, tx, []telling{{movements: missing}})
		if err != nil {
			return err
		}
		for _, m := range fresh {
			about := cmp.Or(m.reference, m.paymentID)
			if err := t.heal(ctx, tx, about, []gap{{"ledger", []string{fmt.Sprintf("%s of %s, %s", m.what, m.paymentID, m.amount)}}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// unknownOf leaves those movements that are not there.
func (s store) unknownOf(ctx context.Context, booked []ourMovement) ([]ourMovement, error) {
	keys, known := make([]uuid.UUID, len(booked)), map[uuid.UUID]bool{}
	for i, m := range booked {
		keys[i] = m.key
	}
	there, err := s.q.KnownMovements(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("looking for movements: %w", err)
	}
	for _, key := range there {
		known[key] = true
	}
	return slices.DeleteFunc(booked, func(m ourMovement) bool { return known[m.key] }), nil
}

// sightMinutes sights what still differs, one break a currency, and has those vanish that agree.
func (t *ties) sightMinutes(ctx context.Context) error {
	return pg.InTx(ctx, t.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.q.UnmarkAgreeing(ctx); err != nil {
			return fmt.Errorf("comparing minutes: %w", err)
		}
		rows, err := st.q.DifferingSums(ctx)
		if err != nil {
			return fmt.Errorf("adding up what differs: %w", err)
		}
		var all []sighting
		for _, r := range rows {
			s, err := ledgerSighting(clearing+"/"+r.Currency, r.Currency, r.TheirsMinor-r.OursMinor, struct {
				Movements int64     `json:"movements_minor"`
				Ledger    int64     `json:"ledger_minor"`
				Minutes   int64     `json:"minutes"`
				Since     time.Time `json:"since"`
			}{r.OursMinor, r.TheirsMinor, r.Minutes, r.Since.UTC()})
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		_, err = t.report(ctx, tx, watcher{name: "ledger", scope: clearing + "/minutes"}, 0, all, true)
		return err
	})
}

// ledgerSighting is that what the provider holds is not what it should be, in a currency.
func ledgerSighting(subject, currency string, difference int64, figures any) (sighting, error) {
	text, err := json.Marshal(figures)
	return sighting{
		code: breaks.LedgerInvariant, subject: subject, account: defaultAccount,
		amount: money.Amount{Currency: money.Currency(currency), Minor: difference}, detail: string(text),
	}, err
}

// compareBalance compares the whole of what the provider holds, as the ledger has it up to a time, with what its minutes come
// to: a journal that came later than its minute was read is seen so. Where they differ, the minutes of a day are read again.
func (t *ties) compareBalance(ctx context.Context, through time.Time) error {
	held, err := t.owners.held(ctx, through)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, t.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		all, err := st.sightBalances(ctx, held, through)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			if err := st.q.SetLedgerThrough(ctx, through.Add(-reread)); err != nil {
				return fmt.Errorf("going back: %w", err)
			}
		}
		if _, err := t.report(ctx, tx, watcher{name: "ledger", scope: clearing + "/balance"}, 0, all, true); err != nil {
			return err
		}
		return st.q.SetBalanceAt(ctx)
	})
}

// sightBalances sights the currencies in which the whole balance, as the ledger has it, is not what was read of it by the minute.
func (s store) sightBalances(ctx context.Context, held map[string]int64, through time.Time) ([]sighting, error) {
	rows, err := s.q.PositionsThrough(ctx, through)
	if err != nil {
		return nil, fmt.Errorf("adding up minutes: %w", err)
	}
	read := map[string]int64{}
	for _, r := range rows {
		read[r.Currency] = r.Minor
		held[r.Currency] += 0
	}
	var all []sighting
	for _, currency := range slices.Sorted(maps.Keys(held)) {
		if held[currency] == read[currency] {
			continue
		}
		s, err := ledgerSighting(clearing+"/"+currency+"/balance", currency, held[currency]-read[currency], struct {
			Read    int64     `json:"minutes_minor"`
			Ledger  int64     `json:"ledger_minor"`
			Through time.Time `json:"through"`
		}{read[currency], held[currency], through})
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
