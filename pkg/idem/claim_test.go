package idem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// wantClaim fails the test unless there is a claim on a resource.
func (f fixture) wantClaim(got begun, resource string, resumed bool) {
	f.Helper()
	if c := got.Value.Claim; got.Err != nil || c == nil || c.Resource != resource || c.Resumed != resumed {
		f.Errorf("got %+v, %v; want a claim on %s, resumed: %v", c, got.Err, resource, resumed)
	}
}

// wantBusy fails the test unless another request is being worked on.
func (f fixture) wantBusy(got begun) {
	f.Helper()
	e := rpcerrtest.Want(f, got.Err, rpcerr.IdempotencyKeyInFlight)
	if !got.Value.Busy || got.Value.Claim != nil || e.RetryAfter <= 0 || e.Definite() {
		f.Errorf("got %+v, %+v; want busy, and some time to ask again after, not definite", got.Value, e)
	}
}

func TestBeginAll_MakesIntentsDurableAndEndAllAnswers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	all := f.mustBeginAll(nil, opening(keyed("order-0001")), opening(keyed("order-0002")))
	f.wantClaim(all[0], "1", false)
	f.wantClaim(all[1], "2", false)
	f.wantEffects("intent of order-0001", "intent of order-0002")
	for i, end := range f.mustEndAll(nil, idem.Ending{Claim: all[0].Value.Claim}, idem.Ending{Claim: all[1].Value.Claim}) {
		want := receipt{ID: all[i].Value.Claim.Resource, Note: "finished"}
		if end.Err != nil || end.Value != want {
			t.Errorf("end %d: got %+v, %v; want %+v", i, end.Value, end.Err, want)
		}
		again := f.ask(keyed([]string{"order-0001", "order-0002"}[i]))
		if again.Err != nil || again.Value.Claim != nil || again.Value.Value != want || !again.Value.Replayed {
			t.Errorf("the next: got %+v, %v; want the answer %+v as a replay", again.Value, again.Err, want)
		}
	}
	f.wantEffects("intent of order-0001", "intent of order-0002", "outcome of 1", "outcome of 2")
}

func TestBeginAll_SaysAtOnceThatARequestIsInFlight(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	f.wantBusy(f.ask(request()))
	all := f.mustBeginAll(nil, opening(keyed("order-0002")), opening(keyed("order-0002")))
	f.wantClaim(all[0], "2", false)
	f.wantBusy(all[1])
	if _, err := f.finish(claim); err != nil {
		t.Errorf("the one in flight: %v", err)
	}
	f.wantEffects("intent of order-0001", "intent of order-0002", "outcome of 1")
}

func TestBeginAll_ResumesWhenTheLeaseHasEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	zombie := f.begin(request())
	f.endLeases()
	all := f.mustBeginAll(nil, opening(request()), opening(request()))
	f.wantClaim(all[0], zombie.Resource, true)
	f.wantBusy(all[1])
	lost := func(when string) {
		t.Helper()
		for _, giveBack := range []error{nil, errors.New("unknown")} {
			end := f.mustEndAll(nil, idem.Ending{Claim: zombie, GiveBack: giveBack})[0]
			if !errors.Is(end.Err, idem.ErrClaimLost) {
				t.Errorf("the zombie %s: got %v, want ErrClaimLost", when, end.Err)
			}
		}
	}
	lost("before the end")
	f.wantEffects("intent of order-0001")
	if _, err := f.finish(all[0].Value.Claim); err != nil {
		t.Error(err)
	}
	lost("after the end")
	f.wantEffects("intent of order-0001", "outcome of 1")
}

func TestBeginAll_ResumesAtOnceWhatWasGivenBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	unknown := errors.New("the answer was lost")
	giveBack := idem.Ending{Claim: f.begin(request()), GiveBack: unknown}
	for range 2 { // applied again, it finds that it did so itself
		if end := f.mustEndAll(nil, giveBack)[0]; end.Err != unknown {
			t.Errorf("got %v, want what was given", end.Err)
		}
	}
	f.wantClaim(f.ask(request()), "1", true)
	if end := f.mustEndAll(nil, giveBack)[0]; !errors.Is(end.Err, idem.ErrClaimLost) {
		t.Errorf("after it was resumed: got %v, want ErrClaimLost", end.Err)
	}
	f.wantEffects("intent of order-0001", "outcome of 1")
}

func TestEndAll_WritesNothingOfALostClaimBesideOthers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	lost := f.begin(keyed("order-0001"))
	f.endLeases()
	f.begin(keyed("order-0001"))
	held := f.begin(keyed("order-0002"))
	all := f.mustEndAll(nil, idem.Ending{Claim: lost}, idem.Ending{Claim: held})
	if !errors.Is(all[0].Err, idem.ErrClaimLost) || all[1].Err != nil || all[1].Value.ID != "2" {
		t.Errorf("got %+v, want the first lost and the second finished", all)
	}
	f.wantEffects("intent of order-0001", "intent of order-0002", "outcome of 2")
}

func TestEndAll_KeepsWhatWasWrittenWithARefusal(t *testing.T) {
	t.Parallel()
	f := setup(t)
	declined := rpcerr.New(rpcerr.PaymentDeclined, "card expired").With("declineCode", "expired_card")
	end := f.mustEndAll(map[string]error{"1": declined}, idem.Ending{Claim: f.begin(request())})[0]
	rpcerrtest.Want(f, end.Err, rpcerr.PaymentDeclined)
	again := f.ask(request())
	got := rpcerrtest.Want(f, again.Err, rpcerr.PaymentDeclined)
	if got.Metadata["declineCode"] != "expired_card" || !again.Value.Replayed {
		t.Errorf("got metadata %v, replayed %v; want the stored ones", got.Metadata, again.Value.Replayed)
	}
	f.wantEffects("intent of order-0001", "outcome of 1")
}

