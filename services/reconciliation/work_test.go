package reconciliation

import (
	"maps"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// The digest names the row that is off: it must be the same one in whatever order the database gives them.
func TestAdjust_OfAPayoutWithSeveralRowsIsWithTheFirstByKey(t *testing.T) {
	t.Parallel()
	effects, refused := map[match.Token]int64{{1}: 7, {2}: -9}, map[match.Token]int64{{1}: 3}
	payout := func(key byte, token match.Token) match.Row {
		row := match.Row{Key: match.Key{key}, Kind: match.KindPayout, Amount: 100}
		row.Carriers[match.CarrierPayout] = token
		return row
	}
	rows := []match.Row{
		{Key: match.Key{0}, Kind: match.KindCharge, Carriers: payout(0, match.Token{1}).Carriers},
		payout(1, match.Token{1}), payout(2, match.Token{1}), payout(3, match.Token{2}), payout(4, match.Token{3}),
	}
	want := map[byte][2]int64{1: {7, 3}, 3: {-9, 0}}
	for turn := range rows {
		turned := append(append([]match.Row{}, rows[turn:]...), rows[:turn]...)
		if err := adjustRows(turned, maps.Clone(effects), maps.Clone(refused)); err != nil {
			t.Fatal(err)
		}
		for _, row := range turned {
			if got := [2]int64{row.Adjust, row.Refused}; got != want[row.Key[0]] {
				t.Errorf("turned by %d: row %d is off by, and has refused, %d, want %d", turn, row.Key[0], got, want[row.Key[0]])
			}
		}
	}
}
