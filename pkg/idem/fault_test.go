package idem_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func TestOnce_TakesEffectOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			pool, faults := pgtest.Faulty(t, f.pool)
			faults.Set(kind)
			lossy := fixture{t, pool}
			if _, err := lossy.pay(t.Context(), request()); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("got %v, want ErrCommitUnknown", err)
			}
			faults.Set(pgtest.Healthy)
			ctx, call := lossy.call()
			got, err := lossy.pay(ctx, request())
			if err != nil || got.Note != "paid" {
				t.Errorf("asked again: got %+v, %v", got, err)
			}
			if want := kind == pgtest.Applied; call.replayed() != want {
				t.Errorf("replayed: got %v, want %v", call.replayed(), want)
			}
			f.wantEffects("paid")
		})
	}
}

func TestBegin_IntendsOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			lossy, faults := pgtest.Faulty(t, f.pool)
			faults.Set(kind)
			claim, _, err := idem.Begin[receipt](t.Context(), lossy, request(), time.Hour, intend)
			if !errors.Is(err, pg.ErrCommitUnknown) || claim != nil {
				t.Fatalf("got claim %v, %v; want ErrCommitUnknown", claim, err)
			}
			faults.Set(pgtest.Healthy)
			f.endLeases()
			claim, _, err = idem.Begin[receipt](t.Context(), lossy, request(), time.Hour, intend)
			if err != nil || claim == nil {
				t.Fatalf("asked again: got claim %v, %v", claim, err)
			}
			if want := kind == pgtest.Applied; claim.Resumed != want {
				t.Errorf("resumed: got %v, want %v", claim.Resumed, want)
			}
			f.wantEffects("intent")
		})
	}
}

func TestFinish_TakesEffectOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			pool, faults := pgtest.Faulty(t, f.pool)
			lossy := fixture{t, pool}
			claim := lossy.begin(request())
			faults.Set(kind)
			if _, err := finish(t.Context(), claim); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("Finish: got %v, want ErrCommitUnknown", err)
			}
			faults.Set(pgtest.Healthy)
			f.endLeases()
			resumed, answer, err := idem.Begin[receipt](t.Context(), lossy.pool, request(), time.Hour, lossy.mustNotIntend)
			if err != nil {
				t.Fatalf("asked again: %v", err)
			}
			if want := kind == pgtest.NotApplied; (resumed != nil) != want {
				t.Errorf("got a claim: %v, want %v", resumed != nil, want)
			}
			if resumed != nil {
				if answer, err = finish(t.Context(), resumed); err != nil {
					t.Errorf("Finish again: %v", err)
				}
			}
			if want := (receipt{ID: claim.Resource, Note: "finished"}); answer != want {
				t.Errorf("got %+v, want %+v", answer, want)
			}
			f.wantEffects("intent", "outcome")
		})
	}
}
