package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/test/systemtest"
)

var reconOrders = flag.Int("e2e.recon-orders", 500, "how many orders are reconciled")

// simulatorFees is what the simulator keeps, and at what rate it converts, as a rule set says it. The few rows that a report lacks
// are small: that several of them make up a payout is taken for proof.
const simulatorFees = `{
	"bank": {"subset": {"rarity": 10}},
	"fees": [
		{"currency": "GBP", "kind": "charge", "rate_ppm": 15000, "fixed_minor": 20, "rounding": "down", "within_amount": true},
		{"currency": "EUR", "kind": "charge", "rate_ppm": 15000, "fixed_minor": 20, "rounding": "down", "within_amount": true},
		{"kind": "refund", "rounding": "down"}
	],
	"rates": [{"from": "USD", "to": "EUR", "rate": "0.92", "within_ppm": 1000}]}`

// books is a client of the reconciliation.
type books struct {
	*fixture
	runs       reconciliationv1.ReconciliationServiceClient
	statements reconciliationv1.StatementServiceClient
	breaks     reconciliationv1.BreakServiceClient
}

func newBooks(f *fixture) *books {
	b := &books{
		fixture: f, runs: reconciliationv1.NewReconciliationServiceClient(f.conn), statements: reconciliationv1.NewStatementServiceClient(f.conn),
		breaks: reconciliationv1.NewBreakServiceClient(f.conn),
	}
	put, err := b.runs.PutRuleSet(f.Context(), &reconciliationv1.PutRuleSetRequest{IdempotencyKey: "rules-of-the-simulator", Document: simulatorFees, Note: "fees"})
	if err != nil {
		f.Fatal(err)
	}
	_, err = b.runs.ActivateRuleSet(f.Context(), &reconciliationv1.ActivateRuleSetRequest{
		IdempotencyKey: "activate-rules", Version: put.GetRuleSet().GetVersion(), Reason: "the provider is the simulator",
	})
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// settlement asks the provider, or the bank, for its file.
func (b *books) settlement(query string) pspsim.Settlement {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.world.PSP.URL()+"/v1/settlement?"+query, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	var made pspsim.Settlement
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s, %v", query, answer.Status, err)
	}
	return made
}

// converting has the provider settle dollars in euros.
const converting = "&convert=USD:EUR:0.92"

// planted is the provider's report with n rows that are wrong, each in one way: none of them is of a payment in doubt, which the
// report is to prove, and one at least is at another rate.
func (b *books) planted(n int) (report pspsim.Settlement) {
	b.Helper()
	inDoubt := map[string]bool{}
	for _, e := range b.world.PSP.Journal() {
		inDoubt[e.ID] = e.PaymentMethod == "pm_lookup_fails"
	}
	for seed := range 100 {
		report = b.settlement(fmt.Sprintf("format=stripe-csv&plant=%d&seed=%d%s", n, seed, converting))
		if !slices.ContainsFunc(report.Planted, func(d pspsim.Discrepancy) bool { return inDoubt[d.Source] }) &&
			slices.ContainsFunc(report.Planted, func(d pspsim.Discrepancy) bool { return d.Kind == "other_rate" }) {
			return report
		}
	}
	b.Fatal("no seed plants what is wanted")
	return report
}

// bring has a file taken in.
func (b *books) bring(name, content string) *reconciliationv1.ImportStatementResponse {
	b.Helper()
	stream, err := b.statements.ImportStatement(b.Context())
	if err == nil {
		err = stream.Send(&reconciliationv1.ImportStatementRequest{
			IdempotencyKey: "import/" + name, Part: &reconciliationv1.ImportStatementRequest_Header{Header: &reconciliationv1.StatementHeader{Name: name}},
		})
	}
	for err == nil && len(content) > 0 {
		n := min(len(content), 64<<10)
		err = stream.Send(&reconciliationv1.ImportStatementRequest{Part: &reconciliationv1.ImportStatementRequest_Chunk{Chunk: []byte(content[:n])}})
		content = content[n:]
	}
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return answer
}

