package reconciliation

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// TestReport_IsTheExampleOfTheDocumentation is the worked example of docs/reconciliation.md.
func TestReport_IsTheExampleOfTheDocumentation(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.putRules(func(s *rules.Set) {
		s.Due = []rules.Due{{Stage: match.StageProvider, BusinessDays: 2}, {Stage: match.StageBank, BusinessDays: 3}}
		s.Fees = []rules.Fee{
			{About: rules.About{Currency: "EUR", Kind: match.KindCharge}, RatePPM: 15_000, FixedMinor: 20, Rounding: rules.Down},
			{About: rules.About{Kind: match.KindRefund}, Rounding: rules.Down},
		}
	})
	payout := mv{bank: true, kind: match.KindPayout}
	f.deliver( // our books
		mv{ours: true, id: "ch_1", amount: 10_000, day: "2026-10-30"},
		mv{ours: true, id: "ch_2", amount: 5_000, day: "2026-11-02"},
		mv{ours: true, id: "re_1", kind: match.KindRefund, amount: -1_000, day: "2026-11-02"},
		mv{ours: true, id: "ch_3", amount: 3_000, day: "2026-11-03"},
		mv{ours: true, id: "ch_4", amount: 2_000, day: "2026-11-06"},
	)
	f.deliver( // the provider's report, and its payouts
		mv{id: "ch_1", amount: 10_000, fee: 170, day: "2026-10-30", payout: "po_1"},
		mv{id: "ch_2", amount: 5_000, fee: 105, day: "2026-11-02", payout: "po_2"},
		mv{id: "re_1", kind: match.KindRefund, amount: -1_000, day: "2026-11-02", payout: "po_2"},
		mv{id: "ch_9", amount: 700, fee: 30, day: "2026-11-03", payout: "po_2"},
		payout.with(func(m *mv) { m.ours, m.payout, m.amount, m.day = true, "po_1", 9_830, "2026-11-02" }),
		payout.with(func(m *mv) { m.ours, m.payout, m.amount, m.day = true, "po_2", 4_565, "2026-11-05" }),
	)
	f.deliver(payout.with(func(m *mv) { m.payout, m.amount, m.day = "po_1", 9_830, "2026-11-03" })) // the bank statement
	f.run("2026-11-06")
	got := f.report("EUR", "2026-11-01", "2026-11-06")
	eur := func(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, abs(minor)%100) }
	amounts := map[string]string{
		"opening": eur(got.GetOpening().GetMinorUnits()), "fees": eur(got.GetFees().GetMinorUnits()), "arrived": eur(got.GetArrived().GetMinorUnits()),
		"timing": eur(got.GetTiming().GetMinorUnits()), "closing": eur(got.GetClosing().GetMinorUnits()),
		"closing theirs": eur(got.GetClosingTheirs().GetMinorUnits()), "drift": eur(got.GetDrift().GetMinorUnits()),
		"unexplained": eur(got.GetUnexplained().GetMinorUnits()),
	}
	want := map[string]string{
		"opening": "98.30", "fees": "1.25", "arrived": "98.30", "timing": "65.65", "closing": "23.10", "closing theirs": "0.00", "drift": "23.10",
		"unexplained": "0.00",
	}
	if diff := cmp.Diff(want, amounts); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	explained := map[string]string{}
	for _, e := range got.GetExplanations() {
		explained[e.GetCode()] = eur(e.GetAmount().GetMinorUnits())
	}
	if diff := cmp.Diff(map[string]string{"FEE_VARIANCE": "0.10", "MISSING_AT_PROVIDER": "30.00", "MISSING_INTERNALLY": "-7.00"}, explained); diff != "" {
		t.Errorf("explanations (-want +got):\n%s", diff)
	}
	f.wantExplained("EUR")
}

func abs(n int64) int64 { return max(n, -n) }

// with gives the movement with a change.
func (m mv) with(change func(*mv)) mv {
	change(&m)
	return m
}

// TestReport_ExplainsEveryCent has chance decide what comes in, when, and with which differences, and looks at every day.
func TestReport_ExplainsEveryCent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			f.putRules(func(s *rules.Set) {
				s.Fees = []rules.Fee{{About: rules.About{Kind: match.KindCharge}, RatePPM: 10_000, Rounding: rules.Down}}
			})
			random := rand.New(rand.NewPCG(seed, 7))
			waiting := byChance(random)
			var runs []*reconciliationv1.Run
			for len(waiting) > 0 {
				n := min(len(waiting), 30+random.IntN(30))
				f.deliver(waiting[:n]...)
				waiting = waiting[n:]
				runs = append(runs, f.run(asOf))
				f.wantExplained("EUR")
			}
			f.wantVerified(runs...)
		})
	}
}

