package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
)

// shardCount is how many shards there are, for ever: migration 0003 computes a saga's shard in the same way.
const shardCount = 64

// shardOf is the shard of a saga: six bits of the random end of its id.
func shardOf(sagaID SagaID) int { return int(sagaID.UUID()[15]) % shardCount }

// shardLock is the class of the advisory locks of shards: a writer shares its shard's, who takes a shard has it alone.
const shardLock int32 = 0x74696f75

// term is a shard in the hands of one owner, from when it was taken to when it is lost or given up.
type term struct {
	shard int
	epoch int64
	ctx   context.Context // ends with the term; what is done for the shard's sagas runs under it
	end   context.CancelFunc
}

// over tells whether the shard is not to be driven any more.
func (t *term) over() bool { return t.ctx.Err() != nil }

// shards is which shards this replica owns. The database decides: a shard belongs to the replica that raised its
// epoch last, as long as that one's lease runs. What is in memory may be late; the epoch, which is compared with
// every write, is what keeps two owners apart.
type shards struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	replica uuid.UUID
	lease   time.Duration
	parent  context.Context // of all terms
	// freed tells the other replicas that there are shards to be taken.
	freed func()

	mu    sync.Mutex
	terms [shardCount]*term // nil for a shard that is not this replica's
	owned int               // how many are
	until time.Time         // when the lease ends, by this process' clock
}

func newShards(pool *pgxpool.Pool, log *slog.Logger, lease time.Duration, freed func()) *shards {
	return &shards{pool: pool, log: log, replica: uuid.New(), lease: lease, freed: freed}
}

// of gives the term in which this replica owns a shard; nil when it does not.
func (s *shards) of(shard int) *term {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.terms[shard]
	if t == nil || t.over() {
		return nil
	}
	return t
}

// leased tells whether the lease runs: a process that was stopped for a while must not act on what it remembers.
func (s *shards) leased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.until)
}

// ours gives the shards that this replica owns.
func (s *shards) ours() []int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := make([]int16, 0, s.owned)
	for i, t := range s.terms {
		if t != nil {
			ours = append(ours, int16(i))
		}
	}
	return ours
}

// lost ends a term that turned out to be over.
func (s *shards) lost(t *term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endTerm(t)
}

// endTerm needs mu.
func (s *shards) endTerm(t *term) {
	if s.terms[t.shard] == t {
		s.terms[t.shard] = nil
		s.owned--
	}
	t.end()
}

// renewLease is one statement a renewal: it keeps the lease, and tells of every shard whether it is the replica's or
// anybody may take it, and how many replicas there are.
const renewLease = `
WITH renewed AS (
    INSERT INTO replica (id, lease_until) VALUES ($1, now() + $2::bigint * interval '1 microsecond')
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until)
SELECT s.id, s.epoch, coalesce(s.owner = $1, false) AS mine, r.id IS NULL AND s.owner IS DISTINCT FROM $1 AS free,
       1 + (SELECT count(*) FROM replica o WHERE o.id <> $1 AND o.lease_until > now()) AS replicas
  FROM shard s LEFT JOIN replica r ON r.id = s.owner AND r.lease_until > now()
 ORDER BY s.id`

// shardRow is a shard as a renewal finds it.
type shardRow struct {
	ID         int16
	Epoch      int64
	Mine, Free bool
	Replicas   int
}

// renew keeps the lease, notices what was lost, and takes or gives up shards so that each replica has its share. It
// reports whether there are new ones.
func (s *shards) renew(ctx context.Context) (taken bool, err error) {
	asked := time.Now()
	rows, err := s.pool.Query(ctx, renewLease, s.replica, s.lease.Microseconds())
	if err != nil {
		return false, fmt.Errorf("renewing lease: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[shardRow])
	if err != nil {
		return false, fmt.Errorf("renewing lease: %w", err)
	}
	share := (shardCount + all[0].Replicas - 1) / all[0].Replicas
	free, surplus := s.compare(asked, all, share)
	if len(surplus) > 0 {
		return false, s.giveUp(ctx, surplus)
	}
	if len(free) == 0 {
		return false, nil
	}
	return s.take(ctx, free)
}

// compare brings what is in memory to what the database says, and gives the shards to be taken and to be given up.
func (s *shards) compare(asked time.Time, all []shardRow, share int) (free []int16, surplus []*term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = asked.Add(s.lease)
	for _, row := range all {
		t := s.terms[row.ID]
		if t != nil && (!row.Mine || row.Epoch != t.epoch) {
			s.log.Warn("shard was taken by another replica", slog.Int("shard", t.shard), slog.Int64("epoch", t.epoch))
			s.endTerm(t)
			t = nil
		}
		switch {
		case t != nil && s.owned-len(surplus) > share:
			surplus = append(surplus, t)
		case t == nil && (row.Free || row.Mine): // mine, and not in memory: taken by a call that got no answer
			free = append(free, row.ID)
		}
	}
	return free[:min(len(free), max(0, share-s.owned))], surplus
}

// take becomes the owner of shards that are free.
func (s *shards) take(ctx context.Context, free []int16) (bool, error) {
	var taken []orchestratordb.TakeShardsRow
	err := pg.InTx(ctx, s.pool, func(tx *pg.Tx) (err error) {
		taken, err = orchestratordb.New(tx).TakeShards(ctx, orchestratordb.TakeShardsParams{
			Replica: s.replica, Shards: free, LockClass: shardLock,
		})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("taking shards: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range taken {
		t := &term{shard: int(row.ID), epoch: row.Epoch}
		t.ctx, t.end = context.WithCancel(s.parent)
		s.terms[row.ID] = t
		s.owned++
	}
	s.log.Info("took shards", slog.Int("taken", len(taken)), slog.Int("owned", s.owned))
	return len(taken) > 0, nil
}

// giveUp hands shards over: they are not driven any more, and then free.
func (s *shards) giveUp(ctx context.Context, surplus []*term) error {
	ids := make([]int16, len(surplus))
	s.mu.Lock()
	for i, t := range surplus {
		ids[i] = int16(t.shard)
		s.endTerm(t)
	}
	s.mu.Unlock()
	if err := orchestratordb.New(s.pool).FreeShards(ctx, orchestratordb.FreeShardsParams{Replica: s.replica, Shards: ids}); err != nil {
		return fmt.Errorf("giving up shards: %w", err)
	}
	s.log.Info("gave up shards", slog.Int("given_up", len(ids)))
	s.freed()
	return nil
}

// resign gives up everything, for the process stops. Where the database does not answer the lease ends by itself.
func (s *shards) resign(ctx context.Context) error {
	s.mu.Lock()
	for _, t := range s.terms {
		if t != nil {
			s.endTerm(t)
		}
	}
	s.mu.Unlock()
	if err := orchestratordb.New(s.pool).ForgetReplica(ctx, s.replica); err != nil {
		return fmt.Errorf("giving up shards: %w", err)
	}
	s.freed()
	return nil
}
