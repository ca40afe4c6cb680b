package reconciliation

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// file has a provider's report come in, with the payouts that its lines make; or, without payouts, a bank statement.
func (f *tiesFixture) file(lines, payouts []mv) {
	f.Helper()
	err := pgx.BeginFunc(f.Context(), f.db, func(tx pgx.Tx) error {
		var deliveries [2]*int32
		stage := stageProvider
		for i, all := range [][]mv{lines, payouts} {
			if all == nil {
				stage = stageBank
				continue
			}
			if err := tx.QueryRow(f.Context(), `INSERT INTO delivery (kind, state, rows) VALUES ($1, 1, $2) RETURNING id`, i+1, len(all)).Scan(&deliveries[i]); err != nil {
				return err
			}
			for n, m := range all {
				m.currency = "GBP"
				if err := insertMv(f.Context(), tx, *deliveries[i], int32(n+1), m); err != nil {
					return err
				}
			}
		}
		_, err := tx.Exec(f.Context(), `
INSERT INTO statement_file (id, state, account, stage, format, name, reading, sha256, delivery_id, payouts_id, created_by, decided_at)
VALUES ($1, 1, 'default', $4, 'csv', 'f', '{}', sha256(uuid_send($1::uuid)), $2, $3, 'test', now())`, uuid.New(), deliveries[0], deliveries[1], int16(stage))
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// match runs a reconciliation to its end.
func (f *tiesFixture) match() {
	f.Helper()
	f.exec(`UPDATE delivery SET created_at = created_at - interval '1 minute'`)
	if _, err := f.acceptOnce(f.Context()); err != nil {
		f.Fatal(err)
	}
	runs := reconciliationv1.NewReconciliationServiceClient(servicetest.Dial(f, f.process, "op"))
	began, err := runs.RunReconciliation(f.Context(), &reconciliationv1.RunReconciliationRequest{IdempotencyKey: "run-" + uuid.NewString(), AsOf: time.Now().Format(time.DateOnly)})
	if err != nil {
		f.Fatal(err)
	}
	waittest.Until(f.T, "the run has finished", func() bool {
		r, err := runs.GetRun(f.Context(), &reconciliationv1.GetRunRequest{RunId: began.GetRun().GetRunId()})
		return err == nil && r.GetRun().GetState() == reconciliationv1.RunState_RUN_STATE_FINISHED
	})
}

// post posts what is proven, whatever failed before.
func (f *tiesFixture) postAll() {
	f.Helper()
	f.exec(`UPDATE payout_posting SET next_at = now()`)
	for again := true; again; {
		var err error
		if again, err = f.payoutsOnce(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

// lineOf is the line of a report about a story's charge.
func lineOf(s *story, fee int64, payout string) mv {
	return mv{id: s.charge, key: s.payment.GetProviderKey(), ref: s.subject, payout: payout, amount: s.total, fee: fee, day: s.at.Format(time.DateOnly)}
}

func payoutOf(payout string, minor int64) mv {
	return mv{ours: true, bank: true, kind: match.KindPayout, payout: payout, amount: minor, day: time.Now().Format(time.DateOnly)}
}

func creditOf(payout string, minor int64) mv {
	return mv{bank: true, kind: match.KindPayout, payout: payout, amount: minor, day: time.Now().Format(time.DateOnly)}
}

func TestPayouts_AreBookedWhenTheyAreProvenSoThatNothingIsLeft(t *testing.T) {
	for _, fault := range []string{"", "failed, not applied", "failed, but applied"} {
		t.Run(fault, func(t *testing.T) {
			f := setupTies(t)
			f.ago(10 * time.Minute)
			one, two, later := f.sell(1000), f.sell(500), f.sell(70)
			for _, s := range []*story{one, two, later} {
				f.tell(s.events...)
			}
			f.file([]mv{
				lineOf(one, 30, "po_1"), lineOf(two, 20, "po_1"), {kind: match.KindFee, payout: "po_1", amount: -200, note: "monthly"},
				lineOf(later, 3, "po_2"),
			}, []mv{payoutOf("po_1", 1250), payoutOf("po_2", 67)})
			f.match()
			f.postAll()
			if len(f.did) > 0 {
				t.Errorf("done before anything was proven: %v", f.did)
			}
			f.file([]mv{creditOf("po_1", 1250)}, nil)
			f.match()
			failures := 0
			f.trouble = func(_ string, applied bool) error {
				if fault != "" && failures < 2 && applied == (fault == "failed, but applied") {
					failures++
					return lost()
				}
				return nil
			}
			for range 4 {
				f.postAll()
			}
			if diff := cmp.Diff([]string{"payout payout/default/po_1/GBP"}, f.did); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			held := int64(0)
			for _, e := range f.entries {
				held += e.GetAmount().GetMinorUnits()
			}
			if held != 70 {
				t.Errorf("the provider holds %d, and what is not proven comes to 70", held)
			}
			if open := pgtest.Column[string](t, f.db, `SELECT payout_id FROM payout_posting WHERE posted_at IS NULL`); len(open) > 0 {
				t.Errorf("not posted: %v", open)
			}
			f.ago(0)
			f.compare()
			if len(f.open) > 0 {
				t.Errorf("sighted %v", f.open)
			}
			f.wantClean()
		})
	}
}

// What is collected is a journal of its own making; the fee of a dispute is booked once, by whoever tells it first. What the provider
// corrects is a break until somebody decides, and booked with the payout only where the rules take it for the provider's own.
func TestPayouts_OfDisputesAndCorrections(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own %v", own), func(t *testing.T) {
			f := setupTies(t)
			f.ago(10 * time.Minute)
			s, silent := f.sell(1000).dispute(400, 15), f.sell(1000)
			f.tell(s.events...)
			f.tell(silent.events...)
			if own {
				putRules(t, reconciliationv1.NewReconciliationServiceClient(servicetest.Dial(t, f.process, "op")), func(s *rules.Set) { s.Provider.Own = append(s.Provider.Own, match.KindAdjustment) })
			}
			dispute := f.entries[1].GetProviderId()
			f.file([]mv{
				{id: dispute, kind: match.KindChargeback, payout: "dp_1", amount: -400, fee: 20, day: s.at.Format(time.DateOnly)}, // 5 more than was told
				{id: "dp_2", kind: match.KindChargeback, payout: "dp_2", amount: -100, fee: 15, day: s.at.Format(time.DateOnly)},  // not told yet
				{kind: match.KindAdjustment, payout: "po_3", amount: -7, note: "corrected"}, lineOf(silent, 30, "po_3"),
			}, []mv{payoutOf("dp_1", -420), payoutOf("dp_2", -115), payoutOf("po_3", 963)})
			f.file([]mv{creditOf("dp_1", -420), creditOf("dp_2", -115), creditOf("po_3", 963)}, nil)
			f.match()
			f.postAll()
			got := pgtest.Column[string](t, f.db, `SELECT concat_ws(' ', payout_id, amount_minor, fee_minor, adjust_minor, posted_at IS NOT NULL) FROM payout_posting ORDER BY 1`)
			open := pgtest.Column[string](t, f.db, `SELECT code || ' ' || amount_minor FROM break WHERE code = 'MISSING_INTERNALLY' AND state <> 5`)
			corrected := map[bool]string{false: "0", true: "-7"}[own]
			want := []string{"dp_1 -420 5 0 t", "dp_2 -115 0 0 t", "po_3 963 30 " + corrected + " t"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("postings (-want +got):\n%s", diff)
			}
			// The first charge is not paid out yet, and the second dispute is not told: the ledger gets it from the provider.
			held, holds := int64(0), int64(1000+100+15)
			if !own {
				holds += 7 // until the break is decided on
			}
			for _, e := range f.entries {
				held += e.GetAmount().GetMinorUnits()
			}
			if held != holds || (len(open) == 0) != own {
				t.Errorf("the provider holds %d, want %d; breaks: %v", held, holds, open)
			}
		})
	}
}

// A movement that a run left open, and of which it says nothing, is seen.
func TestExplain_SightsWhatNobodyExplains(t *testing.T) {
	f := setupTies(t)
	f.tell(f.sell(1000).events...)
	f.match()
	if _, err := f.explainOnce(t.Context()); err != nil || len(f.open) > 0 {
		t.Fatalf("sighted %v: %v", f.open, err)
	}
	f.match()
	f.exec(`DELETE FROM run_finding`)
	if _, err := f.explainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.sighted("provider_clearing/GBP/unexplained"); got.amount.Minor != 1000 {
		t.Errorf("sighted %v", f.open)
	}
	f.match()
	if _, err := f.explainOnce(t.Context()); err != nil || len(f.open) > 0 {
		t.Errorf("sighted %v: %v", f.open, err)
	}
}
