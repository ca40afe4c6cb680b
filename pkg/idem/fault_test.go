package idem_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
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

// A group applies a batch again whose COMMIT got no answer: it finds its own claims, and its own ends.
func TestClaims_AreTheirOwnersThoughCommitsAreUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			pool, faults := pgtest.Faulty(t, f.pool)
			lossy := fixture{t, pool}
			taken := lossy.begin(keyed("order-0000"))
			f.endLeases()
			fresh, resumed := opening(keyed("order-0001")), opening(keyed("order-0000"))
			faults.SetOnce(kind)
			if _, err := lossy.beginAll(nil, fresh, resumed); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("begin: got %v, want ErrCommitUnknown", err)
			}
			all := lossy.mustBeginAll(nil, fresh, resumed)
			f.wantClaim(all[0], all[0].Value.Claim.Resource, false)
			f.wantClaim(all[1], taken.Resource, true)
			f.wantBusy(f.ask(keyed("order-0001")))
			f.wantBusy(f.ask(keyed("order-0000")))

			unknown := errors.New("the answer was lost")
			declined := lossy.begin(keyed("order-0002"))
			refuse := map[string]error{declined.Resource: rpcerr.New(rpcerr.PaymentDeclined, "no")}
			endings := []idem.Ending{{Claim: all[0].Value.Claim}, {Claim: all[1].Value.Claim, GiveBack: unknown}, {Claim: declined}}
			faults.SetOnce(kind)
			if _, err := lossy.endAll(refuse, endings...); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("end: got %v, want ErrCommitUnknown", err)
			}
			ends := lossy.mustEndAll(refuse, endings...)
			if want := (receipt{ID: endings[0].Resource, Note: "finished"}); ends[0].Err != nil || ends[0].Value != want {
				t.Errorf("got %+v, want %+v", ends[0], want)
			}
			if ends[1].Err != unknown {
				t.Errorf("given back: got %v, want what it was given back with", ends[1].Err)
			}
			rpcerrtest.Want(t, ends[2].Err, rpcerr.PaymentDeclined)
			intents := pgtest.Column[string](t, f.pool, `SELECT name FROM effect ORDER BY name`)
			want := []string{"intent of order-0000", "intent of order-0001", "intent of order-0002",
				"outcome of " + endings[1].Resource, "outcome of " + endings[0].Resource, "outcome of " + endings[2].Resource}
			slices.Sort(want)
			if diff := cmp.Diff(want, intents); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		})
	}
}

// Applied again after its lease has ended, a claim is resumed like any other: what it called may have happened.
func TestClaims_AreResumedWhenTheirLeaseEndedMeanwhile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	o := opening(request())
	f.wantClaim(f.mustBeginAll(nil, o)[0], "1", false)
	f.endLeases()
	f.wantClaim(f.mustBeginAll(nil, o)[0], "1", true)
	f.wantEffects("intent of order-0001")
}

func TestUndo_TakesEffectOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			pool, faults := pgtest.Faulty(t, f.pool)
			lossy := fixture{t, pool}
			f.begin(request())
			f.endLeases()
			o := opening(undoing(request()))
			o.Of = request()
			begin := func() (all []begun, err error) {
				err = lossy.inTx(func(tx *pg.Tx) (err error) {
					all, err = idem.BeginUndoAll[receipt](t.Context(), tx, []idem.Opening{o}, time.Hour)
					return err
				})
				return all, err
			}
			faults.SetOnce(kind)
			if _, err := begin(); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("got %v, want ErrCommitUnknown", err)
			}
			all, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			f.wantClaim(all[0], "1", false)
			f.wantBuried(request())
		})
	}
}
