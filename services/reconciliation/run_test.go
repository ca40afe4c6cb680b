package reconciliation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

func TestRun_MatchesWhatCameInAndKeepsTheRestOpen(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 7)
	f.deliver(append(ours, mv{ours: true, id: "ch_late", amount: 5, note: "late", day: "2026-11-29"})...)
	f.deliver(append(theirs, mv{id: "ch_strange", amount: 8, note: "strange"})...)
	first := f.run(asOf)
	if first.GetMatched() != 7 || first.GetMovements() != 16 || first.GetMovementsMatched() != 14 || first.GetDigest() == "" || first.GetSignature() == "" {
		t.Errorf("the run came to %v", first)
	}
	want := map[string]int64{"TIMING_OPEN": 1, "MISSING_INTERNALLY": 1}
	if diff := cmp.Diff(want, breaksOf(first)); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"late", "strange"}, f.openNotes()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}

	second := f.run(asOf) // nothing came in
	if second.GetMatched() != 0 || second.GetMovements() != 2 || second.GetNumber() != 2 {
		t.Errorf("the second run came to %v", second)
	}
	if diff := cmp.Diff(want, breaksOf(second)); diff != "" {
		t.Errorf("breaks of the second run (-want +got):\n%s", diff)
	}

	f.deliver(mv{id: "ch_late", amount: 5}) // a late arrival closes
	third := f.run(asOf)
	if third.GetMatched() != 1 || third.GetMovements() != 3 {
		t.Errorf("the third run came to %v", third)
	}
	if diff := cmp.Diff([]string{"strange"}, f.openNotes()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	f.wantVerified(first, second, third)
}

// TestRun_IsTheSameInWhateverOrderThingsCameIn delivers the same movements in other deliveries and in another order.
func TestRun_IsTheSameInWhateverOrderThingsCameIn(t *testing.T) {
	t.Parallel()
	ours, theirs := pairs("ch", 20)
	all := slices.Concat(ours, theirs[:17], []mv{{id: "ch_strange", amount: 8, currency: "GBP"}, {id: "ch_x", bank: true, kind: match.KindPayout, amount: 7}})
	digests := map[string]bool{}
	for seed := range uint64(3) {
		f := setupRuns(t)
		random := rand.New(rand.NewPCG(seed, seed))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for rest := all; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			f.deliver(rest[:n]...)
			rest = rest[n:]
		}
		digests[f.run(asOf).GetDigest()] = true
	}
	if len(digests) != 1 {
		t.Errorf("the digests are %v", digests)
	}
}

func TestRun_JudgesWhatIsDueByItsDay(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	version := f.putRules(func(s *rules.Set) {
		s.Due = []rules.Due{{Stage: match.StageProvider, BusinessDays: 2}}
		s.Holidays = []breaks.Day{breaks.Day(mustDay(t, "2026-11-26"))}
	})
	f.deliver(mv{ours: true, id: "ch_1", amount: 5, day: "2026-11-25"}) // a Wednesday; due on Monday
	for _, c := range []struct{ asOf, code string }{{"2026-11-30", "TIMING_OPEN"}, {"2026-12-01", "MISSING_AT_PROVIDER"}} {
		made := f.run(c.asOf)
		if diff := cmp.Diff(map[string]int64{c.code: 1}, breaksOf(made)); diff != "" || made.GetAsOf() != c.asOf || made.GetRulesVersion() != version {
			t.Errorf("as of %s by version %d (-want +got):\n%s", made.GetAsOf(), made.GetRulesVersion(), diff)
		}
	}
	_, err := f.begin("2026-11-30")
	rpcerrtest.Want(t, err, rpcerr.RunBehind)
	_, err = f.begin("soon")
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "as_of")
}

func TestRun_ExpectsTheFeeOfTheSchedule(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.putRules(func(s *rules.Set) {
		s.Fees = []rules.Fee{{About: rules.About{Currency: "EUR", Kind: match.KindCharge}, RatePPM: 15_000, FixedMinor: 20, Rounding: rules.Down}}
	})
	f.deliver(mv{ours: true, id: "ch_1", amount: 510}, mv{ours: true, id: "ch_2", amount: 510})
	f.deliver(mv{id: "ch_1", amount: 510, fee: 27}, mv{id: "ch_2", amount: 510, fee: 29})
	if diff := cmp.Diff(map[string]int64{"FEE_VARIANCE": 1}, breaksOf(f.run(asOf))); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
}

