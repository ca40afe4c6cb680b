package idem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func keyed(key string, fields ...idem.Field) idem.Request {
	r := request(fields...)
	r.Key = key
	return r
}

// payAll is a use case for many requests; those under keys in errs end with that error.
func (f fixture) payAll(errs map[string]error, requests ...idem.Request) (all results, err error) {
	f.Helper()
	err = pg.InTx(f.Context(), f.pool, func(tx *pg.Tx) (err error) {
		all, err = idem.OnceAll(f.Context(), tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[receipt], error) {
			if !slices.IsSorted(fresh) {
				f.Errorf("the fresh ones are out of order: %v", fresh)
			}
			outcomes := make([]idem.Outcome[receipt], len(fresh))
			for n, i := range fresh {
				if outcomes[n].Err = errs[requests[i].Key]; outcomes[n].Err != nil {
					continue
				}
				id, err := addEffect(ctx, tx, requests[i].Key)
				if err != nil {
					return nil, err
				}
				outcomes[n] = idem.Outcome[receipt]{Answer: receipt{ID: id, Note: requests[i].Key}, Resource: id}
			}
			return outcomes, nil
		})
		return err
	})
	return all, err
}

func (f fixture) mustPayAll(errs map[string]error, requests ...idem.Request) results {
	f.Helper()
	all, err := f.payAll(errs, requests...)
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func (f fixture) wantAnswer(got groupcommit.Result[idem.Answer[receipt]], note string, replayed bool) {
	f.Helper()
	if got.Err != nil || got.Value.Value.Note != note || got.Value.Replayed != replayed {
		f.Errorf("got %+v, want %s, replayed: %v", got, note, replayed)
	}
}

func TestOnceAll_RunsTheFreshOnesAndReplaysTheRest(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(nil, keyed("order-0002"), keyed("order-0004"))
	all := f.mustPayAll(nil, keyed("order-0001"), keyed("order-0002"), keyed("order-0003"), keyed("order-0004"))
	for i, r := range all {
		f.wantAnswer(r, fmt.Sprintf("order-000%d", i+1), i%2 == 1)
	}
	f.wantEffects("order-0002", "order-0004", "order-0001", "order-0003")
	again := f.mustPayAll(nil, keyed("order-0003"), keyed("order-0001"))
	f.wantAnswer(again[0], "order-0003", true)
	f.wantAnswer(again[1], "order-0001", true)
	if none := f.mustPayAll(nil); len(none) != 0 {
		t.Errorf("no requests: got %v", none)
	}
}

func TestOnceAll_SharesItsRowsWithOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(nil, request())
	if got, err := idem.Once(t.Context(), f.pool, request(), f.mustNotRun); err != nil || got.Note != "order-0001" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOnceAll_StoresDefiniteRefusalsOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	broken := errors.New("broken")
	all := f.mustPayAll(map[string]error{
		"order-0002": rpcerr.New(rpcerr.InsufficientStock, "none left"),
		"order-0003": rpcerr.New(rpcerr.DestinationDown, "nobody is there"),
		"order-0004": broken,
	}, keyed("order-0001"), keyed("order-0002"), keyed("order-0003"), keyed("order-0004"))
	f.wantAnswer(all[0], "order-0001", false)
	rpcerrtest.Want(f, all[1].Err, rpcerr.InsufficientStock)
	rpcerrtest.Want(f, all[2].Err, rpcerr.DestinationDown)
	if all[3].Err != broken || all[1].Value.Replayed {
		t.Errorf("got %v", all)
	}
	again := f.mustPayAll(nil, keyed("order-0002"), keyed("order-0003"), keyed("order-0004"))
	rpcerrtest.Want(f, again[0].Err, rpcerr.InsufficientStock)
	if !again[0].Value.Replayed {
		t.Error("the stored refusal is not marked as replayed")
	}
	f.wantAnswer(again[1], "order-0003", false)
	f.wantAnswer(again[2], "order-0004", false)
}

func TestOnceAll_RunsARequestThatComesTwiceOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	passing := errors.New("passing")
	amount := func(v string) idem.Field { return idem.Field{Name: "amount", Value: v} }
	all := f.mustPayAll(map[string]error{"order-0002": rpcerr.New(rpcerr.InsufficientStock, "none left"), "order-0003": passing},
		keyed("order-0001", amount("1")), keyed("order-0001", amount("1")), keyed("order-0001", amount("2")),
		keyed("order-0002"), keyed("order-0002"), keyed("order-0003"), keyed("order-0003"))
	f.wantAnswer(all[0], "order-0001", false)
	f.wantAnswer(all[1], "order-0001", true)
	rpcerrtest.Want(f, all[2].Err, rpcerr.IdempotencyKeyReused, "amount")
	rpcerrtest.Want(f, all[3].Err, rpcerr.InsufficientStock)
	rpcerrtest.Want(f, all[4].Err, rpcerr.InsufficientStock)
	if all[3].Value.Replayed || !all[4].Value.Replayed || all[2].Value.Replayed {
		t.Errorf("marked as replayed: %v", all)
	}
	if all[5].Err != passing || all[6].Err != passing {
		t.Errorf("got %v and %v, want the passing error twice", all[5].Err, all[6].Err)
	}
	f.wantEffects("order-0001")
}