func TestEndAll_GivesBackAClaimThatHasNoOutcome(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim, passing := f.begin(request()), errors.New("passing")
	if end := f.mustEndAll(map[string]error{"1": passing}, idem.Ending{Claim: claim})[0]; end.Err != passing {
		t.Errorf("got %v, want the passing error", end.Err)
	}
	f.wantClaim(f.ask(request()), claim.Resource, true)
	if _, err := f.finish(claim); !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("ended again: got %v, want %v", err, idem.ErrClaimLost)
	}
}

func TestEndAll_WritesNothingWhenTheWriterFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	broken := errors.New("broken")
	for name, write := range map[string]func(context.Context, *pg.Tx, []int) ([]idem.Outcome[receipt], error){
		"an error": func(ctx context.Context, tx *pg.Tx, _ []int) ([]idem.Outcome[receipt], error) {
			if _, err := addEffect(ctx, tx, "half done"); err != nil {
				return nil, err
			}
			return nil, broken
		},
		"too few outcomes": func(ctx context.Context, tx *pg.Tx, _ []int) ([]idem.Outcome[receipt], error) {
			_, err := addEffect(ctx, tx, "half done")
			return nil, err
		},
	} {
		err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
			_, err := idem.EndAll(t.Context(), tx, []idem.Ending{{Claim: claim}}, write)
			return err
		})
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	f.wantEffects("intent of order-0001")
	if _, err := f.finish(claim); err != nil {
		t.Errorf("ended again: %v", err)
	}
}

func TestBeginAll_StoresADefiniteRefusalOfTheIntentOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	passing := errors.New("passing")
	all := f.mustBeginAll(map[string]error{"order-0001": rpcerr.New(rpcerr.NotFound, "no such payment"), "order-0002": passing},
		opening(keyed("order-0001")), opening(keyed("order-0002")), opening(keyed("order-0003")),
		opening(keyed("order-0001")), opening(keyed("order-0002")))
	rpcerrtest.Want(f, all[0].Err, rpcerr.NotFound)
	if all[1].Err != passing || all[0].Value.Replayed {
		t.Errorf("got %+v", all)
	}
	f.wantClaim(all[2], "1", false)
	rpcerrtest.Want(f, all[3].Err, rpcerr.NotFound)
	if all[4].Err != passing || !all[3].Value.Replayed {
		t.Errorf("their twins: got %+v", all[3:])
	}
	rpcerrtest.Want(f, f.ask(keyed("order-0001")).Err, rpcerr.NotFound)
	f.wantClaim(f.ask(keyed("order-0002")), "2", false)
}

func TestBeginAll_FailsAsAWholeWithTheWrongNumberOfIntentsOrWithoutAToken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, o := range map[string]idem.Opening{"no intent": opening(request()), "no token": {Request: request()}} {
		err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
			_, err := idem.BeginAll[receipt](t.Context(), tx, []idem.Opening{o}, time.Hour,
				func(context.Context, *pg.Tx, []int) ([]idem.Intent, error) { return nil, nil })
			return err
		})
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// Neither a misuse of the key nor its end waits for the one in flight: what comes of that changes nothing.
func TestBeginAll_RefusesThoughOneIsInFlight(t *testing.T) {
	t.Parallel()
	t.Run("another request", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		amount := func(v string) idem.Opening { return opening(request(idem.Field{Name: "amount", Value: v})) }
		all := f.mustBeginAll(nil, amount("1"), amount("2"))
		rpcerrtest.Want(t, all[1].Err, rpcerr.IdempotencyKeyReused, "amount")
		rpcerrtest.Want(t, f.mustBeginAll(nil, amount("2"))[0].Err, rpcerr.IdempotencyKeyReused, "amount")
	})
	t.Run("a key past its time", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		r := request()
		r.TTL = time.Hour
		claim := f.begin(r)
		f.expireKeys()
		if got := rpcerrtest.Want(f, f.ask(r).Err, rpcerr.IdempotencyKeyExpired); got.Resource != claim.Resource {
			t.Errorf("got resource %q, want %q", got.Resource, claim.Resource)
		}
		f.endLeases()
		rpcerrtest.Want(f, f.ask(r).Err, rpcerr.IdempotencyKeyExpired)
		if _, err := f.finish(claim); err != nil {
			t.Errorf("the one that began in time: %v", err)
		}
	})
}

// A look-up names no fields, and is no other request for that.
func TestBeginAll_ComparesOnlyFieldsThatAreNamed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.begin(request(idem.Field{Name: "amount", Value: "1"}))
	f.wantBusy(f.ask(request()))
}

func TestOnceAll_SaysThatARequestIsInFlight(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.begin(request())
	rpcerrtest.Want(f, f.mustPayAll(nil, request())[0].Err, rpcerr.IdempotencyKeyInFlight)
}

func TestBeginAll_LosesNothingToSomebodyWhoWasFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
		_, err := idem.BeginAll[receipt](t.Context(), tx, []idem.Opening{opening(request())}, time.Hour,
			func(ctx context.Context, tx *pg.Tx, _ []int) ([]idem.Intent, error) {
				f.begin(request()) // commits
				_, err := addEffect(ctx, tx, "twice")
				return []idem.Intent{{}}, err
			})
		return err
	})
	if !errors.Is(err, groupcommit.ErrAgain) {
		t.Errorf("got %v, want ErrAgain", err)
	}
	f.wantEffects("intent of order-0001")
}
