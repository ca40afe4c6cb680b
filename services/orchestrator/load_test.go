package orchestrator

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// counted is a pool that counts its queries.
type counted struct {
	*pgxpool.Pool
	queries int
}

func (c *counted) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.queries++
	return c.Pool.Query(ctx, sql, args...)
}

func TestLoadRuns_ReadsManySagasInTwoStatements(t *testing.T) {
	t.Parallel()
	db := &counted{Pool: pgtest.Pool(t, Migrations()...)}
	sagas := plant(t, db.Pool,
		planted{happened: parkedShip, atRisk: true, total: money.Amount{Currency: "KWD", Minor: 1234}, customer: "c-7"},
		planted{happened: completed}, planted{happened: paused}, planted{})
	ids := []SagaID{id.New[sagaKind]()} // one that there is not
	for _, p := range sagas {
		ids = append(ids, p.sagaID)
	}
	all, err := loadRuns(t.Context(), db, known, ids)
	if err != nil {
		t.Fatal(err)
	}
	if db.queries != 2 || len(all) != len(sagas) {
		t.Errorf("%d statements gave %d sagas, want 2 and %d", db.queries, len(all), len(sagas))
	}
	for i, phase := range []saga.Phase{saga.Parked, saga.Completed, saga.Running, saga.Running} {
		got := all[sagas[i].sagaID]
		if got.err != nil || got.state.Phase != phase || got.view.phase != phase || len(got.events) != len(sagas[i].happened)+1 {
			t.Errorf("saga %d: got %s, row %s, %d events, error %v", i, got.state.Phase, got.view.phase, len(got.events), got.err)
		}
	}
	first := all[sagas[0].sagaID]
	want := subject{
		reference: sagas[0].orderID.String(), customerID: "c-7", paymentMethod: "pm_ok", shipTo: address{Country: "GB"},
		total: money.Amount{Currency: "KWD", Minor: 1234},
		lines: []line{{SKU: "MUG", Quantity: 1, UnitPrice: money.Amount{Currency: "KWD", Minor: 1234}}},
	}
	if diff := cmp.Diff(want, first.subject, cmp.AllowUnexported(subject{})); diff != "" || !first.view.atRisk {
		t.Errorf("order (-want +got):\n%s\nat risk: %t", diff, first.view.atRisk)
	}
}

func TestLoadRuns_OneThatIsNotUnderstoodFailsAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	sagas := plant(t, db, planted{}, planted{}, planted{}, planted{})
	for i, sql := range []string{
		`UPDATE saga SET version = 99 WHERE id = $1`,
		`INSERT INTO saga_event (saga_id, seq, type, step, at, detail) VALUES ($1, 2, 'compensated', '', now(), '{}')`,
		`INSERT INTO saga_event (saga_id, seq, type, step, at, detail) VALUES ($1, 2, 'paused', '', now(), '{"cause": 7}')`,
	} {
		if _, err := db.Exec(t.Context(), sql, sagas[i].sagaID); err != nil {
			t.Fatal(err)
		}
	}
	all, err := loadRuns(t.Context(), db, known, []SagaID{sagas[0].sagaID, sagas[1].sagaID, sagas[2].sagaID, sagas[3].sagaID})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"order v99: no such definition", "event 2 compensated", "decoding saga event 2", ""} {
		got := all[sagas[i].sagaID]
		if (got.err == nil) != (want == "") || got.err != nil && !strings.Contains(got.err.Error(), want) {
			t.Errorf("saga %d: got error %v, want %q", i, got.err, want)
		}
		if got.view.id != sagas[i].sagaID || got.view.subject != sagas[i].orderID.UUID() {
			t.Errorf("saga %d: its row and order are lost with its history", i)
		}
	}
}

// A row may be read a moment before its history.
func TestLoadRuns_TakesTheHistoryForTruth(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	sagas := plant(t, db, planted{happened: paused})
	if _, err := db.Exec(t.Context(), `UPDATE saga SET seq = 2, paused = false WHERE id = $1`, sagas[0].sagaID); err != nil {
		t.Fatal(err)
	}
	all, err := loadRuns(t.Context(), db, known, []SagaID{sagas[0].sagaID})
	if got := all[sagas[0].sagaID]; err != nil || got.err != nil || !got.view.paused || got.view.seq != 3 {
		t.Errorf("got %+v, %v", got.view, err)
	}
}
