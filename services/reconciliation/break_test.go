package reconciliation

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

const accepted = reconciliationv1.BreakResolution_BREAK_RESOLUTION_ACCEPTED

func TestBreak_IsAcknowledgedAssignedSnoozedAndAccepted(t *testing.T) {
	f := setupBreaks(t)
	id := f.broken(1250)
	f.must(f.ann, id, verb(ack))
	f.must(f.ann, id, &reconciliationv1.BreakDecision{Verb: assign, Assignee: "bob"})
	until := timestamppb.New(time.Now().Add(time.Hour).Truncate(time.Second))
	b := f.must(f.bob, id, &reconciliationv1.BreakDecision{Verb: snooze, SnoozeUntilTime: until})
	if b.GetState() != isAcked || b.GetAssignee() != "bob" || !b.GetSnoozeUntilTime().AsTime().Equal(until.AsTime()) || b.GetNote() != "bob: because" {
		t.Errorf("got %v", b)
	}
	f.must(f.bob, id, verb(accept))
	got := f.wantState(id, isResolved, accepted)
	var verbs []string
	for _, e := range got.GetEvents() {
		verbs = append(verbs, e.GetActor()+" "+e.GetVerb())
	}
	if diff := cmp.Diff([]string{"run see", "ann ack", "ann assign", "bob snooze", "bob accept"}, verbs); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if n := scan[int64](f, `SELECT count(*) FROM operator_action WHERE target = $1 AND reason = 'because'`, id); n != 4 {
		t.Errorf("%d audit rows, want 4", n)
	}
	if active, open := f.legs(id); active != 1 || open != 0 {
		t.Errorf("%d legs, %d open movements", active, open)
	}
	evidence := scan[string](f, `SELECT evidence FROM match WHERE pass = 0`)
	if want := `{"break":"` + id + `","how":"accepted","by":"bob","reason":"because"}`; evidence != want {
		t.Errorf("evidence %s, want %s", evidence, want)
	}
}

func TestBreak_ReopenedHasItsMovementsOpenAgain(t *testing.T) {
	f := setupBreaks(t)
	f.exec(`INSERT INTO rule_set (version, document, hash, created_by) VALUES (1, '{}', sha256('x'), 'test')`)
	f.exec(`INSERT INTO run (number, id, state, as_of, rules, rows, begun_by, ended_at, cancelling) VALUES (1, gen_random_uuid(), 3, now(), 1, 0, 'test', now(), 'test')`)
	id := f.broken(1250)
	for range 3 { // between two runs as often as somebody likes
		f.must(f.ann, id, verb(accept))
		if active, open := f.legs(id); active != 1 || open != 0 {
			t.Fatalf("accepted: %d legs, %d open movements", active, open)
		}
		f.must(f.ann, id, verb(reopen))
		if active, open := f.legs(id); active != 0 || open != 1 {
			t.Fatalf("reopened: %d legs, %d open movements", active, open)
		}
	}
	f.wantState(id, isOpen, asNone)
}

func TestBreak_WhoseMovementIsMatchedElsewhereIsNotClosedByHand(t *testing.T) {
	f := setupBreaks(t)
	s, id := f.missing(1250)
	f.sees(partition7, true, s)
	f.exec(`INSERT INTO match_pair (match_id, ours_id, partition_id, pass) VALUES (1, $1, 1, 1)`, s.ours[0].id)
	_, err := f.decide(f.ann, id, verb(accept))
	rpcerrtest.Want(t, err, rpcerr.BreakMovementMatched)
	f.wantState(id, isOpen, asNone)
	if n := scan[int64](f, `SELECT count(*) FROM match WHERE id <> 1`); n != 0 {
		t.Errorf("%d matches are left behind", n)
	}
}

