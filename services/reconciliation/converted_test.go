package reconciliation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// dollarsInEuros expects a dollar to become 0.92 euros, within a thousandth.
func dollarsInEuros(s *rules.Set) {
	s.Rates = []rules.Rate{{From: "USD", To: "EUR", Rate: "0.92", WithinPPM: 1000}}
}

// usd is a movement of ours in dollars.
func usd(m mv) mv {
	m.ours, m.currency = true, "USD"
	return m
}

// openBreaks are the breaks of an account that are open, with what they come to.
func (f *runFixture) openBreaks(account string) []string {
	f.Helper()
	return pgtest.Column[string](f, f.db, `SELECT code || ' ' || amount_minor || ' ' || currency FROM break WHERE state <> 5 AND account = $1 ORDER BY 1`, account)
}

// wantExplainedAll wants the reports of all currencies explained.
func (f *runFixture) wantExplainedAll() {
	f.Helper()
	for _, currency := range pgtest.Column[string](f, f.db, `SELECT DISTINCT currency FROM partition`) {
		f.wantExplained(currency)
	}
}

// convertedCase is what comes in of an account, and what is found about it.
type convertedCase struct {
	rows    []mv
	want    []string // breaks
	matches int64
}

func convertedCases() map[string]convertedCase {
	refund := func(m mv) mv { m.kind = match.KindRefund; return m }
	payout := mv{bank: true, kind: match.KindPayout, payout: "po_1"}
	charge := usd(mv{id: "a", amount: 10_000})
	mismatch, tooLittle := []string{"CURRENCY_MISMATCH -10000 USD"}, []string{"FX_VARIANCE -100 EUR"}
	return map[string]convertedCase{ // by accounts
		"at the rate":         {[]mv{charge, {id: "a", amount: 9_200, fee: 100, was: "100.00 USD"}}, nil, 2},
		"within what may be":  {[]mv{charge, {id: "a", amount: 9_209, was: "100.00 USD"}}, nil, 2},
		"for too little":      {[]mv{charge, {id: "a", amount: 9_100, was: "100.00 USD"}}, tooLittle, 2},
		"for too much":        {[]mv{charge, {id: "a", amount: 9_300, was: "100.00 USD"}}, []string{"FX_VARIANCE 100 EUR"}, 2},
		"a refund":            {[]mv{refund(usd(mv{id: "a", amount: -10_000})), refund(mv{id: "a", amount: -9_300, was: "-100.00 USD"})}, tooLittle, 2},
		"of no known rate":    {[]mv{charge, {id: "a", currency: "GBP", amount: 1, was: "100.00 USD"}}, nil, 2},
		"on another day":      {[]mv{charge, {id: "a", amount: 9_100, day: "2026-11-12", was: "100.00 USD"}}, tooLittle, 2},
		"of a part":           {[]mv{usd(mv{id: "a", amount: 6_000}), {id: "a", amount: 9_200, was: "100.00 USD"}, {id: "a", amount: -3_680, was: "-40.00 USD"}}, nil, 2},
		"of a part, for less": {[]mv{usd(mv{id: "a", amount: 6_000}), {id: "a", amount: 9_200, was: "100.00 USD"}, {id: "a", amount: -3_700, was: "-40.00 USD"}}, []string{"FX_VARIANCE -20 EUR"}, 2},
		"of another amount":   {[]mv{charge, {id: "a", amount: 9_200, was: "99.00 USD"}}, mismatch, 0},
		"of another currency": {[]mv{charge, {id: "a", amount: 9_200, was: "100.00 GBP"}}, mismatch, 0},
		"nobody knows":        {[]mv{charge, {id: "a", amount: 9_200}}, mismatch, 0},
		"of another id":       {[]mv{charge, {id: "b", amount: 9_200, was: "100.00 USD"}}, []string{"MISSING_AT_PROVIDER -10000 USD", "MISSING_INTERNALLY 9200 EUR"}, 0},
		"for the customer":    {[]mv{{ours: true, id: "a", amount: 9_200}, {id: "a", amount: 9_200, was: "100.00 USD"}}, nil, 1}, // we booked euros
		"twice": {
			[]mv{charge, {id: "a", amount: 9_200, was: "100.00 USD", note: "1"}, {id: "a", amount: 9_200, was: "100.00 USD", note: "2"}},
			[]string{"MISSING_INTERNALLY 9200 EUR"}, 2,
		},
		"into two currencies": {
			[]mv{charge, usd(mv{id: "b", amount: 10_000}), {id: "a", amount: 9_200, was: "100.00 USD"}, {id: "b", currency: "GBP", amount: 7_900, was: "100.00 USD"}},
			nil, 4,
		},
		"at the bank": {
			[]mv{payout.with(func(m *mv) { m.ours, m.currency, m.amount = true, "USD", 10_000 }), payout.with(func(m *mv) { m.amount, m.was = 9_100, "100.00 USD" })},
			tooLittle, 2,
		},
		"and paid out as it should be": {
			[]mv{
				charge, {id: "a", amount: 9_100, was: "100.00 USD", payout: "po_1"},
				payout.with(func(m *mv) { m.ours, m.amount = true, 9_100 }), payout.with(func(m *mv) { m.amount = 9_200 }),
			}, tooLittle, 3,
		},
		"and paid out as reported": {
			[]mv{
				charge, {id: "a", amount: 9_100, was: "100.00 USD", payout: "po_1"},
				payout.with(func(m *mv) { m.ours, m.amount = true, 9_100 }), payout.with(func(m *mv) { m.amount = 9_100 }),
			}, tooLittle, 3,
		},
	}
}

