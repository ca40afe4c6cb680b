package matchtest_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

func TestGenerate_IsTheSameForASeed(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 3, Cases: 500, Breaks: 100}
	once, again := slices.Collect(matchtest.Generate(c)), slices.Collect(matchtest.Generate(c))
	if diff := cmp.Diff(once, again); diff != "" {
		t.Error(diff)
	}
	c.Seed++
	if other := slices.Collect(matchtest.Generate(c)); cmp.Equal(once, other) {
		t.Error("another seed makes the same")
	}
}

func TestGenerate_EndsWhenNobodyTakesMore(t *testing.T) {
	t.Parallel()
	taken := 0
	for range matchtest.Generate(matchtest.Config{Cases: 1 << 40, Lines: 3}) {
		if taken++; taken == 1000 {
			break
		}
	}
	if taken != 1000 {
		t.Errorf("%d cases", taken)
	}
}

// TestGenerate_PlantsEveryCode counts what is planted: all that matching can find in one partition, and about as much as is asked for.
func TestGenerate_PlantsEveryCode(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 1, Cases: 20_000, Breaks: 50, Lines: 40}
	planted, names, provider, broken := map[breaks.Code]int{}, map[string]bool{}, 0, 0
	for made := range matchtest.Generate(c) {
		planted[made.Code]++
		if made.Stage == match.StageProvider {
			provider++
			if made.Code != "" {
				broken++
			}
		}
		for _, l := range slices.Concat(made.Ours, made.Theirs) {
			if names[l.Name] {
				t.Fatalf("%s is there twice", l.Name)
			}
			names[l.Name] = true
		}
	}
	for _, code := range []breaks.Code{
		breaks.TimingOpen, breaks.MissingAtProvider, breaks.MissingAtBank, breaks.MissingInternally, breaks.UnknownResolved, breaks.AmountOver,
		breaks.AmountUnder, breaks.FeeVariance, breaks.DuplicateExternal, breaks.DuplicateInternal, breaks.StateConflict, breaks.DateOutOfWindow,
		breaks.ReferenceMismatch, breaks.Ambiguous, breaks.SplitIncomplete, breaks.PayoutUnexplained, breaks.ReturnUnmatched, breaks.ChargebackUnmatched,
	} {
		if planted[code] == 0 {
			t.Errorf("no %s", code)
		}
	}
	if provider != c.Cases || broken < 45*c.Cases/1000 || broken > 55*c.Cases/1000 {
		t.Errorf("%d cases, %d of them broken", provider, broken)
	}
}

func TestJudge_SeesWhatIsWrongAndWhatIsMissed(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 1, Cases: 6000, Breaks: 200, Bare: 250, Days: 10}
	for name, test := range map[string]struct {
		change        func(*match.Rules)
		wrong, missed bool
	}{
		"as it should be": {func(*match.Rules) {}, false, false},
		"guessing":        {func(r *match.Rules) { r.Closest = true }, true, true},
		"by no reference": {func(r *match.Rules) { r.Carriers = r.Carriers[:3] }, true, true},
		"by id only":      {func(r *match.Rules) { r.Passes = []match.Pass{match.PassStrongID} }, true, true},
	} {
		rules := match.DefaultProvider()
		test.change(&rules)
		p := matchtest.Collect(matchtest.Generate(c), match.StageProvider, 1)
		in := p.Input(c.AsOf())
		result, err := match.Run(in, rules)
		if err != nil {
			t.Fatal(err)
		}
		v := p.Truth.Judge(in, &result)
		if (v.Wrong > 0) != test.wrong || (v.Missed > 0) != test.missed || (v.Precision() < 1000) != test.wrong || (v.Recall() < 1000) != test.missed {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