// run runs a reconciliation to its end.
func (b *books) run(asOf time.Time) *reconciliationv1.Run {
	b.Helper()
	begun, err := b.runs.RunReconciliation(b.Context(), &reconciliationv1.RunReconciliationRequest{IdempotencyKey: "run/" + uuid.NewString(), AsOf: asOf.Format(time.DateOnly)})
	if err != nil {
		b.Fatal(err)
	}
	stream, err := b.runs.WatchRun(b.Context(), &reconciliationv1.WatchRunRequest{RunId: begun.GetRun().GetRunId()})
	for err == nil {
		var answer *reconciliationv1.WatchRunResponse
		if answer, err = stream.Recv(); err == nil && answer.GetRun().GetEndTime() != nil {
			return answer.GetRun()
		}
	}
	b.Fatalf("watching the run: %v", err)
	return nil
}

// caughtUp waits until what the services told has become movements.
func (b *books) caughtUp() {
	b.Helper()
	want := 0
	for _, e := range b.world.PSP.Journal() {
		switch e.Type {
		case pspsim.TypeCharge, pspsim.TypeCapture, pspsim.TypeRefund, pspsim.TypeChargeback, pspsim.TypeChargebackReversal:
			want++
		}
	}
	waittest.Until(b.T, fmt.Sprintf("the books have %d movements", want), func() bool {
		return pgtest.Column[int64](b.T, b.world.Pool["reconciliation"], `
			SELECT count(*) FROM movement m JOIN delivery d ON d.id = m.id >> 32 WHERE m.ours AND d.kind = 3 AND m.standing IN (0, 1)`)[0] >= int64(want)
	})
}

// wanted is the code of the break that a planted discrepancy is to be found as.
func wanted(d pspsim.Discrepancy) breaks.Code {
	switch d.Kind {
	case "missing_row":
		return breaks.MissingAtProvider
	case "other_amount":
		return breaks.AmountOver // the simulator adds to what there is, also to what goes back
	case "duplicated_row":
		return breaks.DuplicateExternal
	case "extra_row":
		switch d.Category {
		case "refund":
			return breaks.ReturnUnmatched
		case "dispute", "dispute_reversal":
			return breaks.ChargebackUnmatched
		}
		return breaks.MissingInternally
	case "shifted_date":
		return breaks.DateOutOfWindow
	case "other_fee":
		return breaks.FeeVariance
	case "split_row":
		return breaks.SplitIncomplete
	case "wrong_currency":
		return breaks.CurrencyMismatch
	case "other_rate":
		return breaks.FXVariance
	case "declined_row":
		return breaks.StateConflict
	}
	return "no code for " + breaks.Code(d.Kind)
}

