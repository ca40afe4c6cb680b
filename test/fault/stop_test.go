package fault

import (
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// TestStop_AnOwnerThatSleepsPastItsLeaseWritesNothing stops a replica of the orchestrator with SIGSTOP in the middle of
// its sagas, has the other one take them over, and lets it go on: it still believes that they are its own. Whatever it
// then writes in an epoch that is over must be refused, and nothing may happen twice.
func TestStop_AnOwnerThatSleepsPastItsLeaseWritesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	const orders, skus = 400, 20
	w := systemtest.NewWorld(t)
	log := &logtest.Book{}
	split := w.SplitOf(t, systemtest.Build(t), log)
	addrs := map[string]string{"heir": nettest.FreeAddr(t)}
	processes := map[string]*systemtest.Process{}
	launch := func(name, service, addr string) {
		addrs[name], processes[name] = addr, split.Launch(t, service, addr, "TIEOUT_ORCHESTRATOR_LEASE=1s")
		t.Cleanup(processes[name].Kill)
	}
	for _, name := range []string{"inventory", "payment", "shipment", "billing", "reconciliation"} {
		launch(name, name, split.Addr(name))
	}
	receive(t, split.Dial(t, "inventory"), skus)
	db := w.Pool["orchestrator"]
	launch("sleeper", "orchestrator", split.Addr("orchestrator"))
	waittest.Until(t, "the first replica owns shards", func() bool { return len(owners(t, db)) == 1 })
	sleeper := owners(t, db)[0]
	launch("heir", "orchestrator", addrs["heir"])
	waittest.Until(t, "both replicas own shards", func() bool { return len(owners(t, db)) == 2 })

	load := &load{t: t, orders: orderv1.NewOrderServiceClient(servicetest.DialAddr(t, addrs["heir"], "load"))}
	placing := make(chan struct{})
	go func() { defer close(placing); load.place(orders, skus) }()
	load.awaitAcknowledged(orders / 4)
	processes["sleeper"].Signal(syscall.SIGSTOP)
	asleep := pgtest.Column[int64](t, db, `
		SELECT count(*) FROM saga s JOIN shard h ON h.id = s.shard WHERE h.owner = $1 AND s.phase IN (1, 2)`, sleeper)[0]
	if asleep == 0 {
		t.Error("the replica that was stopped had no saga in hand")
	}
	waittest.Until(t, "the other replica owns all shards", func() bool { return len(owners(t, db)) == 1 && owners(t, db)[0] != sleeper })
	over := terms(t, db, sleeper)
	processes["sleeper"].Signal(syscall.SIGCONT)
	<-placing
	var ended []*orderv1.Order
	for _, id := range load.acknowledged() {
		ended = append(ended, systemtest.End(t, load.orders, id))
	}

	t.Logf("%d sagas were in hand; %d orders: %s", asleep, len(ended), systemtest.States(ended))
	if len(ended) != orders {
		t.Errorf("%d orders were acknowledged, want %d", len(ended), orders)
	}
	waittest.Until(t, "the replica that was stopped has noticed", func() bool {
		return log.Find("shard was taken by another replica") != nil
	})
	w.CheckQuiet(t, split.DialAll(t)...)
	now := terms(t, db, sleeper)
	for lost, events := range over {
		if now[lost] != events {
			t.Errorf("shard %d, epoch %d: %d events when it was over, and %d now", lost.shard, lost.epoch, events, now[lost])
		}
	}
}

// owners are the replicas that own shards.
func owners(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	return pgtest.Column[string](t, db, `SELECT DISTINCT owner::text FROM shard WHERE owner IS NOT NULL`)
}

// term is a shard in one epoch.
type term struct {
	shard, epoch int64
}

// terms are those of a replica, with how many events were written in them.
func terms(t *testing.T, db *pgxpool.Pool, replica string) map[term]int64 {
	t.Helper()
	events := map[term]int64{}
	for _, row := range pgtest.Rows[struct{ Shard, Epoch, Events int64 }](t, db, `
		SELECT t.shard, t.epoch, count(e.seq) FROM shard_term t
		  LEFT JOIN saga s ON s.shard = t.shard LEFT JOIN saga_event e ON e.saga_id = s.id AND e.epoch = t.epoch
		 WHERE t.owner = $1 GROUP BY t.shard, t.epoch`, replica) {
		events[term{row.Shard, row.Epoch}] = row.Events
	}
	return events
}