func TestBreak_WriteOffPostsAJournalOnce(t *testing.T) {
	f := setupBreaks(t)
	id := f.broken(1250) // ours is 12.50 more than theirs: the provider holds less than the books say
	f.must(f.ann, id, resolve(writeOff))
	f.wantState(id, isEnding, asNone)
	f.sees(partition7, true) // a run in between sees nothing of it
	f.wantState(id, isEnding, asNone)
	f.work()
	got := f.wantState(id, isResolved, writeOff)
	want := []journalOrder{{
		key: f.ledger.order[0].key, kind: "correction", from: accountClearing, to: breaks.AccountWriteOffs, amount: gbp(1250), reference: id, reason: "because",
	}}
	if diff := cmp.Diff(want, f.ledger.order, cmp.AllowUnexported(journalOrder{})); diff != "" {
		t.Errorf("journals (-want +got):\n%s", diff)
	}
	if j := got.GetJournals(); len(j) != 1 || j[0].GetState() != "done" || j[0].GetResult() == "" {
		t.Errorf("journals: %v", j)
	}
	// Reopened, the journal is booked back.
	f.must(f.ann, id, verb(reopen))
	f.work()
	f.wantState(id, isOpen, asNone)
	if back := f.ledger.order[1]; len(f.ledger.order) != 2 || back.from != want[0].to || back.to != want[0].from || back.amount != want[0].amount {
		t.Errorf("journals: %v", f.ledger.order)
	}
	f.must(f.ann, id, resolve(repost))
	f.work()
	f.wantState(id, isResolved, repost)
	if third := f.ledger.order[2]; third.to != accountSuspense || third.from != accountClearing {
		t.Errorf("journal: %v", third)
	}
}

func TestBreak_TheirsIsMoreThanOursIsBookedTheOtherWay(t *testing.T) {
	f := setupBreaks(t)
	for _, tt := range []struct {
		code     breaks.Code
		minor    int64
		from, to string
	}{
		{breaks.MissingInternally, 70, accountSuspense, accountClearing},
		{breaks.AmountUnder, -70, accountClearing, accountSuspense},
		{breaks.FeeVariance, 70, accountClearing, "fees"}, // a fee of theirs that is more is less money
		{breaks.FeeVariance, -70, "fees", accountClearing},
	} {
		s := sighting{code: tt.code, theirs: f.movements(1, false, 100), amount: gbp(tt.minor)}
		f.sees(partition7, false, s)
		f.must(f.ann, BreakID(s.id()).String(), resolve(repost))
		f.work()
		if o := f.ledger.order[len(f.ledger.order)-1]; o.from != tt.from || o.to != tt.to || o.amount != gbp(70) {
			t.Errorf("%s of %d: %s to %s of %s, want %s to %s", tt.code, tt.minor, o.from, o.to, o.amount, tt.from, tt.to)
		}
	}
}

func TestBreak_AboveTheLimitASecondPersonApproves(t *testing.T) {
	f := setupBreaks(t)
	id := f.broken(10_001)
	f.must(f.ann, id, resolve(writeOff))
	f.work()
	f.wantState(id, isPending, asNone)
	if active, open := f.legs(id); active != 0 || open != 1 || len(f.ledger.order) != 0 {
		t.Errorf("%d legs, %d open movements, journals %v: nothing is done before it is approved", active, open, f.ledger.order)
	}
	_, err := f.decide(f.ann, id, verb(approve))
	rpcerrtest.Want(t, err, rpcerr.BreakSamePerson)
	f.must(f.bob, id, verb(reject))
	f.wantState(id, isAcked, asNone)
	f.must(f.ann, id, resolve(writeOff))
	f.must(f.bob, id, verb(approve))
	f.work()
	got := f.wantState(id, isResolved, writeOff)
	if j := got.GetJournals(); len(j) != 2 || j[0].GetState() != "rejected" || j[1].GetAskedBy() != "ann" || j[1].GetApprovedBy() != "bob" || len(f.ledger.order) != 1 {
		t.Errorf("journals: %v; posted: %v", j, f.ledger.order)
	}
	below := f.broken(10_000)
	f.must(f.ann, below, resolve(writeOff))
	f.wantState(below, isEnding, asNone)
}