func TestConverted_IsMatchedAsItWasOriginally(t *testing.T) {
	t.Parallel()
	f, cases := setupRuns(t), convertedCases()
	f.putRules(dollarsInEuros)
	for account, c := range cases {
		for i := range c.rows {
			c.rows[i].account = account
		}
		f.deliver(c.rows...)
	}
	made := f.run(asOf)
	for account, c := range cases {
		if diff := cmp.Diff(c.want, f.openBreaks(account), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: breaks (-want +got):\n%s", account, diff)
		}
		matches := int64(0)
		for _, p := range made.GetPartitions() {
			if p.GetAccount() != account {
				continue
			}
			matches += p.GetMatches()
			r, err := f.client.GetReport(t.Context(), &reconciliationv1.GetReportRequest{Account: account, CurrencyCode: p.GetCurrencyCode(), From: "2026-11-01", To: "2026-11-30"})
			if err != nil || r.GetReport().GetUnexplained().GetMinorUnits() != 0 {
				t.Errorf("%s: the report in %s is not explained: %v, %v", account, p.GetCurrencyCode(), r, err)
			}
		}
		if matches != c.matches {
			t.Errorf("%s: %d matches, want %d", account, matches, c.matches)
		}
	}
	f.wantVerified(made)
}

// TestConverted_NamesTheOtherSide looks at the two matches of a conversion, at its break, and at the lines of the reports.
func TestConverted_NamesTheOtherSide(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.putRules(dollarsInEuros)
	f.deliver(usd(mv{id: "a", amount: 10_000, payment: "pay_1", note: "mine"}), mv{id: "a", amount: 9_100, fee: 50, was: "100.00 USD", note: "theirs"})
	f.run(asOf)
	mine, theirs := movementIDOf(f.keyOf("mine")).String(), movementIDOf(f.keyOf("theirs")).String()
	for _, c := range []struct {
		of       *reconciliationv1.ListMatchesRequest
		evidence string
	}{
		{&reconciliationv1.ListMatchesRequest{Of: &reconciliationv1.ListMatchesRequest_PaymentId{PaymentId: "pay_1"}}, `{"converted":"91.00 EUR","movements":["` + theirs + `"]}`},
		{&reconciliationv1.ListMatchesRequest{Of: &reconciliationv1.ListMatchesRequest_MovementId{MovementId: theirs}}, `{"converted":"100.00 USD","movements":["` + mine + `"]}`},
	} {
		page, err := f.client.ListMatches(t.Context(), c.of)
		if err != nil || len(page.GetMatches()) != 1 || page.GetMatches()[0].GetEvidence() != c.evidence || page.GetMatches()[0].GetOursBy() != "id" {
			t.Errorf("got %v, %v; want one by id that says %s", page, err, c.evidence)
		}
	}
	about := pgtest.Column[string](f, f.db, `
SELECT m.note || ' ' || b.payment_id FROM break b JOIN break_movement bm ON bm.break_id = b.id JOIN movement m ON m.id = bm.movement_id
 WHERE b.code = 'FX_VARIANCE' ORDER BY 1`)
	if diff := cmp.Diff([]string{"mine pay_1", "theirs pay_1"}, about); diff != "" {
		t.Errorf("the break is about (-want +got):\n%s", diff)
	}
	if again := f.simulate(&reconciliationv1.SimulateRunRequest{AsOf: asOf}); len(again.GetChanges()) > 0 || len(again.GetCodes()) != 1 || again.GetCodes()[0].GetCode() != "FX_VARIANCE" {
		t.Errorf("from scratch it is something else: %v", again)
	}
	for currency, want := range map[string]map[string]int64{"USD": {"CONVERTED": 10_000}, "EUR": {"CONVERTED": -9_200, "FX_VARIANCE": 100}} {
		got := map[string]int64{}
		for _, e := range f.report(currency, "2026-11-01", "2026-11-30").GetExplanations() {
			got[e.GetCode()] = e.GetAmount().GetMinorUnits()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is explained by (-want +got):\n%s", currency, diff)
		}
	}
}

