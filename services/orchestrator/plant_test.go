package orchestrator

import (
	"cmp"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// planted is a saga that a test puts into the database as if it had come about there.
type planted struct {
	sagaID   SagaID
	orderID  OrderID
	customer string        // empty for c-1
	total    money.Amount  // zero for 7.50 GBP
	age      time.Duration // since it started
	atRisk   bool
	happened []saga.Event // after it started
}

// The histories that tests plant.
var (
	doneReserve  = saga.Event{Type: saga.StepDone, Step: stepReserve, Detail: saga.Detail{Result: []byte(`{"reservation_id":"res_1"}`)}}
	doneCharge   = saga.Event{Type: saga.StepDone, Step: stepCharge}
	doneShip     = saga.Event{Type: saga.StepDone, Step: stepShip}
	doneCommit   = saga.Event{Type: saga.StepDone, Step: stepCommit}
	parkedCharge = []saga.Event{doneReserve, {Type: saga.SagaParked, Detail: saga.Detail{Cause: "charge was denied: PERMISSION_DENIED"}}}
	parkedShip   = []saga.Event{doneReserve, doneCharge, {Type: saga.SagaParked, Detail: saga.Detail{Cause: "ship stays unknown"}}}
	completed    = []saga.Event{doneReserve, doneCharge, doneShip, doneCommit, {Type: saga.SagaCompleted}}
	paused       = []saga.Event{doneReserve, {Type: saga.SagaPaused, Detail: saga.Detail{Cause: "because", Actor: "test"}}}
)

// plant writes sagas with their orders and histories, and gives them with their ids.
func plant(t testing.TB, db *pgxpool.Pool, sagas ...planted) []planted {
	t.Helper()
	var ids, orderIDs, eventSagas []uuid.UUID
	var customers, currencies, steps, causes, types, eventSteps, details []string
	var totals []int64
	var phases, seqs, eventSeqs []int32
	var pauseds, atRisks []bool
	var createdAts, deadlines, ats []time.Time
	var nextAts []*time.Time
	for i, p := range sagas {
		p.sagaID, p.orderID = id.New[sagaKind](), id.New[orderKind]()
		sagas[i] = p
		at := clock().Add(-p.age)
		first := saga.Start(orderV1, at)
		history := []saga.Event{first}
		for n, e := range p.happened {
			e.Seq, e.At = n+2, at.Add(time.Duration(n+1)*time.Millisecond)
			history = append(history, e)
		}
		state, err := saga.Fold(orderV1, history)
		if err != nil {
			t.Fatal(err)
		}
		ids, orderIDs = append(ids, p.sagaID.UUID()), append(orderIDs, p.orderID.UUID())
		customers = append(customers, cmp.Or(p.customer, "c-1"))
		total := cmp.Or(p.total, money.Amount{Currency: "GBP", Minor: 750})
		currencies, totals = append(currencies, string(total.Currency)), append(totals, total.Minor)
		phases, steps, causes = append(phases, int32(state.Phase)), append(steps, stepOf(orderV1, state)), append(causes, state.Cause)
		seqs, pauseds, atRisks = append(seqs, int32(state.Seq)), append(pauseds, state.Paused), append(atRisks, p.atRisk)
		createdAts, deadlines = append(createdAts, at), append(deadlines, state.Deadline)
		var next *time.Time
		if !state.NextAt.IsZero() {
			next = &state.NextAt
		}
		nextAts = append(nextAts, next)
		for _, e := range history {
			detail, err := json.Marshal(e.Detail)
			if err != nil {
				t.Fatal(err)
			}
			eventSagas, eventSeqs, types = append(eventSagas, p.sagaID.UUID()), append(eventSeqs, int32(e.Seq)), append(types, string(e.Type))
			eventSteps, ats, details = append(eventSteps, e.Step), append(ats, e.At), append(details, string(detail))
		}
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at)
SELECT a, b, c, 'pm_ok', d, e, jsonb_build_array(jsonb_build_object('sku', 'MUG', 'quantity', 1, 'unit_price', jsonb_build_object('currency_code', d, 'minor_units', e))),
       '{"country": "GB"}', f
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[]) AS u (a, b, c, d, e, f)`,
		orderIDs, ids, customers, currencies, totals, createdAts)
	exec(`
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, paused, at_risk, next_at, created_at, updated_at)
SELECT a, 'order', 1, b, c, d, e, f, g, '', h, i, j, k, k
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::int[], $7::timestamptz[], $8::bool[], $9::bool[], $10::timestamptz[],
              $11::timestamptz[]) AS u (a, b, c, d, e, f, g, h, i, j, k)`,
		ids, orderIDs, phases, steps, causes, seqs, deadlines, pauseds, atRisks, nextAts, createdAts)
	exec(`
INSERT INTO saga_event (saga_id, seq, type, step, at, detail)
SELECT a, b, c, d, e, f::jsonb FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS u (a, b, c, d, e, f)`,
		eventSagas, eventSeqs, types, eventSteps, ats, details)
	return sagas
}
