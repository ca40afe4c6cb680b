package reconciliation

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// ago has what is done from now on happen some time ago.
func (f *tiesFixture) ago(d time.Duration) {
	f.now = time.Now().UTC().Add(-d).Truncate(time.Microsecond)
}

func TestCompare_AgreesWithWhatEventsTold(t *testing.T) {
	f := setupTies(t)
	for _, at := range []time.Duration{3 * time.Hour, 3 * time.Hour, 95 * time.Minute, 10 * time.Minute, 0} {
		f.ago(at)
		f.tell(f.sell(500).refund(100).dispute(300, 15).events...)
		f.tell(f.undo(80).events...)
	}
	f.compare()
	if len(f.open) > 0 || f.healed() > 0 {
		t.Errorf("sighted %v, and healed %d gaps", f.open, f.healed())
	}
	differs := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM ledger_minute WHERE theirs_minor <> ours_minor`)[0]
	read := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM ledger_minute WHERE theirs_minor IS NOT NULL`)[0]
	if differs > 0 || read != 9 { // three minutes of three kinds, and not the one that is too young
		t.Errorf("%d rows were read, and %d differ", read, differs)
	}
	f.wantClean()
}

func TestCompare_HealsMovementsThatNoEventHasTold(t *testing.T) {
	f := setupTies(t)
	f.ago(10 * time.Minute)
	lost, told := f.sell(500).refund(100).dispute(300, 15), f.sell(70)
	f.tell(told.events...)
	f.compare()
	want := []string{"charge booked 500", "charge booked 70", "chargeback booked -300 15", "refund booked -100"}
	if diff := cmp.Diff(want, f.movements()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	if len(f.open) > 0 || f.healed() != 3 {
		t.Errorf("sighted %v, and healed %d gaps", f.open, f.healed())
	}
	healed := pgtest.Column[string](t, f.db, `SELECT concat_ws('|', provider_id, parent_id, idem_key, reference, payment_id) FROM movement ORDER BY key`)
	f.look(2 * time.Hour) // what the order's other events would have told is asked for
	f.wantState(lost, "tied")
	before := f.snapshot()
	f.tell(lost.events...)
	if diff := cmp.Diff(before, f.snapshot()); diff != "" {
		t.Errorf("the events came late (-before +after):\n%s", diff)
	}
	// What comes by event says the same of each movement.
	other := setupTiesBeside(t, f)
	other.tell(lost.events...)
	other.tell(told.events...)
	byEvents := pgtest.Column[string](t, other.db, `SELECT concat_ws('|', provider_id, parent_id, idem_key, reference, payment_id) FROM movement ORDER BY key`)
	if diff := cmp.Diff(byEvents, healed); diff != "" {
		t.Errorf("movements (-by events +healed):\n%s", diff)
	}
	f.wantClean()
}

// setupTiesBeside is another fixture in a test that has one.
func setupTiesBeside(t *testing.T, f *tiesFixture) *tiesFixture {
	t.Helper()
	other := setupTiesWith(t, noStart)
	other.business.now = f.now
	return other
}

// A journal that the ledger has and that no payment can be asked for stays a break, with both figures, until it agrees.
func TestCompare_SightsWhatStaysDifferent(t *testing.T) {
	f := setupTies(t)
	f.ago(10 * time.Minute)
	s := f.sell(500)
	f.tell(s.events...)
	f.change(func() { f.entries[0].Amount = pounds(450) }) // a damaged ledger
	f.compare()
	got := f.sighted("provider_clearing/GBP")
	if got.code != breaks.LedgerInvariant || got.amount.Minor != -50 {
		t.Fatalf("sighted %+v", got)
	}
	f.compare()
	if len(f.open) != 1 {
		t.Errorf("sighted %v", f.open)
	}
	f.change(func() { f.entries[0].Amount = pounds(500) })
	f.exec(`UPDATE ledger_progress SET through = NULL`)
	f.compare()
	if len(f.open) > 0 {
		t.Errorf("sighted %v, and it agrees", f.open)
	}
	f.wantClean()
}

func TestCompare_AnEventThatComesLateMakesItAgree(t *testing.T) {
	f := setupTies(t)
	f.ago(10 * time.Minute)
	s := f.sell(500)
	s.tell("payment", "payment", "captured", newID("pay"), nil) // which tells nothing
	f.tell(s.events...)
	f.change(func() { f.entries = append(f.entries, f.entries[0]) }) // two journals, of which one is no movement
	f.entries[1] = &paymentv1.Entry{
		JournalId: newID("jrn"), Line: 1, Kind: paymentv1.JournalKind_JOURNAL_KIND_CAPTURE, Amount: pounds(20), PaymentId: s.paymentID,
		CreateTime: f.entries[0].CreateTime,
	}
	f.compare()
	if got := f.sighted("provider_clearing/GBP"); got.amount.Minor != 20 {
		t.Errorf("sighted %+v", got)
	}
}

// The whole balance finds a journal that was written into a minute that is long compared.
func TestCompare_TheWholeBalanceFindsWhatCameLater(t *testing.T) {
	f := setupTies(t)
	f.ago(2 * time.Hour)
	early := f.sell(500)
	f.tell(early.events...)
	f.ago(10 * time.Minute)
	f.tell(f.sell(70).events...)
	f.compare()
	f.ago(2 * time.Hour)
	f.tell(f.sell(30).events...) // its journal took two hours to commit
	f.compare()
	if len(f.open) > 0 {
		t.Errorf("sighted %v before the balance was asked for", f.open)
	}
	f.exec(`UPDATE ledger_progress SET balance_at = NULL`)
	f.compare()
	if got := f.sighted("provider_clearing/GBP/balance"); got.amount.Minor != 30 {
		t.Errorf("sighted %+v", got)
	}
	f.compare() // reads a day again
	f.exec(`UPDATE ledger_progress SET balance_at = NULL`)
	f.compare()
	if len(f.open) > 0 {
		t.Errorf("sighted %v, and it agrees", f.open)
	}
}

func TestCompare_GoesOnWhereItStopped(t *testing.T) {
	f := setupTies(t)
	f.ago(3 * time.Hour)
	f.tell(f.sell(500).events...)
	calls := 0
	f.trouble = func(method string, _ bool) error {
		if calls++; method == "GetTurnover" && calls%2 == 0 {
			return lost()
		}
		return nil
	}
	failed := 0
	for range 100 {
		again, err := f.compareOnce(t.Context())
		if err != nil {
			failed++
		} else if !again {
			break
		}
	}
	if failed == 0 || len(f.open) > 0 {
		t.Errorf("failed %d times, and sighted %v", failed, f.open)
	}
	through := pgtest.Column[time.Time](t, f.db, `SELECT through FROM ledger_progress`)[0]
	if time.Since(through) > 3*time.Minute {
		t.Errorf("it has come to %s", through)
	}
}
