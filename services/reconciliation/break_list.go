package reconciliation

import (
	"context"
	"fmt"
	"github.com/jackc/pgx/v5/pgtype"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// selection says which breaks: those for which all that is set holds. It is kept as JSON with a plan.
type selection struct {
	Code      string          `json:"code,omitempty"`
	State     breaks.State    `json:"state,omitempty"` // none: all that are not resolved
	Severity  breaks.Severity `json:"severity,omitempty"`
	Account   string          `json:"account,omitempty"`
	Currency  string          `json:"currency,omitempty"`
	Assignee  string          `json:"assignee,omitempty"`
	OrderID   string          `json:"order_id,omitempty"`
	PaymentID string          `json:"payment_id,omitempty"`
	MinAge    int             `json:"min_age,omitempty"` // business days
}

// condition is a selection as SQL, with its arguments. A severity depends on the age, and so becomes days on which breaks opened.
type condition struct {
	terms []string
	args  []any
}

func (c *condition) add(term string, args ...any) {
	places := make([]any, len(args))
	for i := range args {
		places[i] = len(c.args) + i + 1
	}
	c.terms, c.args = append(c.terms, fmt.Sprintf(term, places...)), append(c.args, args...)
}

func (c *condition) where() string { return " WHERE " + strings.Join(c.terms, " AND ") }

func (s selection) condition(policy breaks.Policy, today breaks.Day) *condition {
	c := &condition{terms: []string{"b.state <> 5"}}
	if s.State != 0 {
		c.terms[0] = fmt.Sprintf("b.state = %d", s.State)
	}
	for _, equal := range []struct{ column, value string }{
		{"code", s.Code}, {"account", s.Account}, {"currency", s.Currency}, {"assignee", s.Assignee}, {"order_id", s.OrderID},
		{"payment_id", s.PaymentID},
	} {
		if equal.value != "" {
			c.add("b."+equal.column+" = $%d", equal.value)
		}
	}
	if s.Severity > breaks.Low {
		c.add("(b.base_severity >= $%d OR b.opened_on <= $%d)", int16(s.Severity), breakDate(policy.SevereSince(today, s.Severity)))
	}
	if more := s.Severity + 1; s.Severity != 0 && s.Severity < breaks.Critical {
		c.add("b.base_severity < $%d AND b.opened_on > $%d", int16(more), breakDate(policy.SevereSince(today, more)))
	}
	if s.MinAge > 0 {
		c.add("b.opened_on <= $%d", breakDate(policy.OpenedBy(today, s.MinAge)))
	}
	return c
}

// listedBreaks is what a list of breaks reads, as they are.
const listedBreaks = `SELECT b.id, b.code, b.watcher, b.scope, b.subject, b.account, b.currency, b.amount_minor, b.matched, b.state, b.resolution,
       b.base_severity, b.opened_at, b.opened_on, b.changed_at, b.assignee, b.snoozed_until, b.run_number, b.order_id, b.payment_id,
       b.detail, b.note, b.match_id, b.last_event
  FROM break b`

// listBreaks gives up to n breaks of a selection behind one, by what they are pressing whatever their age, and then by age. The
// severity that is shown depends on the age too, and so a page is not strictly in its order.
func (r *reconciliation) listBreaks(ctx context.Context, s selection, behind BreakID, n int32) ([]*broken, error) {
	c := s.condition(r.policy(), today())
	if !behind.IsZero() {
		last, err := newStore(r.pool).getBreak(ctx, behind)
		if err != nil {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
		c.add("(b.base_severity < $%d OR b.base_severity = $%[1]d AND (b.opened_on, b.id) > ($%d, $%d))", last.BaseSeverity, last.OpenedOn, last.ID)
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf("%s%s ORDER BY b.base_severity DESC, b.opened_on, b.id LIMIT %d", listedBreaks, c.where(), n), c.args...)
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
