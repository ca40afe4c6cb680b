package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

var reconOrders = flag.Int("e2e.recon-orders", 500, "how many orders are reconciled")

// simulatorFees is what the simulator keeps, as a rule set says it.
const simulatorFees = `{
	"fees": [
		{"currency": "GBP", "kind": "charge", "rate_ppm": 15000, "fixed_minor": 20, "rounding": "down", "within_amount": true},
		{"currency": "EUR", "kind": "charge", "rate_ppm": 15000, "fixed_minor": 20, "rounding": "down", "within_amount": true},
		{"kind": "refund", "rounding": "down"}
	]}`

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

func TestReconciliation_FindsWhatIsPlantedAndNothingElse(t *testing.T) {
	f := setup(t)
	b := newBooks(f)
	tr := &traffic{orders: *reconOrders, items: *reconOrders / 5, lost: 4}
	tr.run(f)
	b.caughtUp()
	report := b.settlement("format=stripe-csv&plant=40&seed=11")
	for name, content := range map[string]string{
		"report.csv": report.Content, "bank-gbp.xml": b.settlement("format=camt053&currency=GBP").Content, "bank-eur.sta": b.settlement("format=mt940&currency=EUR").Content,
	} {
		t.Log(name, b.bring(name, content))
	}
	run := b.run(time.Now().UTC().AddDate(0, 0, 10))
	t.Log(run)
	for _, d := range report.Planted {
		t.Log(d)
	}
	rows, err := b.world.Pool["reconciliation"].Query(context.Background(), `SELECT f.code, f.amount_minor, f.matched, p.stage, p.currency, f.payout_id, f.effect_minor, f.nearest, array_length(f.ours, 1), array_length(f.theirs, 1),
		(SELECT m.provider_id || ' ' || m.reference || ' ' || m.amount_minor || ' ' || m.standing || ' ' || m.kind FROM movement m WHERE m.id = f.ours[1]), (SELECT m.provider_id || ' ' || m.reference || ' ' || m.amount_minor FROM movement m WHERE m.id = f.theirs[1])
	 FROM run_finding f JOIN partition p ON p.id = f.partition_id WHERE f.code <> 'TIMING_OPEN' ORDER BY f.code, f.place LIMIT 90`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		v, err := rows.Values()
		t.Log(v, err)
	}
}
