package errand_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// command asks for an errand under a key.
type command struct {
	key   string
	token uuid.UUID
}

func to(keys ...string) []command {
	commands := make([]command, len(keys))
	for i, key := range keys {
		commands[i] = command{"errand-" + key, uuid.New()}
	}
	return commands
}

type (
	result = errand.Result[string]
	ending = idem.Ending
)

// bundle is errands whose work is the test's, and who is answered with their key.
type bundle struct {
	*errand.Errands[command, ending, string]
	crew *errand.Crew
	stop func() // returns when the crew has ended

	looks atomic.Int32 // batches that were begun
	mu    sync.Mutex
	ends  [][]string // the keys that were ended together
}

// ended gives the keys that were ended together, in the order of their commits.
func (b *bundle) ended() [][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends
}

// options say how errands are run.
type options struct {
	hands    int
	limit    time.Duration
	patience time.Duration
	log      *slog.Logger
}

// setup runs a crew until the test ends.
func setup(t *testing.T, o options, work func(ctx context.Context, key string) error) *bundle {
	t.Helper()
	pool := pgtest.Pool(t, idem.Migrations)
	b := &bundle{crew: errand.NewCrew(o.hands)}
	begins := newGroup(t, pool, beginAll)
	ends := newGroup(t, pool, endAll)
	b.Errands = errand.New(errand.Config[command, ending, string]{
		Method: "Go", Crew: b.crew, Limit: o.limit, Patience: o.patience, Log: o.log,
		Begin: func(ctx context.Context, commands []command) []groupcommit.Result[idem.Begun[string]] {
			defer b.looks.Add(1)
			return begins.DoAll(ctx, commands)
		},
		Work: func(ctx context.Context, c command, claim *idem.Claim) (ending, error) {
			return ending{Claim: claim}, work(ctx, c.key)
		},
		End: func(ctx context.Context, endings []ending) []groupcommit.Result[string] {
			var keys []string
			for _, e := range endings {
				keys = append(keys, e.Resource)
			}
			b.mu.Lock()
			b.ends = append(b.ends, keys)
			b.mu.Unlock()
			return ends.DoAll(ctx, endings)
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- b.crew.Run(ctx, begins.Run, ends.Run) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func newGroup[W, R any](t *testing.T, pool *pgxpool.Pool, apply func(context.Context, *pg.Tx, []W) ([]groupcommit.Result[R], error)) *groupcommit.Group[W, R] {
	t.Helper()
	g, err := groupcommit.New(groupcommit.Config[W, R]{Name: "test", Pool: pool, Apply: apply})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func beginAll(ctx context.Context, tx *pg.Tx, batch []command) ([]groupcommit.Result[idem.Begun[string]], error) {
	openings := make([]idem.Opening, len(batch))
	for i, c := range batch {
		openings[i] = idem.Opening{Request: idem.Request{Caller: "test", Method: "Go", Key: c.key}, Token: c.token}
	}
	return idem.BeginAll[string](ctx, tx, openings, time.Hour, func(_ context.Context, _ *pg.Tx, fresh []int) ([]idem.Intent, error) {
		intents := make([]idem.Intent, len(fresh))
		for n, i := range fresh {
			intents[n].Resource = batch[i].key
		}
		return intents, nil
	})
}

func endAll(ctx context.Context, tx *pg.Tx, batch []ending) ([]groupcommit.Result[string], error) {
	return idem.EndAll(ctx, tx, batch, func(_ context.Context, _ *pg.Tx, held []int) ([]idem.Outcome[string], error) {
		outcomes := make([]idem.Outcome[string], len(held))
		for n, i := range held {
			outcomes[n].Answer = batch[i].Resource
		}
		return outcomes, nil
	})
}

// wantDone fails the test unless an errand was answered.
func wantDone(t *testing.T, got result, key string, replayed bool) {
	t.Helper()
	if got.Err != nil || got.Value.Value != "errand-"+key || got.Value.Replayed != replayed {
		t.Errorf("got %+v, want errand-%s, replayed: %v", got, key, replayed)
	}
}

// awaitReplay returns when the answer of an errand is given again.
func (b *bundle) awaitReplay(t *testing.T, key string) {
	t.Helper()
	var got result
	waittest.Until(t, "the errand is over", func() bool {
		got = b.DoAll(t.Context(), to(key))[0]
		return got.Err == nil
	})
	wantDone(t, got, key, true)
}

// gate holds work until it is opened.
type gate struct{ reached, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 64), make(chan struct{})} }

// pass returns when the gate is open.
func (g gate) pass(ctx context.Context) error {
	g.reached <- struct{}{}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return errors.New("the gate stayed shut")
	}
}
