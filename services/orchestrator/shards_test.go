package orchestrator

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// replica is a candidate for shards whose lease only this test renews.
type replica struct {
	*shards
	t *testing.T
}

func newReplica(t *testing.T, db *pgxpool.Pool) replica {
	s := newShards(db, slog.New(slog.DiscardHandler), time.Hour, func() {})
	s.parent = t.Context()
	return replica{s, t}
}

// renews renews until nothing changes any more, and gives how many shards the replica owns then.
func (r replica) renews() int {
	r.t.Helper()
	for {
		before := len(r.ours())
		if _, err := r.renew(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		if len(r.ours()) == before {
			return before
		}
	}
}

// dies lets the replica's lease end.
func (r replica) dies() {
	r.t.Helper()
	if _, err := r.pool.Exec(r.t.Context(), `UPDATE replica SET lease_until = now() - interval '1 second' WHERE id = $1`, r.replica); err != nil {
		r.t.Fatal(err)
	}
}

// owned gives how many shards each replica owns when all have renewed until nothing changes.
func owned(replicas ...replica) []int {
	counts := make([]int, len(replicas))
	for range 3 {
		for i, r := range replicas {
			counts[i] = r.renews()
		}
	}
	return counts
}

func TestShards_AreSharedAmongTheReplicasThatLive(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	a, b, c := newReplica(t, db), newReplica(t, db), newReplica(t, db)
	if n := a.renews(); n != shardCount {
		t.Fatalf("the only replica owns %d shards", n)
	}
	if got := owned(a, b); got[0] != 32 || got[1] != 32 {
		t.Errorf("two replicas own %v", got)
	}
	got := owned(a, b, c)
	if got[0]+got[1]+got[2] != shardCount || max(got[0], got[1], got[2]) > 22 {
		t.Errorf("three replicas own %v", got)
	}
	if err := b.resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := owned(a, c); got[0]+got[1] != shardCount {
		t.Errorf("after one has resigned: %v", got)
	}
	a.dies()
	if n := c.renews(); n != shardCount {
		t.Errorf("after one has died the other owns %d", n)
	}
	if n := a.renews(); n == shardCount { // it comes back, and learns what it lost
		t.Errorf("the one that came back thinks it owns %d", n)
	}
	if violations := pgtest.Rows[struct{ ID, Detail string }](t, db, `SELECT id, detail FROM inv_26_one_owner_an_epoch`); len(violations) > 0 {
		t.Errorf("invariant 26: %v", violations)
	}
}

// A replica that was stopped for a while remembers shards that are another's by now. What it writes is refused.
func TestShards_AnOwnerOfAnEarlierEpochWritesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	zombie, heir := newReplica(t, db), newReplica(t, db)
	zombie.renews()
	sagas := plant(t, db, planted{happened: []saga.Event{doneReserve}})
	sagaID := sagas[0].sagaID
	old := zombie.of(shardOf(sagaID))
	zombie.dies()
	heir.renews()
	present := heir.of(shardOf(sagaID))
	if present.epoch != old.epoch+1 {
		t.Errorf("the epoch went from %d to %d", old.epoch, present.epoch)
	}
	e := &engine{pool: db, outbox: outbox.New(outbox.Config{Pool: db})}
	write := func(epoch int64) error {
		all, err := loadRuns(t.Context(), db, known, []SagaID{sagaID})
		if err != nil {
			t.Fatal(err)
		}
		r := all[sagaID].run
		tr, err := r.transit([]saga.Event{{Seq: r.state.Seq + 1, Type: saga.StepDone, Step: r.def.Steps[r.state.At()].Name, At: clock()}})
		if err != nil {
			t.Fatal(err)
		}
		tr.epoch = epoch
		var results []groupcommit.Result[struct{}]
		err = pg.InTx(t.Context(), db, func(tx *pg.Tx) (err error) {
			results, err = e.record(t.Context(), tx, []transition{tr})
			return err
		})
		return errors.Join(err, results[0].Err)
	}
	if err := write(old.epoch); !errors.Is(err, errFenced) {
		t.Errorf("the owner of the earlier epoch: got %v, want %v", err, errFenced)
	}
	if err := write(present.epoch); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if epochs := pgtest.Column[int64](t, db, `SELECT epoch FROM saga_event WHERE saga_id = $1 AND epoch IS NOT NULL`, sagaID.UUID()); len(epochs) != 1 || epochs[0] != present.epoch {
		t.Errorf("events carry the epochs %v, want %d", epochs, present.epoch)
	}
}

// Whoever takes a shard waits for the commit that its owner is in the middle of: what the heir reads then is final.
func TestShards_AreNotTakenInTheMiddleOfAWrite(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	owner, heir := newReplica(t, db), newReplica(t, db)
	owner.renews()
	sagaID := id.New[sagaKind]()
	shard := shardOf(sagaID)
	err := pg.InTx(t.Context(), db, func(tx *pg.Tx) error {
		held, err := hold(t.Context(), tx, []transition{{view: sagaView{id: sagaID}, epoch: owner.of(shard).epoch}})
		if err != nil {
			return err
		}
		if held.epochs[shard] != owner.of(shard).epoch {
			t.Errorf("the shard is at epoch %d, its owner at %d", held.epochs[shard], owner.of(shard).epoch)
		}
		owner.dies()
		if n := heir.renews(); n != shardCount-1 || heir.of(shard) != nil {
			t.Errorf("the heir owns %d shards, among them the one that is written to: %t", n, heir.of(shard) != nil)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := heir.renews(); n != shardCount {
		t.Errorf("after the commit the heir owns %d", n)
	}
}

func TestShardOf_IsWhatTheDatabaseComputes(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	sagas := plant(t, db, make([]planted, 200)...)
	seen := map[int]bool{}
	for _, p := range sagas {
		got := pgtest.Column[int16](t, db, `SELECT shard FROM saga WHERE id = $1`, p.sagaID.UUID())[0]
		if int(got) != shardOf(p.sagaID) {
			t.Errorf("%s: the database says %d, the code %d", p.sagaID, got, shardOf(p.sagaID))
		}
		seen[int(got)] = true
	}
	if len(seen) < shardCount/2 {
		t.Errorf("200 sagas are on %d shards only", len(seen))
	}
}