func TestRun_BeginsOnceWhoeverRaces(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 5)
	f.deliver(slices.Concat(ours, theirs)...)
	release := f.lock("match_pair") // so that the first one stays under way
	keys := []string{"the-one-key", "the-one-key", "another-key", "a-third-key"}
	runs, errs := make([]string, len(keys)), make([]error, len(keys))
	var racing sync.WaitGroup
	for i, key := range keys {
		racing.Go(func() {
			answer, err := f.client.RunReconciliation(f.Context(), &reconciliationv1.RunReconciliationRequest{IdempotencyKey: key, AsOf: asOf})
			runs[i], errs[i] = answer.GetRun().GetRunId(), err
		})
	}
	racing.Wait()
	release()
	begun := map[string]bool{}
	for i, err := range errs {
		if err == nil {
			begun[runs[i]] = true
			continue
		}
		rpcerrtest.Want(t, err, rpcerr.RunUnderWay)
	}
	if len(begun) != 1 {
		t.Fatalf("%v were begun", begun)
	}
	for id := range begun {
		ended := f.until(id, func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
		if ended.GetMatched() != 5 || ended.GetNumber() != 1 {
			t.Errorf("the run came to %v", ended)
		}
	}
}

func TestMatch_OfTheSameMovementTwiceIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 1)
	f.deliver(slices.Concat(ours, theirs)...)
	f.run(asOf)
	for _, side := range []string{"ours", "theirs"} {
		_, err := f.db.Exec(t.Context(), fmt.Sprintf(`INSERT INTO match_pair (match_id, %[1]s_id, partition_id, pass) SELECT 99, %[1]s_id, 1, 1 FROM match_pair`, side))
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.ConstraintName != "match_pair_"+side {
			t.Errorf("a second match of a movement of %s: %v", side, err)
		}
	}
}

// TestRun_LeavesOutWhatWasInDoubt has a payment in doubt that the report proves; when it is known how it ended, only that counts.
func TestRun_LeavesOutWhatWasInDoubt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		then    match.Standing
		want    map[string]int64
		matched int64
		open    []string
	}{
		{"it was charged", match.Booked, map[string]int64{}, 1, []string{"refused"}},
		{"it was refused", match.Refused, map[string]int64{"STATE_CONFLICT": 1}, 0, []string{"known", "refused", "theirs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			doubt := mv{ours: true, id: "ch_1", amount: 500, payment: "pay_1", standing: match.InDoubt, note: "doubt"}
			f.deliver(doubt, mv{ours: true, id: "ch_2", amount: 7, payment: "pay_2", standing: match.InDoubt, note: "other doubt"})
			f.deliver(mv{id: "ch_1", amount: 500, day: "2026-11-12", note: "theirs"})
			first := f.run(asOf)
			if diff := cmp.Diff(map[string]int64{"UNKNOWN_RESOLVED": 1}, breaksOf(first)); diff != "" {
				t.Errorf("breaks (-want +got):\n%s", diff)
			}
			f.wantExplained("EUR")
			f.exec(`INSERT INTO doubt (key, payment_id, operation_key) SELECT key, payment_id, 'k' FROM movement WHERE standing = 1`)
			if proven, err := newStore(f.db).provenDoubts(t.Context(), ""); err != nil || len(proven) != 1 || proven[0].stated != 500 || proven[0].providerID != "ch_1" {
				t.Errorf("what the statement proves is %+v, %v", proven, err)
			}
			known := doubt
			known.standing, known.note = c.then, "known"
			f.deliver(known, mv{ours: true, id: "ch_2", amount: 7, payment: "pay_2", standing: match.Refused, note: "refused"})
			second := f.run(asOf)
			if diff := cmp.Diff(c.want, breaksOf(second)); diff != "" || second.GetMatched() != c.matched {
				t.Errorf("the second run came to %v; breaks (-want +got):\n%s", second, diff)
			}
			if got := second.GetPartitions()[0].GetSettled(); got != 2 {
				t.Errorf("%d are settled", got)
			}
			if diff := cmp.Diff(c.open, f.openNotes()); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
			f.wantExplained("EUR")
			f.wantVerified(first, second)
		})
	}
}

// TestRun_LooksAgainAtWhatAPersonMatchedInDoubt has a person match a payment in doubt; when it is known how it ended, the match is
// undone, and what it was matched with is matched with that. A run that is cancelled leaves it as it was.
func TestRun_LooksAgainAtWhatAPersonMatchedInDoubt(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	doubt := mv{ours: true, id: "ch_1", amount: 500, payment: "pay_1", standing: match.InDoubt, note: "doubt"}
	f.deliver(doubt, mv{id: "xx", amount: 500, day: "2026-11-12", note: "theirs"})
	first := f.run(asOf)
	f.byHand("doubt", "theirs")
	f.wantExplained("EUR")
	between := f.run(asOf)
	if diff := cmp.Diff([]string{}, f.openNotes()); diff != "" || between.GetMovements() != 0 {
		t.Errorf("the run after it came to %v; open (-want +got):\n%s", between, diff)
	}
	known := doubt
	known.standing, known.id, known.note = match.Booked, "xx", "known"
	f.deliver(known)
	before := f.tables()

	f.cancelled()
	before["run"] = append(before["run"], "3 3 ")
	if diff := cmp.Diff(before, f.tables()); diff != "" {
		t.Errorf("what is left of the cancelled run (-before +after):\n%s", diff)
	}

	last := f.run(asOf)
	if last.GetMatched() != 1 || last.GetMovements() != 2 || len(last.GetBreaks()) > 0 {
		t.Errorf("the last run came to %v", last)
	}
	f.wantExplained("EUR")
	f.wantVerified(first, between, last)
}

