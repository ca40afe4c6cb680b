package inventory

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/durationpb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// duties gives the use cases that run by themselves, on a pool.
func (b bundle) duties(pool *pgxpool.Pool) *inventory {
	return &inventory{pool: pool, outbox: outbox.New(outbox.Config{Pool: pool, Service: "inventory"}), caches: b.wired.caches}
}

// mustReserveFor reserves mugs for an hour.
func (b bundle) mustReserveFor(t *testing.T, key string, pieces int32) *inventoryv1.Reservation {
	t.Helper()
	r := toReserve(key, line("mug", pieces))
	r.Ttl = durationpb.New(time.Hour)
	answer, err := b.Reserve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetReservation()
}

// letTimePass puts the end of every reservation's time two hours back.
func (b bundle) letTimePass(t *testing.T) {
	t.Helper()
	if _, err := b.db.Exec(t.Context(), `UPDATE reservation SET expires_at = expires_at - interval '2 hours' WHERE expires_at IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
}

// settled gives the names of the events about reservations but for their beginnings.
func (b bundle) settled(t *testing.T) []string {
	t.Helper()
	return pgtest.Column[string](t, b.db, `SELECT name FROM outbox WHERE entity = 'reservation' AND name <> 'held' ORDER BY seq`)
}

func TestExpiry_GivesBackWhatNobodyEnded(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	made := b.mustReserveFor(t, "checkout/1", 2)
	if left := time.Until(made.GetExpireTime().AsTime()); left < 55*time.Minute || left > 65*time.Minute {
		t.Errorf("it expires in %v, want about an hour", left)
	}
	b.mustReserve(t, key, line("mug", 1)) // has no time
	if _, err := b.commit(t, "checkout/2/commit", b.mustReserveFor(t, "checkout/2", 3).GetReservationId()); err != nil {
		t.Fatal(err)
	}
	for _, round := range []string{"before", "after", "again"} {
		if again, err := b.duties(b.db).expireOnce(t.Context()); again || err != nil {
			t.Errorf("%s its time: again %v, %v", round, again, err)
		}
		if round == "before" {
			b.wantLevels(t, stock.Level{SKU: "mug", Available: 4, Reserved: 3, Shipped: 3})
			b.letTimePass(t)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 6, Reserved: 1, Shipped: 3})
	_, err := b.commit(t, "checkout/1/commit", made.GetReservationId())
	rpcerrtest.Want(t, err, rpcerr.ReservationExpired)
	for range 2 {
		late, err := b.release(t, "checkout/1")
		if err != nil || late.GetState() != inventoryv1.ReservationState_RESERVATION_STATE_EXPIRED {
			t.Errorf("late release: got %v, %v, want the expired reservation", late, err)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 6, Reserved: 1, Shipped: 3})
	if diff := cmp.Diff([]string{"committed", "expired"}, b.settled(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestExpiry_IsADutyOfTheService(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 1))
	cfg := DefaultConfig()
	cfg.ExpireEvery = 10 * time.Millisecond
	servicetest.Start(t, configured(b.db.Config().ConnString(), cfg))
	b.mustReserveFor(t, "checkout/1", 1)
	b.letTimePass(t)
	waittest.Until(t, "the reservation expires", func() bool { return len(b.settled(t)) == 1 })
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 1})
}

func TestReserve_RefusesATimeThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 1))
	for i, c := range []struct {
		ttl    time.Duration
		origin *commonv1.Origin
	}{{time.Millisecond, nil}, {-time.Hour, nil}, {31 * 24 * time.Hour, nil}, {time.Hour, &commonv1.Origin{Epoch: 3}}} {
		r := toReserve(fmt.Sprintf("checkout/%d", i), line("mug", 1))
		r.Ttl, r.Origin = durationpb.New(c.ttl), c.origin
		_, err := b.Reserve(t.Context(), r)
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "ttl")
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 1})
}

// What ends a reservation and its expiry wait for its row, in this order and in the other one.
func TestExpiry_AgainstAnEndIsDecidedByTheFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(b bundle, t *testing.T, made string) error
		ended string
		late  rpcerr.Reason // of the end that came second
		level stock.Level   // after the end that came first
	}{
		"commit": {func(b bundle, t *testing.T, made string) error {
			_, err := b.commit(t, "checkout/1/commit", made)
			return err
		}, "committed", rpcerr.ReservationExpired, stock.Level{SKU: "mug", Shipped: 1}},
		"release": {func(b bundle, t *testing.T, _ string) error {
			_, err := b.release(t, "checkout/1")
			return err
		}, "released", "", stock.Level{SKU: "mug", Available: 1}},
	} {
		for _, expiryFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, expiry first: %t", name, expiryFirst), func(t *testing.T) {
				t.Parallel()
				b := setup(t, line("mug", 1))
				made := b.mustReserveFor(t, "checkout/1", 1).GetReservationId()
				b.letTimePass(t)
				expire := func() error {
					_, err := b.duties(b.db).expireOnce(t.Context())
					return err
				}
				end := func() error { return c.end(b, t, made) }
				want, level, late := c.ended, c.level, rpcerr.Reason("")
				order := []func() error{end, expire}
				if expiryFirst {
					want, level, late, order = "expired", stock.Level{SKU: "mug", Available: 1}, c.late, []func() error{expire, end}
				}
				errs := b.inLine(t, `SELECT FROM reservation FOR UPDATE`, order...)
				if errs[0] != nil {
					t.Errorf("the first: %v", errs[0])
				}
				if late != "" {
					rpcerrtest.Want(t, errs[1], late)
				} else if errs[1] != nil {
					t.Errorf("the second: %v", errs[1])
				}
				b.wantLevels(t, level)
				if diff := cmp.Diff([]string{want}, b.settled(t)); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// inLine has calls wait for a lock one after the other, so that they get it in this order, and gives their errors.
func (b bundle) inLine(t *testing.T, lock string, calls ...func() error) []error {
	t.Helper()
	tx, err := b.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	ends := make([]chan error, len(calls))
	for i, call := range calls {
		ends[i] = make(chan error, 1)
		go func() { ends[i] <- call() }()
		waittest.Until(t, "a call waits for the lock", func() bool {
			return pgtest.Column[int](t, b.db, `
SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0] == i+1
		})
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(calls))
	for i := range ends {
		errs[i] = <-ends[i]
	}
	return errs
}

// A COMMIT that gets no answer is followed by the next round, and everything expires once.
func TestExpiry_CommitsThatAreUnknownTakeEffectOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, line("mug", 3))
			for i := range 3 {
				b.mustReserveFor(t, fmt.Sprintf("checkout/%d", i), 1)
			}
			b.letTimePass(t)
			pool, faults := pgtest.Faulty(t, b.db)
			faults.SetOnce(fault)
			if _, err := b.duties(pool).expireOnce(t.Context()); err == nil {
				t.Error("the round whose COMMIT was lost told of no error")
			}
			want := map[pgtest.Fault]int{pgtest.NotApplied: 0, pgtest.Applied: 3}[fault]
			if got := len(b.settled(t)); got != want {
				t.Errorf("%d have expired before the next round, want %d", got, want)
			}
			if _, err := b.duties(pool).expireOnce(t.Context()); err != nil {
				t.Error(err)
			}
			b.wantLevels(t, stock.Level{SKU: "mug", Available: 3})
			if diff := cmp.Diff([]string{"expired", "expired", "expired"}, b.settled(t)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