func TestBreak_WhatWaitsForApprovalAndVanishesIsNotBooked(t *testing.T) {
	f := setupBreaks(t)
	id := f.broken(10_001)
	f.must(f.ann, id, resolve(writeOff))
	f.sees(partition7, true)
	got := f.wantState(id, isResolved, asVanished)
	if j := got.GetJournals(); len(j) != 1 || j[0].GetState() != "rejected" {
		t.Errorf("journals: %v", j)
	}
	_, err := f.decide(f.bob, id, verb(approve))
	rpcerrtest.Want(t, err, rpcerr.BreakStateRefused)
}

// A journal that fails, applied or not, is asked for again under its key; a refusal gives the break back.
func TestBreak_JournalSurvivesWhateverHappensBetweenIntentAndEnd(t *testing.T) {
	lost := errors.New("lost")
	for name, tt := range map[string]struct {
		before, after error
		state         reconciliationv1.BreakState
		posted        int
	}{
		"not applied, answer lost": {before: lost, state: isResolved, posted: 1},
		"applied, answer lost":     {after: lost, state: isResolved, posted: 1},
		"the process ends":         {after: context.Canceled, state: isResolved, posted: 1},
		"refused":                  {before: rpcerr.New(rpcerr.RequestInvalid, "no such account"), state: isAcked},
	} {
		t.Run(name, func(t *testing.T) {
			f := setupBreaks(t)
			id := f.broken(1250)
			f.must(f.ann, id, resolve(writeOff))
			once := func(err error) func(journalOrder) error {
				return func(journalOrder) error {
					failed := err
					err = nil
					return failed
				}
			}
			f.ledger.before, f.ledger.after = once(tt.before), once(tt.after)
			f.work()
			f.work() // nothing is due before its time
			if tt.state == isResolved {
				if j := f.wantState(id, isEnding, asNone).GetJournals()[0]; j.GetNote() == "" || j.GetState() != "due" {
					t.Errorf("journal: %v", j)
				}
				f.exec(`UPDATE break_journal SET next_at = now()`)
				f.work()
			}
			got := f.get(id)
			if got.GetBreak().GetState() != tt.state || len(f.ledger.order) != tt.posted {
				t.Errorf("got %v, posted %v", got, f.ledger.order)
			}
			active, open := f.legs(id)
			if want := int64(tt.posted); active != want || open != 1-want {
				t.Errorf("%d legs, %d open movements", active, open)
			}
		})
	}
}

func TestBreak_RepairIsDoneByWhoeverCan(t *testing.T) {
	f := setupBreaks(t)
	s := sighting{code: breaks.SagaDivergence, subject: "sag_1", orderID: "ord_1"}
	id := BreakID(s.id()).String()
	order := watcher{name: "order", scope: "ord_1"}
	f.sees(order, true, s)
	_, err := f.decide(f.ann, id, resolve(repair))
	rpcerrtest.Want(t, err, rpcerr.BreakNotRepairable)
	var told []brokenThing
	f.r.repairers = map[breaks.Code]repairer{breaks.SagaDivergence: func(_ context.Context, b *brokenThing) (string, error) {
		told = append(told, *b)
		return "resumed", nil
	}}
	f.must(f.ann, id, resolve(repair))
	f.work()
	got := f.wantState(id, isResolved, repair)
	if len(told) != 1 || told[0].orderID != "ord_1" || told[0].subject != "sag_1" || told[0].actor != "ann" || got.GetJournals()[0].GetResult() != "resumed" {
		t.Errorf("told %v, got %v", told, got)
	}
	f.sees(order, true, s) // it was not repaired after all
	f.wantState(id, isOpen, asNone)
}

