package reconciliation

import (
	"maps"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// The digest names the row that is off: it must be the same one in whatever order the database gives them.
func TestAdjust_OfAPayoutWithSeveralRowsIsWithTheFirstByKey(t *testing.T) {
	t.Parallel()
	effects := map[match.Token]int64{{1}: 7, {2}: -9}
	payout := func(key byte, token match.Token) match.Row {
		row := match.Row{Key: match.Key{key}, Kind: match.KindPayout, Amount: 100}
		row.Carriers[match.CarrierPayout] = token
		return row
	}
	rows := []match.Row{
		{Key: match.Key{0}, Kind: match.KindCharge, Carriers: payout(0, match.Token{1}).Carriers},
		payout(1, match.Token{1}), payout(2, match.Token{1}), payout(3, match.Token{2}), payout(4, match.Token{3}),
	}
	want := map[byte]int64{0: 0, 1: 7, 2: 0, 3: -9, 4: 0}
	for turn := range rows {
		turned := append(append([]match.Row{}, rows[turn:]...), rows[:turn]...)
		if err := adjustRows(turned, maps.Clone(effects)); err != nil {
			t.Fatal(err)
		}
		for _, row := range turned {
			if row.Adjust != want[row.Key[0]] {
				t.Errorf("turned by %d: row %d is off by %d, want %d", turn, row.Key[0], row.Adjust, want[row.Key[0]])
			}
		}
	}
}
