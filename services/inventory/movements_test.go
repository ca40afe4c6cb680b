package inventory

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// aggregated is the movement of each day as plain SQL has it.
const aggregated = `
SELECT sku, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
       coalesce(sum(quantity) FILTER (WHERE type = 1), 0)::bigint, coalesce(sum(quantity) FILTER (WHERE type = 2), 0)::bigint,
       coalesce(sum(quantity) FILTER (WHERE type = 3), 0)::bigint, coalesce(sum(quantity) FILTER (WHERE type = 4), 0)::bigint,
       coalesce(sum(quantity) FILTER (WHERE type = 5), 0)::bigint, coalesce(sum(quantity) FILTER (WHERE type = 6), 0)::bigint
  FROM stock_event GROUP BY 1, 2 ORDER BY 1, 2`

type moved struct {
	SKU, Day                                                   string
	Received, Reserved, Released, Committed, Adjusted, Expired int64
}

// movements is the projection, read in pages of three.
func (b bundle) movements(t *testing.T) []moved {
	t.Helper()
	var all []moved
	request := &inventoryv1.ListDailyMovementsRequest{PageSize: 3}
	for more := true; more; more = request.GetPageToken() != "" {
		page, err := b.ListDailyMovements(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.GetMovements() {
			all = append(all, moved{m.GetSku(), m.GetDay(), m.GetReceived(), m.GetReserved(), m.GetReleased(), m.GetCommitted(), m.GetAdjusted(), m.GetExpired()})
		}
		request.PageToken = page.GetNextPageToken()
	}
	return all
}

// mustProject takes in all that is there. What other databases of the server have under way is waited for.
func (b bundle) mustProject(t *testing.T) {
	t.Helper()
	waittest.Until(t, "the movements are those of the events", func() bool {
		if _, err := b.duties(b.db).projectOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(pgtest.Rows[moved](t, b.db, aggregated), b.movements(t))
	})
}

func TestMovements_AreAddedByReplayWhileTheServiceWorks(t *testing.T) {
	t.Parallel()
	const past, writers, each = 10_000, 4, 20
	b := setup(t)
	if _, err := b.db.Exec(t.Context(), `
INSERT INTO stock_event (sku, type, quantity, at)
SELECT 'sku-' || n % 7, 1, 1 + n % 5, timestamptz '2026-01-01 22:00Z' + n * interval '1 minute' FROM generate_series(1, $1::int) AS n`, past); err != nil {
		t.Fatal(err)
	}
	if _, err := b.db.Exec(t.Context(), `
INSERT INTO stock_level (sku, available, reserved, shipped) SELECT sku, sum(quantity), 0, 0 FROM stock_event GROUP BY sku`); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.ProjectEvery = time.Millisecond
	servicetest.Start(t, configured(b.db.Config().ConnString(), cfg)) // one that has the projection
	for i, err := range together(writers*each, func(i int) error {
		key := fmt.Sprintf("saga/sag_%d/reserve", i)
		_, err := b.Reserve(t.Context(), toReserve(key, line(fmt.Sprintf("sku-%d", i%7), 1)))
		if err == nil && i%2 == 0 {
			_, err = b.release(t, key)
		}
		return err
	}) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	waittest.Until(t, "the movements are those of the events", func() bool {
		return cmp.Equal(pgtest.Rows[moved](t, b.db, aggregated), b.movements(t))
	})
	if _, err := b.db.Exec(t.Context(), `
WITH emptied AS (DELETE FROM daily_movement) UPDATE projection SET xid = '0', event_id = 0`); err != nil {
		t.Fatal(err)
	}
	b.mustProject(t) // beside the other replica
}

// Numbers are drawn before they are committed: one that was drawn first may come last.
func TestMovements_WaitForWhoCommitsLate(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	b.mustProject(t)
	tx, err := b.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO stock_event (sku, type, quantity) VALUES ('cup', 1, 5)`,
		`INSERT INTO stock_level (sku, available, reserved, shipped) VALUES ('cup', 5, 0, 0)`,
	} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	b.mustReceive(t, "receipt-two", line("mug", 1))
	before := b.movements(t)
	if _, err := b.duties(b.db).projectOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, b.movements(t)); diff != "" {
		t.Errorf("went on past a transaction that runs (-before +after):\n%s", diff)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mustProject(t)
	if got := b.movements(t); len(got) != 2 || got[0].Received != 5 || got[1].Received != 11 {
		t.Errorf("movements: %+v", got)
	}
}

func TestMovements_CommitsThatAreUnknownCountOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := eventful(t)
			pool, faults := pgtest.Faulty(t, b.db)
			faults.SetOnce(fault)
			waittest.Until(t, "a COMMIT is lost", func() bool {
				_, err := b.duties(pool).projectOnce(t.Context())
				return err != nil
			})
			b.mustProject(t)
		})
	}
}

func TestListDailyMovements_RefusesWhatIsNoDay(t *testing.T) {
	t.Parallel()
	b := eventful(t)
	b.mustProject(t)
	for field, r := range map[string]*inventoryv1.ListDailyMovementsRequest{
		"since": {Since: "2026-02-30"}, "until": {Until: "0000-01-01"}, "page_token": {PageToken: "eA"},
	} {
		_, err := b.ListDailyMovements(t.Context(), r)
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, field)
	}
	one, err := b.ListDailyMovements(t.Context(), &inventoryv1.ListDailyMovementsRequest{Sku: "mug", Since: "2001-01-01"})
	want := []*inventoryv1.DailyMovement{{Sku: "mug", Received: 10, Reserved: 6, Released: 2, Committed: 4, Adjusted: -1}}
	if diff := cmp.Diff(want, one.GetMovements(), protocmp.Transform(), protocmp.IgnoreFields(want[0], "day")); diff != "" || err != nil {
		t.Errorf("movements: %v (-want +got):\n%s", err, diff)
	}
	none, err := b.ListDailyMovements(t.Context(), &inventoryv1.ListDailyMovementsRequest{Until: "2001-01-01"})
	if err != nil || len(none.GetMovements()) != 0 {
		t.Errorf("before all: got %v, %v", none, err)
	}
}
