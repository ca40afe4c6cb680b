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
	def      saga.Definition // zero for orderV2
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
	doneReserve   = saga.Event{Type: saga.StepDone, Step: stepReserve, Detail: saga.Detail{Result: []byte(`{"reservation_id":"res_1"}`)}}
	doneAuthorize = saga.Event{Type: saga.StepDone, Step: stepAuthorize}
	doneShip      = saga.Event{Type: saga.StepDone, Step: stepShip}
	doneCapture   = saga.Event{Type: saga.StepDone, Step: stepCapture}
	doneCommit    = saga.Event{Type: saga.StepDone, Step: stepCommit}
	// unknownCharge is of orderV1.
	unknownCharge = []saga.Event{doneReserve, {Type: saga.StepUnknown, Step: stepCharge, Detail: saga.Detail{Cause: "UNAVAILABLE", RetryAt: time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	turnedBack    = []saga.Event{doneReserve, {Type: saga.StepRefused, Step: stepAuthorize, Detail: saga.Detail{Cause: "declined"}}, {Type: saga.CompensationDecided, Detail: saga.Detail{Cause: "authorize was refused: 100% _declined_"}}}
	parkedDenied  = []saga.Event{doneReserve, {Type: saga.SagaParked, Detail: saga.Detail{Cause: "authorize was denied: PERMISSION_DENIED"}}}
	parkedShip    = []saga.Event{doneReserve, doneAuthorize, {Type: saga.SagaParked, Detail: saga.Detail{Cause: "ship stays unknown"}}}
	completed     = []saga.Event{doneReserve, doneAuthorize, doneShip, doneCapture, doneCommit, {Type: saga.SagaCompleted}}
	paused        = []saga.Event{doneReserve, {Type: saga.SagaPaused, Detail: saga.Detail{Cause: "because", Actor: "test"}}}
)

// plant writes sagas with their orders and histories, and gives them with their ids, the oldest first.
func plant(t testing.TB, db *pgxpool.Pool, sagas ...planted) []planted {
	t.Helper()
	var rows plantedRows
	for i := range sagas {
		sagas[i].sagaID, sagas[i].orderID = id.New[sagaKind](), id.New[orderKind]()
		if sagas[i].def.Name == "" {
			sagas[i].def = orderV2
		}
		rows.add(t, sagas[i])
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to, created_at)
SELECT a, b, c, 'pm_ok', d, e,
       jsonb_build_array(jsonb_build_object('sku', 'MUG', 'quantity', 1, 'unit_price', jsonb_build_object('currency_code', d, 'minor_units', e))),
       '{"country": "GB"}', f
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[]) AS u (a, b, c, d, e, f)`,
		rows.orderIDs, rows.ids, rows.customers, rows.currencies, rows.totals, rows.createdAts)
	exec(`
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, paused, at_risk, next_at, created_at, updated_at)
SELECT a, 'order', v, b, c, d, e, f, g, '', h, i, j, k, k
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::int[], $7::timestamptz[], $8::bool[], $9::bool[], $10::timestamptz[],
              $11::timestamptz[], $12::int[]) AS u (a, b, c, d, e, f, g, h, i, j, k, v)`,
		rows.ids, rows.orderIDs, rows.phases, rows.steps, rows.causes, rows.seqs, rows.deadlines, rows.pauseds, rows.atRisks, rows.nextAts,
		rows.createdAts, rows.versions)
	exec(`
INSERT INTO saga_event (saga_id, seq, type, step, at, detail)
SELECT a, b, c, d, e, f::jsonb FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS u (a, b, c, d, e, f)`,
		rows.eventSagas, rows.eventSeqs, rows.eventTypes, rows.eventSteps, rows.eventAts, rows.eventDetails)
	return sagas
}

// plantedRows are the rows of planted sagas, by column.
type plantedRows struct {
	ids, orderIDs                        []uuid.UUID
	customers, currencies, steps, causes []string
	totals                               []int64
	versions, phases, seqs               []int32
	pauseds, atRisks                     []bool
	createdAts, deadlines                []time.Time
	nextAts                              []*time.Time

	eventSagas                           []uuid.UUID
	eventSeqs                            []int32
	eventTypes, eventSteps, eventDetails []string
	eventAts                             []time.Time
}

func (r *plantedRows) add(t testing.TB, p planted) {
	t.Helper()
	at := clock().Add(-p.age)
	history := []saga.Event{saga.Start(p.def, at)}
	for n, e := range p.happened {
		e.Seq, e.At = n+2, at.Add(time.Duration(n+1)*time.Millisecond)
		history = append(history, e)
	}
	state, err := saga.Fold(p.def, history)
	if err != nil {
		t.Fatal(err)
	}
	r.versions = append(r.versions, int32(p.def.Version))
	r.ids, r.orderIDs = append(r.ids, p.sagaID.UUID()), append(r.orderIDs, p.orderID.UUID())
	r.customers = append(r.customers, cmp.Or(p.customer, "c-1"))
	total := cmp.Or(p.total, money.Amount{Currency: "GBP", Minor: 750})
	r.currencies, r.totals = append(r.currencies, string(total.Currency)), append(r.totals, total.Minor)
	r.phases, r.steps = append(r.phases, int32(state.Phase)), append(r.steps, stepOf(p.def, state))
	r.causes, r.seqs = append(r.causes, state.Cause), append(r.seqs, int32(state.Seq))
	r.pauseds, r.atRisks = append(r.pauseds, state.Paused), append(r.atRisks, p.atRisk)
	r.createdAts, r.deadlines = append(r.createdAts, at), append(r.deadlines, state.Deadline)
	var next *time.Time
	if !state.NextAt.IsZero() {
		next = &state.NextAt
	}
	r.nextAts = append(r.nextAts, next)
	for _, e := range history {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			t.Fatal(err)
		}
		r.eventSagas, r.eventSeqs = append(r.eventSagas, p.sagaID.UUID()), append(r.eventSeqs, int32(e.Seq))
		r.eventTypes, r.eventSteps = append(r.eventTypes, string(e.Type)), append(r.eventSteps, e.Step)
		r.eventAts, r.eventDetails = append(r.eventAts, e.At), append(r.eventDetails, string(detail))
	}
}
