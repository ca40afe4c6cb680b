package match_test

import (
	"testing"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

// stages matches both stages of what is planted: what the first finds of payouts is what the second one counts in.
func stages(t testing.TB, c matchtest.Config, tokens matchtest.Tokens) (provider, bank verdict) {
	t.Helper()
	p := matchtest.Collect(matchtest.Generate(c), match.StageProvider, tokens)
	provider = judged(t, p, p.Input(c.AsOf()), match.DefaultProvider())
	adjust := map[match.Token]int64{}
	var strays []match.Row
	for _, f := range provider.result.Findings {
		adjust[f.Payout] += f.Effect
		if f.Code == breaks.MissingAtProvider {
			strays = append(strays, provider.in.Ours[f.Ours[0]])
		}
	}
	b := matchtest.Collect(matchtest.Generate(c), match.StageBank, tokens)
	in := b.Input(c.AsOf())
	in.Stray = strays
	for i := range in.Ours {
		if row := &in.Ours[i]; row.Kind == match.KindPayout {
			row.Adjust = adjust[row.Carriers[match.CarrierPayout]]
		}
	}
	return provider, judged(t, b, in, match.DefaultBank())
}

type verdict struct {
	matchtest.Verdict
	in     match.Input
	result match.Result
}

func judged(t testing.TB, p *matchtest.Part, in match.Input, r match.Rules) verdict {
	t.Helper()
	result, err := match.Run(in, r)
	if err != nil {
		t.Fatal(err)
	}
	return verdict{p.Truth.Judge(in, &result), in, result}
}

func TestRun_FindsThePlantedTruth(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		c := matchtest.Config{Seed: seed, Cases: 20_000}
		provider, bank := stages(t, c, matchtest.Tokens(seed))
		for stage, v := range map[match.Stage]verdict{match.StageProvider: provider, match.StageBank: bank} {
			t.Logf("seed %d, %s: right %d, wrong %d, missed %d, excused %d, ambiguous rows %d, %+v", seed, stage, v.Right, v.Wrong, v.Missed, v.Excused, v.Ambiguous, v.result.Stats)
			if v.Precision() != 1000 || v.Recall() != 1000 {
				t.Errorf("seed %d, %s: precision %d, recall %d of 1000: %q", seed, stage, v.Precision(), v.Recall(), v.Wrongs)
			}
		}
	}
}