// open lists the breaks that are not resolved, each as its code and the provider's id that it is about.
func (b *books) open() map[string]*reconciliationv1.Break {
	b.Helper()
	all := map[string]*reconciliationv1.Break{}
	for token := ""; ; {
		page, err := b.breaks.ListBreaks(b.Context(), &reconciliationv1.ListBreaksRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			b.Fatal(err)
		}
		for _, broken := range page.GetBreaks() {
			got, err := b.breaks.GetBreak(b.Context(), &reconciliationv1.GetBreakRequest{BreakId: broken.GetBreakId()})
			if err != nil {
				b.Fatal(err)
			}
			about := broken.GetSubject()
			for _, m := range got.GetMovements() {
				about = m.GetProviderId()
			}
			if broken.GetCode() == string(breaks.MissingInternally) || broken.GetCode() == string(breaks.ReturnUnmatched) || broken.GetCode() == string(breaks.ChargebackUnmatched) {
				about = fmt.Sprint(len(all)) // of an id that nobody knows
			}
			all[broken.GetCode()+" "+about] = broken
		}
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// wantExplained wants the reports of currencies to say what every cent of the drift is made of.
func (b *books) wantExplained(until time.Time, currencies ...string) {
	b.Helper()
	for _, currency := range currencies {
		answer, err := b.runs.GetReport(b.Context(), &reconciliationv1.GetReportRequest{
			Account: "default", CurrencyCode: currency, From: until.AddDate(0, -1, 0).Format(time.DateOnly), To: until.Format(time.DateOnly),
		})
		if err != nil {
			b.Fatal(err)
		}
		r := answer.GetReport()
		left := r.GetDrift().GetMinorUnits()
		for _, e := range r.GetExplanations() {
			left -= e.GetAmount().GetMinorUnits()
		}
		if left != 0 || r.GetUnexplained().GetMinorUnits() != 0 || r.GetMovementsWaiting() != 0 {
			b.Errorf("%d of the drift in %s are not explained: %v", left, currency, r)
		}
	}
}

func count(all map[string]*reconciliationv1.Break) map[breaks.Code]int {
	codes := map[breaks.Code]int{}
	for _, broken := range all {
		codes[breaks.Code(broken.GetCode())]++
	}
	return codes
}

// TestReconciliation_FindsWhatIsPlantedAndNothingElse has a day's traffic reconciled with a report of the provider in which 40
// rows are wrong, and with the bank's statements: of one currency as camt.053, of the other as MT940; a third currency is settled in
// the second one. What is planted is found with its code, and nothing else; the reports explain every cent; payments that nobody
// could tell about are proven by the report, and end.
func TestReconciliation_FindsWhatIsPlantedAndNothingElse(t *testing.T) {
	f := setup(t)
	b, tr := newBooks(f), &traffic{orders: *reconOrders, items: *reconOrders / 5, lost: 4}
	tr.run(f)
	b.caughtUp()
	report := b.planted(40)
	for name, content := range map[string]string{
		"report.csv": report.Content, "bank-gbp.xml": b.settlement("format=camt053&currency=GBP" + converting).Content,
		"bank-eur.sta": b.settlement("format=mt940&currency=EUR" + converting).Content,
	} {
		if got := b.bring(name, content).GetFile(); got.GetState() != reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_ACCEPTED {
			t.Fatalf("%s: %v", name, got)
		}
	}
	asOf := time.Now().UTC().AddDate(0, 0, 10)
	first := b.run(asOf)
	t.Logf("%d movements, %d matches in %v: %v", first.GetMovements(), first.GetMatched(), first.GetEndTime().AsTime().Sub(first.GetStartTime().AsTime()), first.GetBreaks())

	want := map[breaks.Code]int{breaks.UnknownResolved: tr.lost}
	for _, d := range report.Planted {
		want[wanted(d)]++
	}
	found := map[breaks.Code]int{}
	for _, c := range first.GetBreaks() {
		if c.GetCode() != string(breaks.TimingOpen) {
			found[breaks.Code(c.GetCode())] = int(c.GetCount())
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("breaks (-planted +found):\n%s", diff)
	}
	broken := b.open()
	for _, d := range report.Planted {
		if d.Kind == "extra_row" {
			continue // its id is nobody's
		}
		if broken[string(wanted(d))+" "+d.Source] == nil {
			t.Errorf("%+v is not found as %s", d, wanted(d))
		}
	}

	b.wantExplained(asOf, "GBP", "EUR", "USD")

	// What the report proves ends by itself: the payments, their sagas, the batch.
	ended := systemtest.EndBatch(t, billingv1.NewBatchServiceClient(f.conn), tr.batch.GetBatchId(), 2*time.Minute)
	if p := ended.GetProgress(); p.GetSucceeded() != int64(tr.items) || !ended.GetProof().GetHolds() {
		t.Errorf("the batch ended as %v, %v", p, ended.GetProof())
	}
	b.caughtUp()
	second := b.run(asOf)
	delete(want, breaks.UnknownResolved)
	if diff := cmp.Diff(want, count(b.open())); diff != "" {
		t.Errorf("breaks after what could be repaired was (-want +got):\n%s", diff)
	}
	third := b.run(asOf)
	if third.GetMatched() != 0 {
		t.Errorf("run again: %v, after %v", third, second)
	}
	f.world.CheckInvariants(t, f.conn)
}
