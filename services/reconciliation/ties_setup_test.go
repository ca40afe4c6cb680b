package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// tiesFixture is the internal side at work on fakes of the owners. Its duties are run by hand, and events are told by hand, unless
// it listens.
type tiesFixture struct {
	*testing.T
	*business
	*ties
	db      *pgxpool.Pool
	process *service.Process

	sightings sync.Mutex
	open      map[string]sighting // what was sighted and has not vanished, by subject
	vanished  int
}

func setupTies(t *testing.T) *tiesFixture {
	t.Helper()
	t.Parallel()
	return setupTiesWith(t, noStart)
}

// noStart leaves it to the test what is started.
func noStart(*ties, *service.Env) {}

func setupTiesWith(t *testing.T, start func(*ties, *service.Env)) *tiesFixture {
	t.Helper()
	f := &tiesFixture{T: t, business: newBusiness(t), open: map[string]sighting{}}
	dsn := pgtest.DSN(t, Migrations()...)
	var err error
	if f.db, err = pgxpool.New(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	f.process = servicetest.Start(t, append(f.business.services(), service.Service{
		Name: "reconciliation", Postgres: service.Postgres{DSN: dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) error {
			cfg := DefaultConfig()
			for _, name := range []*string{&cfg.OrchestratorAddr, &cfg.PaymentAddr, &cfg.InventoryAddr, &cfg.ShipmentAddr} {
				*name = ""
			}
			r, err := wire(ctx, env, cfg)
			if err != nil {
				return err
			}
			if f.ties, err = newTies(env, r, cfg); err != nil {
				return err
			}
			r.ties = f.ties
			f.report = f.record
			f.waiting = func(context.Context) (uint64, error) { return 0, nil }
			start(f.ties, env)
			return nil
		},
	})...)
	return f
}

// record keeps what is sighted, and what vanishes.
func (f *tiesFixture) record(_ context.Context, _ *pg.Tx, w watcher, _ int32, all []sighting, vanish bool) (seen, error) {
	f.sightings.Lock()
	defer f.sightings.Unlock()
	var s seen
	for key, old := range f.open {
		scope, _, _ := strings.Cut(key, " ")
		if vanish && scope == w.name+":"+w.scope && !slices.ContainsFunc(all, func(s sighting) bool { return s.subject == old.subject }) {
			delete(f.open, key)
			f.vanished++
			s.vanished++
		}
	}
	for _, one := range all {
		f.open[w.name+":"+w.scope+" "+one.subject] = one
	}
	return s, nil
}

// sighted gives what was sighted of a subject and has not vanished; its subject is empty when nothing was.
func (f *tiesFixture) sighted(subject string) sighting {
	f.sightings.Lock()
	defer f.sightings.Unlock()
	for _, s := range f.open {
		if s.subject == subject {
			return s
		}
	}
	return sighting{}
}

// tell has events taken in, in one transaction.
func (f *tiesFixture) tell(events ...bus.Event) {
	f.Helper()
	for batch := range slices.Chunk(events, 256) {
		if err := pg.InTx(f.Context(), f.pool, func(tx *pg.Tx) error { return f.facts().Handle(f.Context(), tx, batch) }); err != nil {
			f.Fatal(err)
		}
	}
}

// later has time go by, for all that is known of orders.
func (f *tiesFixture) later(d time.Duration) {
	f.Helper()
	f.exec(`UPDATE order_fact SET begun_at = begun_at - $1::interval, told_at = told_at - $1::interval, look_at = look_at - $1::interval`, d)
}

func (f *tiesFixture) exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.db.Exec(f.Context(), sql, args...); err != nil {
		f.Fatal(err)
	}
}

// look has time go by, and judges all orders whose time has come.
func (f *tiesFixture) look(after time.Duration) {
	f.Helper()
	f.later(after)
	for again := true; again; {
		var err error
		if again, err = f.lookOnce(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

// compare compares the ledger as far as there is something to compare.
func (f *tiesFixture) compare() {
	f.Helper()
	for again := true; again; {
		var err error
		if again, err = f.compareOnce(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

// state is what is known of all orders, and when they are looked at: "tied", "waits" or "sighted".
func (f *tiesFixture) state(of *story) string {
	f.Helper()
	rows := pgtest.Column[string](f.T, f.db, `
SELECT CASE WHEN sighted THEN 'sighted' WHEN look_at IS NULL THEN 'tied' ELSE 'waits' END FROM order_fact WHERE id = $1`, subjectOf(of.subject).id)
	if len(rows) == 0 {
		return "unknown"
	}
	return rows[0]
}

// movements are those that there are, as text.
func (f *tiesFixture) movements() []string {
	f.Helper()
	return pgtest.Column[string](f.T, f.db, `
SELECT concat_ws(' ', CASE kind WHEN 1 THEN 'charge' WHEN 2 THEN 'refund' WHEN 3 THEN 'chargeback' WHEN 4 THEN 'reversal' END,
                 CASE standing WHEN 0 THEN 'booked' WHEN 1 THEN 'in doubt' ELSE 'refused' END, amount_minor, nullif(fee_minor, 0)) FROM movement ORDER BY 1`)
}

// healed are the gaps that were told to be filled.
func (f *tiesFixture) healed() int {
	f.Helper()
	return len(pgtest.Column[string](f.T, f.db, `SELECT subject FROM outbox WHERE entity = 'gap' AND name = 'healed'`))
}

// wantClean checks the invariants: nothing was counted twice.
func (f *tiesFixture) wantClean() {
	f.Helper()
	if v := pgtest.Violations(f.T, f.db); len(v) > 0 {
		f.Errorf("invariants: %v", v)
	}
}

func (f *tiesFixture) wantState(of *story, want string) {
	f.Helper()
	if got := f.state(of); got != want {
		f.Errorf("the order is %s, want %s; %s", got, want, fmt.Sprint(f.sighted(of.subject)))
	}
}

// waitsFor makes how many events wait be what something says.
func waitsFor(says func() (uint64, error)) func(context.Context) (uint64, error) {
	return func(context.Context) (uint64, error) { return says() }
}