// TestConverted_WhicheverComesFirst has the sides wait for each other over runs.
func TestConverted_WhicheverComesFirst(t *testing.T) {
	t.Parallel()
	payout := mv{bank: true, kind: match.KindPayout, payout: "po_1"}
	rows := []mv{
		usd(mv{id: "a", amount: 10_000}), {id: "a", amount: 9_100, was: "100.00 USD", payout: "po_1"},
		payout.with(func(m *mv) { m.ours, m.amount = true, 9_100 }), payout.with(func(m *mv) { m.amount = 9_200 }),
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			f.putRules(dollarsInEuros)
			var runs []*reconciliationv1.Run
			for _, i := range order {
				f.deliver(rows[i])
				runs = append(runs, f.run(asOf))
				f.wantExplainedAll()
			}
			if diff := cmp.Diff([]string{"FX_VARIANCE -100 EUR"}, f.openBreaks("default")); diff != "" {
				t.Errorf("breaks (-want +got):\n%s", diff)
			}
			f.wantVerified(runs...)
		})
	}
}

// TestConverted_IsInTheDigest changes what a movement was, where nothing that is found depends on it.
func TestConverted_IsInTheDigest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the amount":   `UPDATE movement SET original_minor = original_minor + 1 WHERE id = $1`,
		"the currency": `UPDATE movement SET original_currency = 'GBP' WHERE id = $1`,
		"that it was":  `UPDATE movement SET original_minor = NULL, original_currency = NULL WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			d := f.deliver(mv{ours: true, id: "a", amount: 9_200}, mv{id: "a", amount: 9_200, was: "100.00 USD"})
			made := f.run(asOf)
			f.wantVerified(made)
			if _, err := f.db.Exec(t.Context(), change, movementID(d, 2)); err != nil {
				t.Fatal(err)
			}
			if v, err := f.verify(made.GetRunId()); err != nil || v.GetHolds() {
				t.Errorf("changed: %v, %v", v, err)
			}
		})
	}
}

// TestConverted_ByChance has three currencies become each other, in any order and at rates that may be wrong, besides what is not
// converted, missing, or not told of: every cent of the reports is explained, and runs can be run again.
func TestConverted_ByChance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			f.putRules(func(s *rules.Set) {
				dollarsInEuros(s)
				s.Rates = append(s.Rates, rules.Rate{From: "GBP", To: "USD", Rate: "1.01", FromDay: 20_400, WithinPPM: 50_000})
			})
			random := rand.New(rand.NewPCG(seed, 11))
			all := convertedByChance(random)
			var runs []*reconciliationv1.Run
			for some := range slices.Chunk(all, len(all)/2+1) {
				f.deliver(some...)
				runs = append(runs, f.run(asOf))
				f.wantExplainedAll()
			}
			f.wantVerified(runs...)
			if breaksOf(runs[1])["FX_VARIANCE"] == 0 {
				t.Errorf("nothing was at another rate: %v", runs[1])
			}
		})
	}
}

func convertedByChance(random *rand.Rand) (all []mv) {
	currencies := []string{"EUR", "USD", "GBP"}
	day := func() string { return fmt.Sprintf("2026-11-%02d", 8+random.IntN(20)) }
	for i := range 80 {
		m := mv{id: fmt.Sprintf("ch_%d", i), ours: true, currency: currencies[random.IntN(3)], amount: int64(100 + random.IntN(9_900)), day: day()}
		theirs := mv{id: m.id, currency: currencies[random.IntN(3)], amount: m.amount, fee: int64(random.IntN(9)), day: day()}
		theirs.payout = "po_" + theirs.currency
		if m.currency != theirs.currency && random.IntN(5) > 0 {
			theirs.amount = m.amount * int64(80+random.IntN(30)) / 100
			theirs.was = fmt.Sprintf("%d.%02d %s", m.amount/100, m.amount%100, m.currency)
		}
		if random.IntN(8) > 0 {
			all = append(all, m)
		}
		if random.IntN(8) > 0 {
			all = append(all, theirs)
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestConverted_PayoutsAreNotPosted has a payout arrive in another currency: nobody knows what to book for it.
func TestConverted_PayoutsAreNotPosted(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	payout := mv{bank: true, kind: match.KindPayout, ours: true, amount: 10_000}
	d := f.deliver(
		payout.with(func(m *mv) { m.payout, m.currency = "po_1", "USD" }),
		payout.with(func(m *mv) { m.payout = "po_2" }),
	)
	if _, err := f.db.Exec(t.Context(), `UPDATE delivery SET kind = 2 WHERE id = $1`, d); err != nil { // as of a file
		t.Fatal(err)
	}
	f.deliver(
		mv{bank: true, kind: match.KindPayout, payout: "po_1", amount: 9_200, was: "100.00 USD"},
		mv{bank: true, kind: match.KindPayout, payout: "po_2", amount: 10_000},
	)
	if made := f.run(asOf); made.GetMatched() != 3 {
		t.Errorf("got %v, want two halves and a match", made)
	}
	found, err := newStore(f.db).q.MatchedPayouts(t.Context(), 10)
	if err != nil || len(found) != 1 || found[0].PayoutID != "po_2" {
		t.Errorf("to be posted: %+v, %v; want po_2", found, err)
	}
}
