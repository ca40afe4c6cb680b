package shipment

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a client of a running service, and a look into its database.
type bundle struct {
	shipmentv1.ShipmentServiceClient
	db     *pgxpool.Pool
	faults *pgtest.FaultySwitch // of the service's COMMITs
	duties *shipments           // for the duties, which tests begin themselves

	process *service.Process
}

// patient is a configuration under which no batch is answered before all of it has ended.
func patient() Config {
	cfg := DefaultConfig()
	cfg.BatchPatience = time.Minute
	return cfg
}

// setup runs the service with a carrier.
func setup(t *testing.T, by carrier.Carrier) bundle {
	t.Helper()
	return setupWith(t, by, patient(), servicetest.Config())
}

func setupWith(t *testing.T, by carrier.Carrier, cfg Config, process service.Config) bundle {
	t.Helper()
	var b bundle
	dsn := pgtest.DSN(t, Migrations()...)
	b.connect(t, servicetest.StartWith(t, process, b.service(t, dsn, by, cfg)), dsn)
	return b
}

// start runs the service on a database that is there.
func (b *bundle) start(t *testing.T, dsn string, by carrier.Carrier) {
	t.Helper()
	b.connect(t, servicetest.StartWith(t, servicetest.Config(), b.service(t, dsn, by, patient())), dsn)
}

// service is the service with a carrier, on a pool that loses COMMITs as b.faults says.
func (b *bundle) service(t *testing.T, dsn string, by carrier.Carrier, cfg Config) service.Service {
	return service.Service{
		Name: "shipment", Migrations: Migrations(), Postgres: service.Postgres{DSN: dsn, MaxConns: 16},
		Run: func(_ context.Context, env *service.Env) error {
			env.Pool, b.faults = pgtest.Faulty(t, env.Pool)
			var err error
			b.duties, err = wire(env, cfg, among(by))
			return err
		},
	}
}

// among are a carrier, which is the default one, and another that only offers standard.
func among(by carrier.Carrier) carrier.Directory {
	return carrier.Directory{Default: "simulator", Carriers: map[string]carrier.Carrier{
		"simulator": by, "economy": carrier.NewSimulator(carrier.SimulatorConfig{}, carrier.Standard),
	}}
}

func (b *bundle) connect(t *testing.T, p *service.Process, dsn string) {
	t.Helper()
	b.process = p
	var err error
	if b.db, err = pgxpool.New(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.db.Close)
	b.ShipmentServiceClient = shipmentv1.NewShipmentServiceClient(servicetest.Dial(t, p, "orchestrator"))
}

const key = "saga/sag_1/ship"

func address(country string) *commonv1.Address {
	return &commonv1.Address{Name: "Ada Lovelace", Street: "12 St James's Square", City: "London", PostalCode: "SW1Y 4JH", Country: country}
}

func toSchedule(key, country string) *shipmentv1.ScheduleRequest {
	return &shipmentv1.ScheduleRequest{IdempotencyKey: key, Reference: "ord_1", Address: address(country)}
}

func (b bundle) mustSchedule(t *testing.T, key string) *shipmentv1.Shipment {
	t.Helper()
	answer, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetShipment()
}

// rows gives the rows of a query, each as its values with spaces between.
func (b bundle) rows(t *testing.T, query string, args ...any) []string {
	t.Helper()
	found, err := b.db.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// states gives the state of every shipment, oldest first.
func (b bundle) states(t *testing.T) []string {
	t.Helper()
	return b.rows(t, `SELECT state FROM shipment ORDER BY id`)
}

// events gives the names of the events written, in order.
func (b bundle) events(t *testing.T) []string {
	t.Helper()
	return b.rows(t, `SELECT name FROM outbox ORDER BY seq`)
}

// counts gives how often each of some words is there.
func counts(words []string) map[string]int64 {
	n := map[string]int64{}
	for _, w := range words {
		n[w]++
	}
	return n
}

// awaitLease waits until somebody works on the key.
func (b bundle) awaitLease(t *testing.T, method string) {
	t.Helper()
	waittest.Until(t, "somebody works on it", func() bool {
		return len(b.rows(t, `SELECT key FROM idem WHERE method = $1 AND key = $2 AND state = 1`, method, key)) == 1
	})
}

// endLease does what time does after a crash: whoever holds the key's lease holds it no longer.
func (b bundle) endLease(t *testing.T, method string) {
	t.Helper()
	tag, err := b.db.Exec(t.Context(), `UPDATE idem SET lease_until = now() WHERE method = $1 AND key = $2 AND state = 1`, method, key)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("ending the lease of %s: %v, %v", method, tag, err)
	}
}