// byChance is what comes in, in any order: charges, some of them in doubt or refused at first; a report that lacks some and has
// others; its payouts; and a bank that pays out what is true.
func byChance(random *rand.Rand) (all []mv) {
	day := func() string { return fmt.Sprintf("2026-11-%02d", 8+random.IntN(20)) }
	var reported, paid [6]int64 // by payout
	report := func(line mv, isTrue bool) {
		n := random.IntN(len(reported))
		line.payout, line.day = fmt.Sprintf("po_%d", n), day()
		reported[n] += line.amount - line.fee
		if isTrue {
			paid[n] += line.amount - line.fee
		}
		all = append(all, line)
	}
	for i := range 60 {
		m := mv{id: fmt.Sprintf("ch_%d", i), amount: int64(1 + random.IntN(500)), payment: fmt.Sprintf("pay_%d", i), ours: true, day: day()}
		if random.IntN(8) == 0 {
			m.standing = match.Standing(1 + random.IntN(2))
			all = append(all, m.with(func(m *mv) { m.standing, m.note = match.Booked, "known" }))
		}
		all = append(all, m)
		theirs := mv{id: m.id, amount: m.amount + int64(random.IntN(3)-1)*int64(random.IntN(2)), fee: int64(random.IntN(6))}
		switch random.IntN(6) {
		case 0: // it is not in the report
			paid[random.IntN(len(paid))] += m.amount * int64(random.IntN(2))
		case 1: // so is something that we do not know
			report(theirs, true)
			report(mv{id: "x" + m.id, amount: 9}, random.IntN(2) == 0)
			report(mv{kind: match.KindFee, id: "f" + m.id, amount: -3}, true)
		default:
			report(theirs, true)
		}
	}
	for i := range reported {
		p := mv{bank: true, kind: match.KindPayout, payout: fmt.Sprintf("po_%d", i), amount: reported[i], ours: true, day: day()}
		all = append(all, p, mv{bank: true, kind: match.KindFee, id: fmt.Sprintf("bank_%d", i), amount: -1, day: day()})
		if i > 0 {
			all = append(all, p.with(func(p *mv) { p.ours, p.day, p.amount = false, day(), paid[i] }))
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestReport_ExplainsWhatIsInTheWrongCurrency has a charge in euros reported, and paid out, in dollars; the bank has it in euros.
func TestReport_ExplainsWhatIsInTheWrongCurrency(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	payout := mv{bank: true, kind: match.KindPayout, day: "2026-11-12"}
	f.deliver(mv{ours: true, id: "ch_1", amount: 10_000}, mv{ours: true, id: "ch_2", amount: 5_000})
	f.deliver(
		mv{id: "ch_1", amount: 10_000, fee: 100, currency: "USD", payout: "po_1"}, mv{id: "ch_2", amount: 5_000, payout: "po_2"},
		payout.with(func(p *mv) { p.ours, p.currency, p.payout, p.amount = true, "USD", "po_1", 9_900 }),
		payout.with(func(p *mv) { p.ours, p.payout, p.amount = true, "po_2", 5_000 }),
	)
	f.deliver(payout.with(func(p *mv) { p.payout, p.amount = "po_2", 15_000 }))
	made := f.run(asOf)
	if diff := cmp.Diff(map[string]int64{"CURRENCY_MISMATCH": 1}, breaksOf(made)); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
	f.wantExplained("EUR")
	f.wantExplained("USD")
	f.wantVerified(made)
}

func TestReport_SaysWhatItIsOf(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.deliver(mv{ours: true, id: "ch_1", amount: 5})
	before := f.report("EUR", "2026-11-01", "2026-11-30")
	if before.GetRunNumber() != 0 || before.GetMovementsWaiting() != 1 || before.GetClosing().GetMinorUnits() != 0 {
		t.Errorf("before a run: %v", before)
	}
	made := f.run(asOf)
	after := f.report("EUR", "2026-11-01", "2026-11-30")
	if after.GetRunId() != made.GetRunId() || after.GetDigest() != made.GetDigest() || after.GetMovementsWaiting() != 0 {
		t.Errorf("after a run: %v", after)
	}
	want := []*reconciliationv1.ReportEffect{{Kind: "charge", Count: 1, Amount: after.GetEffects()[0].GetAmount()}}
	if diff := cmp.Diff(want, after.GetEffects(), protocmp.Transform()); diff != "" || after.GetEffects()[0].GetAmount().GetMinorUnits() != 5 {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	for _, bad := range []struct {
		request *reconciliationv1.GetReportRequest
		reason  rpcerr.Reason
		field   string
	}{
		{&reconciliationv1.GetReportRequest{Account: "nobody", CurrencyCode: "EUR", From: "2026-11-01", To: "2026-11-30"}, rpcerr.NotFound, "account"},
		{&reconciliationv1.GetReportRequest{Account: "default", CurrencyCode: "EUR", From: "2026-11-30", To: "2026-11-01"}, rpcerr.RequestInvalid, "from"},
		{&reconciliationv1.GetReportRequest{Account: "default", CurrencyCode: "EUR", From: "2026-11-31", To: "2026-12-01"}, rpcerr.RequestInvalid, "from"},
	} {
		_, err := f.client.GetReport(t.Context(), bad.request)
		rpcerrtest.Want(t, err, bad.reason, bad.field)
	}
}
