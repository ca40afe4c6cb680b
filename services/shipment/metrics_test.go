package shipment

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// metric scrapes the value of a metric of a carrier.
func (b bundle) metric(t *testing.T, name, carrier string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + b.process.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, `carrier="`+carrier+`"`) {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("there is no metric %s of %s", name, carrier)
	return 0
}

// wantInDoubt fails the test unless so many shipments of a carrier are told to be in doubt, for so many hours.
func (b bundle) wantInDoubt(t *testing.T, carrier string, shipments, hours int) {
	t.Helper()
	n, age := b.metric(t, "tieout_shipment_in_doubt", carrier), b.metric(t, "tieout_shipment_in_doubt_age_seconds", carrier)
	if from := float64(hours) * 3600; n != float64(shipments) || age < from || age >= from+3600 {
		t.Errorf("%v shipments of %s are in doubt for up to %v s, want %d for %d hours", n, carrier, age, shipments, hours)
	}
}

// ages makes shipments older.
func (b bundle) ages(t *testing.T, where string) {
	t.Helper()
	if _, err := b.db.Exec(t.Context(), `UPDATE shipment SET updated_at = updated_at - interval '2 hours' WHERE `+where); err != nil {
		t.Fatal(err)
	}
}

func TestMetric_TellsOfShipmentsInDoubt(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.answers.Store(1)
	_, err := b.Schedule(t.Context(), toSchedule(shipKey(1), "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	b.wantInDoubt(t, "simulator", 0, 0) // whoever asked may be at it
	b.ages(t, "true")
	b.wantInDoubt(t, "simulator", 1, 2)
	b.wantInDoubt(t, "economy", 0, 0)

	b.mustSchedule(t, shipKey(2))
	b.ages(t, "state = 2")
	by.calls.Store(1)
	_, err = b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: shipKey(2)})
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	b.wantInDoubt(t, "simulator", 1, 2) // it is in doubt since it was to be cancelled
	b.ages(t, "true")
	b.wantInDoubt(t, "simulator", 2, 4)

	b.look(t)
	b.wantInDoubt(t, "simulator", 0, 0)
}

func TestMetric_TellsOfCarriersThatThereAreNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t, newLedger(t))
	if _, err := b.db.Exec(t.Context(), `
		INSERT INTO shipment (id, state, reference, address, carrier_key, carrier, updated_at)
		SELECT gen_random_uuid(), 1, 'ord_' || n, '{}', 'k' || n, 'gone-' || n, now() - n * interval '1 hour' FROM generate_series(1, 3) AS n`); err != nil {
		t.Fatal(err)
	}
	b.wantInDoubt(t, formerCarrier, 3, 3)
	b.wantInDoubt(t, "simulator", 0, 0)
}

// What is scraped every few seconds does not read what is on its way, however much that is.
func TestMetric_IsFoundByIndexHoweverManyAreOnTheirWay(t *testing.T) {
	t.Parallel()
	b := setup(t, newLedger(t))
	b.mustSchedule(t, shipKey(1))
	if _, err := b.db.Exec(t.Context(), `
INSERT INTO shipment (id, state, reference, address, carrier_key, carrier, tracking_number, look_at)
SELECT gen_random_uuid(), 5, 'ord_' || n, address, 'key-' || n, carrier, 'T' || n, now() FROM shipment, generate_series(1, 5000) AS n;
ANALYZE shipment`); err != nil {
		t.Fatal(err)
	}
	rows, err := b.db.Query(t.Context(), `EXPLAIN `+inDoubtByCarrier, lease)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "shipment_in_doubt") {
		t.Error(plan)
	}
}
