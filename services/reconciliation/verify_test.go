package reconciliation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

func TestVerify_FindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	const last = `(SELECT max(match_id) FROM match_pair)`
	for name, c := range map[string]struct {
		change string
		digest bool   // whether it still comes to the same
		says   string // of the first difference
	}{
		"a score":             {`UPDATE match_pair SET score = 7 WHERE match_id = ` + last, true, "is stored as"},
		"who is matched":      {`UPDATE match_pair SET ours_id = (SELECT o.movement_id FROM open_movement o LIMIT 1) WHERE match_id = ` + last, true, "is stored as of"},
		"a match is missing":  {`DELETE FROM match_pair WHERE match_id = ` + last, true, "is not stored"},
		"a match too many":    {`INSERT INTO match_pair (match_id, ours_id, partition_id, pass) SELECT match_id + 1, 99, partition_id, pass FROM match_pair WHERE match_id = ` + last, true, "matches are stored"},
		"an amount":           {`UPDATE movement SET amount_minor = amount_minor + 1 WHERE id = (SELECT min(movement_id) FROM match_leg)`, false, ""},
		"amounts that tie":    {`UPDATE movement SET amount_minor = 99 WHERE provider_id = 'ch_003'`, false, "came to"},
		"a reference":         {`UPDATE movement SET reference = 'ord_other' WHERE provider_id = 'ch_003'`, false, "came to"},
		"a count":             {`UPDATE run_partition SET ours_matched = ours_matched - 1`, true, "by pass"},
		"what was found":      {`UPDATE run_partition SET breaks = '{}'`, true, "was found"},
		"a part of a digest":  {`UPDATE run_partition SET digest = sha256('x')`, true, "came to"},
		"the digest":          {`UPDATE run SET digest = sha256('x')`, false, "signature"},
		"the signature":       {`UPDATE run SET signature = sha512('x')`, true, "signature"},
		"a key of somebody":   {`UPDATE run SET public_key = sha256('x')`, true, "signature"},
		"another day":         {`UPDATE run SET as_of = as_of + 1`, false, ""},
		"a delivery more":     {`UPDATE delivery SET run_number = 1`, false, ""},
		"an open one is less": {`DELETE FROM delivery WHERE id = 3`, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setupRuns(t)
			f.tampered = true
			ours, theirs := pairs("ch", 8)
			f.deliver(append(ours, mv{ours: true, id: "ch_open", amount: 5})...)
			f.deliver(theirs...)
			made := f.run(asOf)
			f.wantVerified(made)
			f.deliver(mv{id: "ch_new", amount: 7})
			f.exec(c.change)
			v, err := f.verify(made.GetRunId())
			if err != nil {
				t.Fatal(err)
			}
			if name == "an open one is less" {
				if !v.GetHolds() {
					t.Errorf("what came in later counts: %v", v)
				}
				return
			}
			if v.GetHolds() || (v.GetComputed() == v.GetDigest()) != c.digest || !strings.Contains(strings.Join(v.GetDifferences(), "\n"), c.says) {
				t.Errorf("got %v", v)
			}
		})
	}
}

func TestVerify_IsForRunsThatHaveFinished(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 4)
	f.deliver(append(ours, theirs...)...)
	release := f.lock("match_pair")
	begun, err := f.begin(asOf)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.verify(begun.GetRunId())
	rpcerrtest.Want(t, err, rpcerr.RunStateRefused)
	release()
	_, err = f.verify("run_" + uuid.NewString())
	rpcerrtest.Want(t, err, rpcerr.NotFound, "run_id")
}

