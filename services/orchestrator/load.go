package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// errNoDefinition says that this build cannot run a saga.
var errNoDefinition = errors.New("no such definition in this build")

// loaded is a saga as it was read, with what it is for and its history, or what kept it from being understood.
type loaded struct {
	driven
	err error
}

// loadRuns reads many sagas in two statements. A saga that cannot be understood – its definition is not in this build,
// or its history does not fold – carries that as its own error; the others are good. An id of no saga is not in the
// answer. Whoever writes what follows on the states holds the sagas' rows; for others a row may be a moment older than
// its history, and what the two disagree on is taken from the history.
func loadRuns(ctx context.Context, db orchestratordb.DBTX, definitions map[definitionKey]saga.Definition, ids []SagaID) (map[SagaID]loaded, error) {
	q, keys := orchestratordb.New(db), uuids(ids)
	rows, err := q.LoadSagas(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("reading sagas: %w", err)
	}
	happened, err := q.ListEventsOfSagas(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("reading saga events: %w", err)
	}
	histories := make(map[SagaID][]orchestratordb.ListEventsOfSagasRow, len(rows))
	for _, e := range happened {
		histories[SagaID(e.SagaID)] = append(histories[SagaID(e.SagaID)], e)
	}
	all := make(map[SagaID]loaded, len(rows))
	for _, row := range rows {
		d, err := understand(row, histories[SagaID(row.ID)], definitions)
		all[d.view.id] = loaded{driven: d, err: err}
	}
	return all, nil
}

// loadAll is loadRuns with all definitions that are known to anybody.
func (e *engine) loadAll(ctx context.Context, db orchestratordb.DBTX, ids []SagaID) (map[SagaID]loaded, error) {
	all, err := loadRuns(ctx, db, e.definitions.known(), ids)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if errors.Is(l.err, errNoDefinition) { // another replica may have brought it
			if err := e.definitions.read(ctx); err != nil {
				return nil, err
			}
			return loadRuns(ctx, db, e.definitions.known(), ids)
		}
	}
	return all, nil
}

// understand makes of a saga's rows what they say. The view and the subject are there also when the history is not
// understood.
func understand(row orchestratordb.LoadSagasRow, history []orchestratordb.ListEventsOfSagasRow, definitions map[definitionKey]saga.Definition) (driven, error) {
	d := driven{run: run{view: viewOf(row)}}
	d.subject = subject{
		reference: d.view.subjectID(), customerID: row.CustomerID, paymentMethod: row.PaymentMethod, total: totalIn(row),
	}
	if d.view.reference == "" {
		if err := errors.Join(json.Unmarshal(row.Lines, &d.subject.lines), json.Unmarshal(row.ShipTo, &d.subject.shipTo)); err != nil {
			return d, fmt.Errorf("decoding %s: %w", d.subject.reference, err)
		}
	}
	var ok bool
	if d.def, ok = definitions[d.view.definition]; !ok {
		return d, fmt.Errorf("%s v%d: %w", d.view.definition.name, d.view.definition.version, errNoDefinition)
	}
	var err error
	if d.events, err = eventsFrom(history); err != nil {
		return d, err
	}
	if d.state, err = saga.Fold(d.def, d.events); err != nil {
		return d, err
	}
	d.view.stepAt = comesUp(time.Time{}, d.events)
	if d.state.Seq != d.view.seq {
		d.view.become(d.def, d.state, d.events[len(d.events)-1].At)
	}
	return d, nil
}

func viewOf(row orchestratordb.LoadSagasRow) sagaView {
	v := sagaView{
		id: SagaID(row.ID), definition: definitionKey{row.Definition, int(row.Version)}, subject: row.OrderID, reference: row.Reference,
		phase: saga.Phase(row.Phase), step: row.Step, cause: row.Cause, seq: int(row.Seq), deadline: row.Deadline,
		traceparent: row.Traceparent, paused: row.Paused, atRisk: row.AtRisk, createdAt: row.CreatedAt, updatedAt: row.UpdatedAt,
	}
	if row.NextAt != nil {
		v.nextAt = *row.NextAt
	}
	return v
}

func totalIn(row orchestratordb.LoadSagasRow) money.Amount {
	return money.Amount{Currency: money.Currency(row.Currency), Minor: row.TotalMinor}
}

func eventsFrom(rows []orchestratordb.ListEventsOfSagasRow) ([]saga.Event, error) {
	events := make([]saga.Event, len(rows))
	for i, r := range rows {
		events[i] = saga.Event{Seq: int(r.Seq), Type: saga.EventType(r.Type), Step: r.Step, At: r.At}
		if err := json.Unmarshal(r.Detail, &events[i].Detail); err != nil {
			return nil, fmt.Errorf("decoding saga event %d: %w", r.Seq, err)
		}
	}
	return events, nil
}

func uuids(ids []SagaID) []uuid.UUID {
	keys := make([]uuid.UUID, len(ids))
	for i, sagaID := range ids {
		keys[i] = sagaID.UUID()
	}
	return keys
}