func TestBreak_RefusesNonsense(t *testing.T) {
	f := setupBreaks(t)
	id := f.broken(1250)
	file := sighting{code: breaks.BatchControl, subject: "f"}
	clearing := sighting{code: breaks.LedgerInvariant, subject: "provider_clearing", amount: gbp(5)}
	empty := sighting{code: breaks.Ambiguous, subject: "x", amount: gbp(0)}
	f.sees(watcher{name: "import"}, false, file, clearing, empty)
	of := func(s sighting) string { return BreakID(s.id()).String() }
	yesterday := timestamppb.New(time.Now().Add(-time.Hour))
	for name, tt := range map[string]struct {
		id     string
		d      *reconciliationv1.BreakDecision
		reason rpcerr.Reason
		field  []string
	}{
		"no id":                    {"x", verb(ack), rpcerr.RequestInvalid, []string{"break_id"}},
		"nobody":                   {"brk_019a0000-0000-7000-8000-000000000000", verb(ack), rpcerr.NotFound, []string{"break_id"}},
		"no verb":                  {id, verb(0), rpcerr.RequestInvalid, []string{"decision.verb"}},
		"snooze until the past":    {id, &reconciliationv1.BreakDecision{Verb: snooze, SnoozeUntilTime: yesterday}, rpcerr.RequestInvalid, []string{"decision.snooze_until_time"}},
		"snooze for ever":          {id, verb(snooze), rpcerr.RequestInvalid, []string{"decision.snooze_until_time"}},
		"ack with an end":          {id, &reconciliationv1.BreakDecision{Verb: ack, SnoozeUntilTime: yesterday}, rpcerr.RequestInvalid, []string{"decision.snooze_until_time"}},
		"ack with an assignee":     {id, &reconciliationv1.BreakDecision{Verb: ack, Assignee: "bob"}, rpcerr.RequestInvalid, []string{"decision.assignee"}},
		"ack with a resolution":    {id, &reconciliationv1.BreakDecision{Verb: ack, Resolution: repost}, rpcerr.RequestInvalid, []string{"decision.resolution"}},
		"resolve by nothing":       {id, resolve(asNone), rpcerr.RequestInvalid, []string{"decision.resolution"}},
		"resolve as matched":       {id, resolve(asMatched), rpcerr.RequestInvalid, []string{"decision.resolution"}},
		"no such account":          {id, &reconciliationv1.BreakDecision{Verb: 4, Resolution: repost, Against: "x"}, rpcerr.RequestInvalid, []string{"decision.against"}},
		"repair at an account":     {id, &reconciliationv1.BreakDecision{Verb: 4, Resolution: repair, Account: "bank"}, rpcerr.RequestInvalid, []string{"decision.account"}},
		"against itself":           {id, &reconciliationv1.BreakDecision{Verb: 4, Resolution: repost, Against: accountClearing}, rpcerr.RequestInvalid, []string{"decision.against"}},
		"an account nobody knows":  {of(clearing), resolve(writeOff), rpcerr.RequestInvalid, []string{"decision.account"}},
		"writing off a file":       {of(file), resolve(writeOff), rpcerr.BreakResolutionRefused, nil},
		"writing off nothing":      {of(empty), resolve(writeOff), rpcerr.BreakResolutionRefused, nil},
		"approving what is open":   {id, verb(approve), rpcerr.BreakStateRefused, nil},
		"reopening what is open":   {id, verb(reopen), rpcerr.BreakStateRefused, nil},
		"rejecting what is open":   {id, verb(reject), rpcerr.BreakStateRefused, nil},
		"repairing what cannot be": {id, resolve(repair), rpcerr.BreakNotRepairable, nil},
	} {
		_, err := f.decide(f.ann, tt.id, tt.d)
		t.Log(name)
		rpcerrtest.Want(t, err, tt.reason, tt.field...)
	}
	_, err := f.ann.OperateBreak(t.Context(), &reconciliationv1.OperateBreakRequest{IdempotencyKey: "decide-asNone", BreakId: id, Decision: verb(ack)})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "decision.reason")
	_, err = f.ann.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{PageToken: "nonsense"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}
