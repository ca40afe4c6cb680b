package reconciliation

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// listedBreaks is what a list of breaks reads, as they are.
const listedBreaks = `SELECT b.id, b.code, b.watcher, b.scope, b.subject, b.account, b.currency, b.amount_minor, b.matched, b.state, b.resolution,
       b.base_severity, b.opened_at, b.opened_on, b.changed_at, b.assignee, b.snoozed_until, b.run_number, b.order_id, b.payment_id,
       b.detail, b.note, b.match_id, b.last_event
  FROM break b`

// listBreaks gives up to n of the breaks that a filter holds for behind one, by what they are pressing whatever their age, and then by
// age. The severity that is shown depends on the age too, and so a page is not strictly in its order.
func (r *reconciliation) listBreaks(ctx context.Context, f filter.Filter, behind BreakID, n int32) ([]*broken, error) {
	where, args := f.Where, f.Args
	if !behind.IsZero() {
		last, err := newStore(r.pool).getBreak(ctx, behind)
		if err != nil {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
		args = append(args, last.BaseSeverity, last.OpenedOn, last.ID)
		where += fmt.Sprintf(" AND (b.base_severity < $%d OR b.base_severity = $%[1]d AND (b.opened_on, b.id) > ($%d, $%d))", len(args)-2, len(args)-1, len(args))
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf("%s WHERE %s ORDER BY b.base_severity DESC, b.opened_on, b.id LIMIT %d", listedBreaks, where, n), args...)
	if err != nil {
		return nil, fmt.Errorf("listing breaks: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reconciliationdb.Break])
	if err != nil {
		return nil, fmt.Errorf("listing breaks: %w", err)
	}
	all := make([]*broken, len(found))
	for i, row := range found {
		all[i] = brokenOf(row)
	}
	return all, nil
}

// today is the day in UTC, as breaks are counted by.
func today() breaks.Day { return breaks.DayOf(time.Now()) }

// age is how many business days a break has been there.
func (r *reconciliation) age(b *broken) int {
	return r.policy().Age(breaks.DayOf(b.OpenedOn.Time), today())
}

// brokenInFull is a break with all that is known of it.
type brokenInFull struct {
	*broken
	movements []reconciliationdb.ListBreakMovementsRow
	events    []reconciliationdb.ListBreakEventsRow
	journals  []reconciliationdb.ListBreakJournalsRow
}

// maxEvents is how many events of a break are shown: the last ones.
const maxEvents = 1000

// readBreak gives a break in full; NOT_FOUND when there is none.
func (r *reconciliation) readBreak(ctx context.Context, bid BreakID) (brokenInFull, error) {
	st := newStore(r.pool)
	b, err := st.getBreak(ctx, bid)
	if err != nil {
		return brokenInFull{}, err
	}
	full := brokenInFull{broken: b}
	if full.movements, err = st.q.ListBreakMovements(ctx, b.ID); err != nil {
		return full, fmt.Errorf("reading movements of break: %w", err)
	}
	full.events, err = st.q.ListBreakEvents(ctx, reconciliationdb.ListBreakEventsParams{BreakID: b.ID, Behind: b.LastEvent - maxEvents})
	if err != nil {
		return full, fmt.Errorf("reading history of break: %w", err)
	}
	if full.journals, err = st.q.ListBreakJournals(ctx, b.ID); err != nil {
		return full, fmt.Errorf("reading journals of break: %w", err)
	}
	return full, nil
}

// breakDate is a day as the database takes it.
func breakDate(d breaks.Day) pgtype.Date { return dateOf(match.Day(d)) }
