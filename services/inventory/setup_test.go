package inventory

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/metadata"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/inventory/stock"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a client of a running service, and a look into its database.
type bundle struct {
	inventoryv1.InventoryServiceClient
	process *service.Process
	db      *pgxpool.Pool
	wired   *inventory
}

// setup runs the service with some stock. However a test ends, the levels must be what the events add up to.
func setup(t *testing.T, lines ...*inventoryv1.StockLine) bundle {
	t.Helper()
	return setupWith(t, servicetest.Config(), lines...)
}

func setupWith(t *testing.T, cfg service.Config, lines ...*inventoryv1.StockLine) bundle {
	t.Helper()
	dsn := pgtest.DSN(t, Migrations()...)
	b := bundle{}
	b.process = servicetest.StartWith(t, cfg, b.service(dsn))
	db, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	b.db, b.InventoryServiceClient = db, inventoryv1.NewInventoryServiceClient(servicetest.Dial(t, b.process, "orchestrator"))
	t.Cleanup(func() { b.checkLevels(t) })
	if len(lines) > 0 {
		b.mustReceive(t, "receipt-of-setup", lines...)
	}
	return b
}

// testConfig leaves it to the tests when reservations expire and events are projected.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.ExpireEvery, cfg.ProjectEvery = time.Hour, time.Hour
	return cfg
}

// service is a replica whose use cases the bundle has at hand.
func (b *bundle) service(dsn string) service.Service {
	s := inventoryService(dsn)
	s.Run = func(_ context.Context, env *service.Env) (err error) {
		b.wired, err = wire(env, testConfig())
		return err
	}
	return s
}

func inventoryService(dsn string) service.Service { return configured(dsn, testConfig()) }

func configured(dsn string, cfg Config) service.Service {
	return service.Service{
		Name: "inventory", Migrations: Migrations(), Postgres: service.Postgres{DSN: dsn, MaxConns: cfg.Postgres.MaxConns},
		Run: func(ctx context.Context, env *service.Env) error { return Run(ctx, env, cfg) },
	}
}

func line(sku string, quantity int32) *inventoryv1.StockLine {
	return &inventoryv1.StockLine{Sku: sku, Quantity: quantity}
}

func toReserve(key string, lines ...*inventoryv1.StockLine) *inventoryv1.ReserveRequest {
	return &inventoryv1.ReserveRequest{IdempotencyKey: key, Reference: "ord_1", Lines: lines}
}

func (b bundle) mustReceive(t *testing.T, key string, lines ...*inventoryv1.StockLine) []*inventoryv1.Stock {
	t.Helper()
	answer, err := b.ReceiveStock(t.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: key, Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetStock()
}

func (b bundle) mustReserve(t *testing.T, key string, lines ...*inventoryv1.StockLine) *inventoryv1.Reservation {
	t.Helper()
	answer, err := b.Reserve(t.Context(), toReserve(key, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetReservation()
}

func (b bundle) release(t *testing.T, key string) (*inventoryv1.Reservation, error) {
	t.Helper()
	answer, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{IdempotencyKey: key})
	return answer.GetReservation(), err
}

func (b bundle) commit(t *testing.T, key, reservationID string) (*inventoryv1.Reservation, error) {
	t.Helper()
	answer, err := b.Commit(t.Context(), &inventoryv1.CommitRequest{IdempotencyKey: key, ReservationId: reservationID})
	return answer.GetReservation(), err
}

// wantLevels fails the test unless these are the levels, by SKU.
func (b bundle) wantLevels(t *testing.T, want ...stock.Level) {
	t.Helper()
	if diff := cmp.Diff(want, b.levels(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}

func (b bundle) levels(t *testing.T) []stock.Level {
	t.Helper()
	return pgtest.Rows[stock.Level](t, b.db, `SELECT sku, available, reserved, shipped, adjusted FROM stock_level ORDER BY sku COLLATE "C"`)
}

// events gives the names of the events written, in order.
func (b bundle) events(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, e := range pgtest.Rows[struct{ Entity, Name string }](t, b.db, `SELECT entity, name FROM outbox ORDER BY seq`) {
		names = append(names, e.Entity+"."+e.Name)
	}
	return names
}

// checkLevels folds the history of every SKU and compares with its level, and with what reservations hold.
func (b bundle) checkLevels(t *testing.T) {
	folded := map[string]stock.Level{}
	for _, e := range pgtest.Rows[stock.Event](t, b.db, `SELECT sku, type, quantity FROM stock_event ORDER BY id`) {
		after, err := folded[e.SKU].Apply(e)
		if err != nil {
			t.Fatalf("the history of %s: %v", e.SKU, err)
		}
		folded[e.SKU] = after
	}
	held := map[string]int64{}
	for _, l := range pgtest.Rows[stock.Line](t, b.db, `SELECT unnest(skus), unnest(quantities) FROM reservation WHERE state = 1`) {
		held[l.SKU] += l.Quantity
	}
	for _, l := range b.levels(t) {
		fold := folded[l.SKU]
		fold.SKU = l.SKU // also of one without events
		if diff := cmp.Diff(fold, l); diff != "" {
			t.Errorf("level of %s (-events +projection):\n%s", l.SKU, diff)
		}
		if l.Reserved != held[l.SKU] {
			t.Errorf("%d pieces of %s are reserved, and reservations hold %d", l.Reserved, l.SKU, held[l.SKU])
		}
		delete(folded, l.SKU)
	}
	if len(folded) > 0 {
		t.Errorf("SKUs with a history and no level: %v", folded)
	}
}

// replayed tells whether an answer's header says that it was given before.
func replayed(header metadata.MD) bool {
	return slices.Equal(header.Get("idempotency-replayed"), []string{"true"})
}
