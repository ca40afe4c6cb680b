package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	// maxMatched is how many payouts are made postings of at once, and maxPosted how many are posted.
	maxMatched = 256
	maxPosted  = 32
	// postAgain is when a posting is tried again, twice as long each time, up to an hour.
	postAgain = 30 * time.Second
)

// posting is a payout that was proven, on its way into the ledger.
type posting struct {
	account, payoutID string
	arrivedOn         time.Time
	// amount is what arrived; less than zero, what was collected. Fee is what the provider kept besides, as far as the ledger does
	// not have it; adjusted is what it corrected, more than zero to us. All in minor units of the currency.
	currency              money.Currency
	amount, fee, adjusted int64
}

// key names the posting: it is in the ledger once.
func (p posting) key() string {
	return fmt.Sprintf("payout/%s/%s/%s", p.account, p.payoutID, p.currency)
}

// payoutsOnce books what bank statements have proven of payouts, with the fees of their lines: intent, call, outcome. What the
// provider holds for us comes to nothing so, as far as it is proven.
func (t *ties) payoutsOnce(ctx context.Context) (again bool, err error) {
	more, err := t.intendPostings(ctx)
	if err != nil {
		return false, err
	}
	st := newStore(t.pool)
	rows, err := st.q.TakePostings(ctx, reconciliationdb.TakePostingsParams{AgainSeconds: postAgain.Seconds(), N: maxPosted})
	if err != nil {
		return false, fmt.Errorf("taking payouts to be posted: %w", err)
	}
	for _, r := range rows {
		p := posting{
			account: r.Account, payoutID: r.PayoutID, arrivedOn: r.ArrivedOn.Time, currency: money.Currency(r.Currency),
			amount: r.AmountMinor, fee: r.FeeMinor, adjusted: r.AdjustMinor,
		}
		journalID, err := t.post(ctx, p)
		if err == nil {
			err = st.q.SetPosted(ctx, reconciliationdb.SetPostedParams{JournalID: journalID, Account: r.Account, PayoutID: r.PayoutID, Currency: r.Currency})
			if err != nil {
				return false, fmt.Errorf("writing that a payout is posted: %w", err) // asked again under its key
			}
			continue
		}
		t.log.WarnContext(ctx, "a payout is not posted", slog.String("payout", p.key()), slog.Any("error", err))
		failed := st.q.SetPostingFailure(ctx, reconciliationdb.SetPostingFailureParams{
			Failure: err.Error(), Account: r.Account, PayoutID: r.PayoutID, Currency: r.Currency,
		})
		if failed != nil {
			return false, errors.Join(err, failed)
		}
	}
	return more || len(rows) == maxPosted, nil
}

// intendPostings writes what is to be posted of payouts that are matched.
func (t *ties) intendPostings(ctx context.Context) (more bool, err error) {
	st := newStore(t.pool)
	matched, err := st.q.MatchedPayouts(ctx, maxMatched)
	if err != nil {
		return false, fmt.Errorf("looking for payouts that are proven: %w", err)
	}
	byFile := map[int32][]reconciliationdb.MatchedPayoutsRow{}
	for _, m := range matched {
		if _, proven := arrived(m); proven {
			byFile[m.DeliveryID] = append(byFile[m.DeliveryID], m)
		}
	}
	for delivery, payouts := range byFile {
		if err := st.insertPostings(ctx, delivery, payouts); err != nil {
			return false, err
		}
	}
	return len(byFile) > 0 && len(matched) == maxMatched, nil
}

// arrived is what a bank statement says of a payout: what arrived for it alone, or, of several that arrived together to the last
// cent, its own part. Otherwise there is an open break, and a person has to look first.
func arrived(m reconciliationdb.MatchedPayoutsRow) (minor int64, proven bool) {
	if m.Payouts == 1 {
		return m.TheirsMinor, true
	}
	return m.NetMinor, m.OursMinor == m.TheirsMinor
}

// insertPostings writes the intents of the payouts of one file, with what their lines come to.
func (s store) insertPostings(ctx context.Context, delivery int32, payouts []reconciliationdb.MatchedPayoutsRow) error {
	type key struct{ payoutID, currency string }
	ask := reconciliationdb.LinesOfPayoutsParams{PayoutsDelivery: delivery}
	for _, m := range payouts {
		ask.PayoutIds = append(ask.PayoutIds, m.PayoutID)
	}
	rows, err := s.q.LinesOfPayouts(ctx, ask)
	if err != nil {
		return fmt.Errorf("adding up the lines of payouts: %w", err)
	}
	lines := map[key]reconciliationdb.LinesOfPayoutsRow{}
	for _, r := range rows {
		lines[key{r.PayoutID, r.Currency}] = r
	}
	var p reconciliationdb.InsertPostingsParams
	for _, m := range payouts {
		minor, _ := arrived(m)
		of := lines[key{m.PayoutID, m.Currency}]
		p.Accounts, p.PayoutIds, p.Currencies = append(p.Accounts, m.Account), append(p.PayoutIds, m.PayoutID), append(p.Currencies, m.Currency)
		p.Matches, p.Amounts = append(p.Matches, m.MatchID), append(p.Amounts, minor)
		p.Fees, p.Adjusted = append(p.Fees, of.FeeMinor), append(p.Adjusted, of.AdjustMinor)
		p.Days = append(p.Days, pgtype.Date{Time: m.ArrivedOn.Time, Valid: true})
	}
	if err := s.q.InsertPostings(ctx, p); err != nil {
		return fmt.Errorf("writing what is to be posted: %w", err)
	}
	return nil
}