func TestOnceAll_LosesNothingToSomebodyWhoWasFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
		_, err := idem.OnceAll(t.Context(), tx, []idem.Request{keyed("order-0000"), request()},
			func(ctx context.Context, tx *pg.Tx, _ []int) ([]idem.Outcome[receipt], error) {
				f.mustPayAll(nil, request()) // commits
				_, err := addEffect(ctx, tx, "twice")
				return make([]idem.Outcome[receipt], 2), err
			})
		return err
	})
	if !errors.Is(err, groupcommit.ErrAgain) {
		t.Errorf("got %v, want ErrAgain", err)
	}
	f.wantEffects("order-0001")
}

func TestOnceAll_FailsAsAWholeWithTheWrongNumberOfOutcomes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
		_, err := idem.OnceAll(t.Context(), tx, []idem.Request{request()},
			func(context.Context, *pg.Tx, []int) ([]idem.Outcome[receipt], error) { return nil, nil })
		return err
	})
	if err == nil {
		t.Error("got no error")
	}
}

// refundAll undoes payments of the same keys, and tells what was to be undone. It refuses what is in refuse.
func (f fixture) refundAll(refuse map[string]bool, keys ...string) (all results, undone map[string]string) {
	f.Helper()
	undos := make([]idem.Undo, len(keys))
	for i, key := range keys {
		undos[i] = idem.Undo{Request: keyed(key), Of: keyed(key)}
		undos[i].Request.Method = "Refund"
	}
	undone = map[string]string{}
	err := pg.InTx(f.Context(), f.pool, func(tx *pg.Tx) (err error) {
		all, err = idem.UndoAll(f.Context(), tx, undos, func(_ context.Context, _ *pg.Tx, fresh []int, made []string) ([]idem.Outcome[receipt], error) {
			outcomes := make([]idem.Outcome[receipt], len(fresh))
			for n, i := range fresh {
				undone[keys[i]] = made[n]
				outcomes[n].Answer = receipt{ID: made[n], Note: keys[i]}
				if refuse[keys[i]] {
					outcomes[n].Err = rpcerr.New(rpcerr.RefundRefused, "keeps it")
				}
			}
			return outcomes, nil
		})
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return all, undone
}

func TestUndoAll_BuriesStepsDoneRefusedAndNeverSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(map[string]error{"order-0002": rpcerr.New(rpcerr.InsufficientStock, "none left")},
		keyed("order-0001"), keyed("order-0002"), keyed("order-0004"))
	claim := f.begin(keyed("order-0005"))
	keys := []string{"order-0001", "order-0002", "order-0003", "order-0004", "order-0005", "order-0001", "order-0003"}
	all, undone := f.refundAll(map[string]bool{"order-0004": true}, keys...)
	want := map[string]string{"order-0001": "1", "order-0002": "", "order-0003": "", "order-0004": "2"}
	if diff := cmp.Diff(want, undone); diff != "" {
		t.Errorf("to be undone (-want +got):\n%s", diff)
	}
	for i, at := range []int{0, 1, 2, 5, 6} {
		f.wantAnswer(all[at], keys[at], i > 2)
	}
	rpcerrtest.Want(f, all[3].Err, rpcerr.RefundRefused)
	rpcerrtest.Want(f, all[4].Err, rpcerr.IdempotencyKeyInFlight)
	for _, key := range keys[:3] {
		f.wantBuried(keyed(key))
	}
	again := f.mustPayAll(nil, keyed("order-0004")) // what is refused leaves the step alone
	f.wantAnswer(again[0], "order-0004", true)
	if _, err := f.finish(claim); err != nil {
		t.Errorf("the end of the step in flight: %v", err)
	}
	all, undone = f.refundAll(nil, keys[:5]...)
	if diff := cmp.Diff(map[string]string{"order-0005": claim.Resource}, undone); diff != "" {
		t.Errorf("to be undone the second time (-want +got):\n%s", diff)
	}
	for i := range 3 {
		f.wantAnswer(all[i], keys[i], true)
	}
}

func TestUndoAll_LosesNoStepThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	undo := idem.Undo{Request: keyed("order-0001"), Of: keyed("order-0001")}
	undo.Request.Method = "Refund"
	err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
		_, err := idem.UndoAll(t.Context(), tx, []idem.Undo{undo}, func(context.Context, *pg.Tx, []int, []string) ([]idem.Outcome[receipt], error) {
			f.mustPayAll(nil, keyed("order-0001"))
			return make([]idem.Outcome[receipt], 1), nil
		})
		return err
	})
	if !errors.Is(err, groupcommit.ErrAgain) {
		t.Errorf("got %v, want ErrAgain", err)
	}
	if _, undone := f.refundAll(nil, "order-0001"); undone["order-0001"] != "1" {
		t.Errorf("applied again: to be undone %v", undone)
	}
}

func TestUndoAll_TakesAStepWhoseLeaseHasEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	zombie := f.begin(request())
	f.endLeases()
	if _, undone := f.refundAll(nil, request().Key); undone[request().Key] != zombie.Resource {
		t.Errorf("to be undone: %v, want %s", undone, zombie.Resource)
	}
	if _, err := f.finish(zombie); !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("the end of the zombie: got %v, want ErrClaimLost", err)
	}
}

func TestOnceAll_KeepsTheTimeOfAKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := keyed("order-0001")
	r.TTL = time.Hour
	f.mustPayAll(nil, r)
	f.expireKeys()
	all := f.mustPayAll(nil, r)
	if got := rpcerrtest.Want(f, all[0].Err, rpcerr.IdempotencyKeyExpired); got.Resource != "1" || all[0].Value.Replayed {
		t.Errorf("got %+v", all[0])
	}
}
