package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/waittest"
)

// hundred gives a hundred keys, the 42nd of them poison.
func hundred(poison string) (all, good []string) {
	for i := range 100 {
		all = append(all, fmt.Sprintf("key-%d", i))
	}
	all[42] = poison
	return all, slices.Delete(slices.Clone(all), 42, 43)
}

func TestCommit_APoisonousWriteFailsAlone(t *testing.T) {
	t.Parallel()
	all, good := hundred("poison")
	for name, apply := range map[string]func(context.Context, *pg.Tx, []string) ([]groupcommit.Result[string], error){
		"refused by the database": apply,
		"an error of Apply": func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
			if slices.Contains(batch, "poison") {
				return nil, errors.New("cannot be decoded")
			}
			return apply(ctx, tx, batch)
		},
		"a panic of Apply": func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
			if slices.Contains(batch, "poison") {
				panic("nobody thought of this")
			}
			return apply(ctx, tx, batch)
		},
		"a result too few": func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
			results, err := apply(ctx, tx, slices.DeleteFunc(slices.Clone(batch), func(key string) bool { return key == "poison" }))
			return results, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			g := f.group(groupcommit.Config[string, string]{Apply: apply})
			f.run(g)
			for i, r := range g.DoAll(t.Context(), all) {
				if failed := r.Err != nil; failed != (all[i] == "poison") || !failed && r.Value != all[i] {
					t.Errorf("%s: got %v", all[i], r)
				}
				if errors.Is(r.Err, groupcommit.ErrUnknown) {
					t.Errorf("%s: it is known that nothing was written: %v", all[i], r.Err)
				}
			}
			f.wantEffects(good...)
			if n := len(f.applied()); n > 16 {
				t.Errorf("%d tries to find one in a hundred", n)
			}
		})
	}
}

func TestCommit_WithoutAnAnswerIsResolvedByApplyingAgain(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			pool, faults := pgtest.Faulty(t, f.pool)
			faults.SetOnce(kind)
			g := f.group(groupcommit.Config[string, string]{Pool: pool})
			f.run(g)
			all, _ := hundred("key-x")
			for i, r := range g.DoAll(t.Context(), all) {
				if r.Err != nil || r.Value != all[i] {
					t.Errorf("%s: got %v", all[i], r)
				}
			}
			if diff := cmp.Diff([]int{100, 100}, f.applied()); diff != "" {
				t.Errorf("sizes of the batches (-want +got):\n%s", diff)
			}
			f.wantEffects(all...)
		})
	}
}

// What is refused when a COMMIT is looked up is no proof that the COMMIT did not happen.
func TestCommit_WhoseLookUpFailsStaysUnknown(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pool, faults := pgtest.Faulty(t, f.pool)
	faults.SetOnce(pgtest.Applied)
	var tries atomic.Int32
	g := f.group(groupcommit.Config[string, string]{Pool: pool,
		Apply: func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
			if tries.Add(1) > 1 {
				return nil, rpcerr.New(rpcerr.InsufficientStock, "none left")
			}
			return apply(ctx, tx, batch)
		}})
	f.run(g)
	for _, r := range g.DoAll(t.Context(), []string{"a1", "a2"}) {
		if _, definite := errors.AsType[*rpcerr.Error](r.Err); definite || !errors.Is(r.Err, groupcommit.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown and no refusal", r.Err)
		}
	}
	f.wantEffects("a1", "a2")
}

func TestCommit_WithoutAnAnswerIsGivenUpWhenTheGroupStops(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pool, faults := pgtest.Faulty(t, f.pool)
	faults.Set(pgtest.NotApplied)
	g := f.group(groupcommit.Config[string, string]{Pool: pool})
	stop := f.run(g)
	outcome := make(chan error)
	go func() {
		_, err := g.Do(t.Context(), "a1")
		outcome <- err
	}()
	waittest.Until(f, "it is tried again", func() bool { return len(f.applied()) > 1 })
	began := time.Now()
	stop()
	if err := <-outcome; !errors.Is(err, groupcommit.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// The server's warning is raised by a trigger here, at COMMIT; package pg has the test with a real standby.
func TestCommit_ThatIsNotReplicatedIsUnknownAndNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := setup(t, pg.Migrations{Name: "standby", FS: fstest.MapFS{
		"0001_away.sql": {Data: []byte(`-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'canceling wait for synchronous replication due to user request'; RETURN NULL; END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER away AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn();
`)}}})
	g := f.group(groupcommit.Config[string, string]{})
	f.run(g)
	for _, r := range g.DoAll(t.Context(), []string{"a1", "a2"}) {
		if !errors.Is(r.Err, groupcommit.ErrUnknown) || !errors.Is(r.Err, pg.ErrNotReplicated) {
			t.Errorf("got %v, want ErrUnknown for ErrNotReplicated", r.Err)
		}
	}
	if diff := cmp.Diff([]int{2}, f.applied()); diff != "" {
		t.Errorf("sizes of the batches (-want +got):\n%s", diff)
	}
}

func TestCommit_AppliesAgainWhenSomebodyElseWasFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var tries atomic.Int32
	g := f.group(groupcommit.Config[string, string]{
		Apply: func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
			results, err := apply(ctx, tx, batch)
			if tries.Add(1) < 3 {
				return nil, fmt.Errorf("writing: %w", groupcommit.ErrAgain)
			}
			return results, err
		}})
	f.run(g)
	for _, r := range g.DoAll(t.Context(), []string{"a1", "a2"}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if diff := cmp.Diff([]int{2, 2, 2}, f.applied()); diff != "" {
		t.Errorf("sizes of the batches (-want +got):\n%s", diff)
	}
	f.wantEffects("a1", "a2")
}

func TestCommit_TellsAllCallersAtOnceThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	f := setup(t)
	away, err := pg.Open(t.Context(), pg.Config{DSN: "postgres://nobody@127.0.0.1:1/none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	g := f.group(groupcommit.Config[string, string]{Pool: away})
	f.run(g)
	all, _ := hundred("key-x")
	began := time.Now()
	for _, r := range g.DoAll(t.Context(), all) {
		if r.Err == nil || errors.Is(r.Err, groupcommit.ErrUnknown) || !strings.Contains(r.Err.Error(), "connect") {
			t.Errorf("got %v, want that there is no connection", r.Err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}