// TestRun_KnowsWhatIsThereTwice has a charge reported again, after an earlier run has matched it.
func TestRun_KnowsWhatIsThereTwice(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.deliver(mv{ours: true, id: "ch_1", ref: "ord_1", amount: 500, payment: "pay_1"}, mv{id: "ch_1", ref: "ord_1", amount: 500})
	first := f.run(asOf)
	f.deliver(mv{id: "ch_1", ref: "ord_1", amount: 500, note: "again"}, mv{id: "ch_9", ref: "ord_9", amount: 500})
	second := f.run(asOf)
	if diff := cmp.Diff(map[string]int64{"MISSING_INTERNALLY": 1, "DUPLICATE_EXTERNAL": 1}, breaksOf(second)); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
	f.wantVerified(first, second)
}

func TestRun_GivesUpOnWhatIsSaidToHaveFailed(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.putRules(func(s *rules.Set) { s.RefusedDays = 10 })
	f.deliver(mv{ours: true, id: "ch_1", amount: 500, day: "2026-11-10", standing: match.Refused, note: "refused"})
	for _, c := range []struct {
		asOf string
		open []string
	}{{"2026-11-22", []string{"refused"}}, {"2026-11-23", []string{}}, {"2026-11-24", []string{}}} {
		f.run(c.asOf)
		if diff := cmp.Diff(c.open, f.openNotes()); diff != "" {
			t.Errorf("open after %s (-want +got):\n%s", c.asOf, diff)
		}
	}
}

func TestRun_TellsTheWorldWhenItHasFinished(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 2)
	f.deliver(slices.Concat(ours, theirs)...)
	made := f.run(asOf)
	events := pgtest.Column[string](t, f.db, `SELECT service || '.' || entity || '.' || name || ' ' || subject FROM outbox`)
	if diff := cmp.Diff([]string{"reconciliation.run.finished " + made.GetRunId()}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRun_BeginsByItselfWhenSomethingCameIn(t *testing.T) {
	t.Parallel()
	f := setupRuns(t, func(c *Config) { c.Every = 1 })
	ours, theirs := pairs("ch", 2)
	f.deliver(slices.Concat(ours, theirs)...)
	f.reconciliation.runner.wake.Ring()
	waittest.Until(t, "a run has matched it", func() bool {
		return strings.HasPrefix(strings.Join(pgtest.Column[string](t, f.db, `SELECT begun_by || state FROM run`), ","), "reconciliation2")
	})
}

func TestRuns_AreListed(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 5)
	f.deliver(slices.Concat(ours, theirs)...)
	first := f.run(asOf)
	f.run(asOf)
	f.run(asOf)
	var numbers []int32
	for token := ""; ; {
		page, err := f.client.ListRuns(t.Context(), &reconciliationv1.ListRunsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetRuns() {
			numbers = append(numbers, r.GetNumber())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]int32{3, 2, 1}, numbers); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	got, err := f.client.GetRun(t.Context(), &reconciliationv1.GetRunRequest{RunId: first.GetRunId()})
	if err != nil || got.GetRun().GetDigest() != first.GetDigest() || len(got.GetRun().GetPartitions()) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = f.client.GetRun(t.Context(), &reconciliationv1.GetRunRequest{RunId: "run_" + uuid.NewString()})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "run_id")
}

func TestMatches_AreListedByRunMovementAndPayment(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 5)
	f.deliver(slices.Concat(ours, theirs)...)
	made := f.run(asOf)
	var all []*reconciliationv1.Match
	for token := ""; ; {
		page, err := f.client.ListMatches(t.Context(), &reconciliationv1.ListMatchesRequest{
			Of: &reconciliationv1.ListMatchesRequest_RunId{RunId: made.GetRunId()}, PageSize: 2, PageToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.GetMatches()...)
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(all) != 5 {
		t.Fatalf("got %d matches", len(all))
	}
	one := all[3]
	if !one.GetActive() || one.GetPass() != reconciliationv1.Pass_PASS_STRONG_ID || one.GetOursBy() != "id" || len(one.GetMovements()) != 2 ||
		!one.GetMovements()[0].GetOurs() || one.GetMovements()[1].GetFee().GetMinorUnits() != 3 {
		t.Errorf("the match is %v", one)
	}
	for _, of := range []*reconciliationv1.ListMatchesRequest{
		{Of: &reconciliationv1.ListMatchesRequest_MovementId{MovementId: one.GetMovements()[1].GetMovementId()}},
		{Of: &reconciliationv1.ListMatchesRequest_PaymentId{PaymentId: one.GetMovements()[0].GetPaymentId()}},
	} {
		page, err := f.client.ListMatches(t.Context(), of)
		if err != nil || len(page.GetMatches()) != 1 || page.GetMatches()[0].GetMatchId() != one.GetMatchId() {
			t.Errorf("of %v: got %v, %v", of, page, err)
		}
	}
}