// TestVerify_HoldsByTheRulesOfThen verifies a run after other rules were activated.
func TestVerify_HoldsByTheRulesOfThen(t *testing.T) {
	t.Parallel()
	f := setupRuns(t, func(c *Config) { c.SigningKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" })
	f.deliver(mv{ours: true, id: "ch_1", amount: 510}, mv{id: "ch_1", amount: 510, fee: 29})
	made := f.run(asOf)
	f.putRules(func(s *rules.Set) { s.Fees = []rules.Fee{{RatePPM: 1, Rounding: rules.Up}} })
	f.wantVerified(made)
	const public = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8" // of the seed above
	if made.GetPublicKey() != public {
		t.Errorf("signed by %s, want %s", made.GetPublicKey(), public)
	}
	if seeds := pgtest.Column[bool](t, f.db, `SELECT seed IS NULL FROM signing_key`); len(seeds) != 1 || !seeds[0] {
		t.Errorf("the database has keys: %v", seeds)
	}
}

func TestSimulate_ShowsWhatOtherRulesWouldChangeAndWritesNothing(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 6)
	f.deliver(append(ours, mv{ours: true, id: "ch_late", amount: 50})...)
	f.deliver(theirs...)
	f.run(asOf)
	f.deliver(mv{id: "ch_late", amount: 50, day: "2026-11-12"}, mv{id: "ch_other", amount: 60, day: "2026-11-28"}, mv{account: "second", id: "ch_s", amount: 1})
	before := f.tables()

	set := rules.Default()
	set.Fees = []rules.Fee{{About: rules.About{Kind: match.KindCharge}, RatePPM: 0, Rounding: rules.Down}}
	document, err := set.Document()
	if err != nil {
		t.Fatal(err)
	}
	got := f.simulate(&reconciliationv1.SimulateRunRequest{
		Rules: &reconciliationv1.SimulateRunRequest_RulesDocument{RulesDocument: string(document)}, AsOf: "2026-11-25", Account: "default",
	})
	if got.GetMovements() != 14 || got.GetRulesVersion() != 0 {
		t.Errorf("simulated %v", got)
	}
	passes := map[string]int64{}
	for _, p := range got.GetPasses() {
		passes[p.GetStage()+" "+p.GetPass().String()] = p.GetMatches()*100 + p.GetMatchesStored()
	}
	if diff := cmp.Diff(map[string]int64{"provider PASS_STRONG_ID": 706}, passes); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
	codes := map[string][4]int64{}
	for _, c := range got.GetCodes() {
		codes[c.GetCode()] = [...]int64{c.GetCount(), c.GetAmount().GetMinorUnits(), c.GetCountStored(), c.GetAmountStored().GetMinorUnits()}
	}
	want := map[string][4]int64{"FEE_VARIANCE": {6, 18, 0, 0}, "MISSING_AT_PROVIDER": {0, 0, 1, 50}}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	changes := map[string][2]int64{}
	for _, c := range got.GetChanges() {
		changes[c.GetChange().String()] = [...]int64{c.GetMovements(), c.GetAmount().GetMinorUnits()}
	}
	wantChanges := map[string][2]int64{"MOVEMENT_CHANGE_MATCHED": {1, 50}, "MOVEMENT_CHANGE_MATCHED_FIRST": {1, 50}}
	if diff := cmp.Diff(wantChanges, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, f.tables()); diff != "" {
		t.Errorf("it wrote (-before +after):\n%s", diff)
	}
}

// TestSimulate_OfEarlierDays asks for a day before the last run's, which a run may not have.
func TestSimulate_OfEarlierDays(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.deliver(mv{ours: true, id: "ch_1", amount: 50, day: "2026-11-10"}, mv{id: "ch_1", amount: 50, day: "2026-11-12"})
	f.run(asOf)
	got := f.simulate(&reconciliationv1.SimulateRunRequest{AsOf: "2026-11-11"})
	if got.GetMovements() != 1 || len(got.GetCodes()) != 1 || got.GetCodes()[0].GetCode() != "TIMING_OPEN" || got.GetRulesVersion() != 1 {
		t.Errorf("got %v", got)
	}
	for _, bad := range []*reconciliationv1.SimulateRunRequest{
		{Rules: &reconciliationv1.SimulateRunRequest_RulesDocument{RulesDocument: `{"due": 7}`}},
		{Rules: &reconciliationv1.SimulateRunRequest_RulesVersion{RulesVersion: 9}},
		{Account: "nobody"},
		{AsOf: "soon"},
	} {
		if stream, err := f.client.SimulateRun(t.Context(), bad); err == nil {
			if _, err := stream.Recv(); err == nil {
				t.Errorf("%v was simulated", bad)
			}
		}
	}
}

func (f *runFixture) simulate(r *reconciliationv1.SimulateRunRequest) *reconciliationv1.Simulation {
	f.Helper()
	stream, err := f.client.SimulateRun(f.Context(), r)
	for {
		var answer *reconciliationv1.SimulateRunResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil {
			f.Fatalf("simulating: %v", err)
		}
		if s := answer.GetSimulation(); s != nil {
			return s
		}
	}
}

func TestRules_AreVersionedAndNeverChange(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	first, err := f.client.GetRuleSet(t.Context(), &reconciliationv1.GetRuleSetRequest{})
	if err != nil || first.GetRuleSet().GetVersion() != 1 || !first.GetRuleSet().GetActive() || len(first.GetRuleSet().GetActivations()) != 1 {
		t.Fatalf("the first rules are %v, %v", first, err)
	}
	if set, err := rules.Parse([]byte(first.GetRuleSet().GetDocument())); err != nil || cmp.Diff(rules.Default(), set) != "" {
		t.Errorf("they are not the default: %v", err)
	}
	put := &reconciliationv1.PutRuleSetRequest{IdempotencyKey: "put-them", Document: `{"holidays": ["2026-12-25"]}`, Note: "christmas"}
	for range 2 { // the second one is a replay
		answer, err := f.client.PutRuleSet(t.Context(), put)
		if err != nil || answer.GetRuleSet().GetVersion() != 2 || answer.GetRuleSet().GetActive() || answer.GetRuleSet().GetCreatedBy() != "op" {
			t.Errorf("got %v, %v", answer, err)
		}
	}
	_, err = f.client.PutRuleSet(t.Context(), &reconciliationv1.PutRuleSetRequest{IdempotencyKey: "put-wrong", Document: `{"holidayz": []}`})
	if e := rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "document"); !strings.Contains(e.Fields[0].Description, "holidayz") {
		t.Errorf("the field is not named: %v", e)
	}
	activate := &reconciliationv1.ActivateRuleSetRequest{IdempotencyKey: "activate-it", Version: 2, Reason: "it is december"}
	answer, err := f.client.ActivateRuleSet(t.Context(), activate)
	if err != nil || !answer.GetRuleSet().GetActive() || answer.GetRuleSet().GetActivations()[0].GetReason() != "it is december" {
		t.Errorf("got %v, %v", answer, err)
	}
	_, err = f.client.ActivateRuleSet(t.Context(), &reconciliationv1.ActivateRuleSetRequest{IdempotencyKey: "activate-9", Version: 9, Reason: "why not"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "version")
	page, err := f.client.ListRuleSets(t.Context(), &reconciliationv1.ListRuleSetsRequest{PageSize: 1})
	if err != nil || len(page.GetRuleSets()) != 1 || page.GetRuleSets()[0].GetVersion() != 2 {
		t.Fatalf("got %v, %v", page, err)
	}
	page, err = f.client.ListRuleSets(t.Context(), &reconciliationv1.ListRuleSetsRequest{PageToken: page.GetNextPageToken()})
	if err != nil || len(page.GetRuleSets()) != 1 || page.GetRuleSets()[0].GetActive() || page.GetNextPageToken() != "" {
		t.Errorf("got %v, %v", page, err)
	}
	for _, change := range []string{`UPDATE rule_set SET note = ''`, `DELETE FROM rule_activation`} {
		if _, err := f.db.Exec(t.Context(), change); err == nil {
			t.Errorf("%s was possible", change)
		}
	}
	if holidays := f.reconciliation.policy().Holidays; len(holidays) != 1 {
		t.Errorf("breaks are judged with the holidays %v", holidays)
	}
	f.deliver(mv{kind: match.KindFee, id: "fee_1", amount: -5})
	if made := f.run(asOf); made.GetRulesVersion() != 2 || made.GetMatchedByPass()[0].GetPass() != reconciliationv1.Pass_PASS_OWN {
		t.Errorf("the run came to %v", made)
	}
}
