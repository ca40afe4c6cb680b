package match_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

// canonical is all that a result says.
func canonical(in match.Input, r *match.Result) []byte {
	var b []byte
	for m := range r.Matches() {
		b = m.AppendCanonical(b, &in)
	}
	for _, f := range r.Findings {
		b = f.AppendCanonical(b, &in)
	}
	return b
}

func TestRun_SaysTheSameWhateverTheOrderAndTheTokens(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 4, Cases: 4000, Breaks: 150, Bare: 60, Lines: 30}
	provider, bank := stages(t, c, 1)
	want := [][]byte{canonical(provider.in, &provider.result), canonical(bank.in, &bank.result)}
	for tokens := range matchtest.Tokens(4) {
		provider, bank := stages(t, c, 100+tokens)
		order := rand.New(rand.NewPCG(uint64(tokens), 1))
		for n, v := range []verdict{provider, bank} {
			if !bytes.Equal(canonical(v.in, &v.result), want[n]) {
				t.Errorf("%s is said otherwise with tokens %d", []match.Stage{match.StageProvider, match.StageBank}[n], tokens)
			}
			for _, rows := range [][]match.Row{v.in.Ours, v.in.Theirs, v.in.Stray} {
				order.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			}
			result, err := match.Run(v.in, []match.Rules{match.DefaultProvider(), match.DefaultBank()}[n])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(canonical(v.in, &result), want[n]) {
				t.Error("rows in another order are said otherwise")
			}
			if diff := cmp.Diff(v.result.Stats, result.Stats); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestRun_AccountsForEveryRowOnce looks at what Run proves by itself from outside.
func TestRun_AccountsForEveryRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, _ := drawPartition(t, 12)
		result, err := match.Run(in, drawRules(t))
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := make([]int, len(in.Ours)), make([]int, len(in.Theirs))
		for m := range result.Matches() {
			for _, o := range m.Ours {
				ours[o]++
			}
			for _, j := range m.Theirs {
				theirs[j]++
			}
		}
		named := [2]map[int32]bool{{}, {}}
		for _, f := range result.Findings {
			for _, o := range f.Ours {
				named[0][o] = true
				if f.Matched && ours[o] != 1 {
					t.Fatalf("%s is a note on what is not matched", f.Code)
				}
			}
			for _, j := range f.Theirs {
				named[1][j] = true
			}
		}
		check := func(rows []match.Row, matched []int, named map[int32]bool, tally match.Tally) {
			all, open := match.Count{}, match.Count{}
			for i, row := range rows {
				switch {
				case matched[i] > 1:
					t.Fatalf("row %d is in %d matches", i, matched[i])
				case row.Standing != match.Booked && matched[i] > 0:
					t.Fatalf("row %d of standing %d is matched", i, row.Standing)
				case row.Standing == match.Settled:
					continue
				case matched[i] == 0 && named[int32(i)]:
					open = match.Count{Rows: open.Rows + 1, Amount: open.Amount + row.Amount}
				case matched[i] == 0 && row.Standing == match.Booked:
					t.Fatalf("row %d is lost", i)
				}
				all = match.Count{Rows: all.Rows + 1, Amount: all.Amount + row.Amount}
			}
			if all != tally.All || open != tally.Open {
				t.Fatalf("all %+v, open %+v, said %+v", all, open, tally)
			}
			if sum := tally.Matched.Amount + tally.Open.Amount + tally.Silent.Amount; sum != all.Amount {
				t.Fatalf("the parts come to %d, all to %d", sum, all.Amount)
			}
		}
		check(in.Ours, ours, named[0], result.Stats.Ours)
		check(in.Theirs, theirs, named[1], result.Stats.Theirs)
	})
}

// matchesOf are the rows of each match by their names, with its pass or without.
func matchesOf(in match.Input, n *named, r *match.Result, only func(match.Match) bool) (all []string) {
	for m := range r.Matches() {
		if only(m) {
			all = append(all, n.of(in.Ours, m.Ours)+"="+n.of(in.Theirs, m.Theirs))
		}
	}
	slices.Sort(all)
	return all
}

// marks gives for each row a mark that all have that carry the same, also through others.
func marks(in match.Input) map[match.Key]match.Key {
	rows := slices.Concat(in.Ours, in.Theirs)
	mark := map[match.Key]match.Key{}
	for _, row := range rows {
		mark[row.Key] = row.Key
	}
	for changed := true; changed; {
		changed = false
		for _, a := range rows {
			for _, b := range rows {
				same := slices.ContainsFunc(a.Carriers[:], func(t match.Token) bool { return !t.IsZero() && slices.Contains(b.Carriers[:], t) })
				if same && bytes.Compare(slices.Clone(bytesOf(mark[a.Key])), bytesOf(mark[b.Key])) < 0 {
					mark[b.Key] = mark[a.Key]
					changed = true
				}
			}
		}
	}
	return mark
}

func bytesOf(k match.Key) []byte { return k[:] }

func without(in match.Input, key match.Key) match.Input {
	not := func(row match.Row) bool { return row.Key == key }
	in.Ours, in.Theirs = slices.DeleteFunc(slices.Clone(in.Ours), not), slices.DeleteFunc(slices.Clone(in.Theirs), not)
	return in
}

func TestRun_WhatCarriesOtherIDsChangesNothingByID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, names := drawPartition(t, 8)
		rules := drawRules(t)
		rows := slices.Concat(in.Ours, in.Theirs)
		if len(rows) == 0 {
			return
		}
		gone := rapid.SampledFrom(rows).Draw(t, "gone")
		mark := marks(in)
		byID := func(in match.Input) func(match.Match) bool {
			return func(m match.Match) bool {
				return m.Pass == match.PassStrongID && mark[in.Ours[m.Ours[0]].Key] != mark[gone.Key]
			}
		}
		result, err := match.Run(in, rules)
		if err != nil {
			t.Fatal(err)
		}
		rest := without(in, gone.Key)
		after, err := match.Run(rest, rules)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(matchesOf(in, names, &result, byID(in)), matchesOf(rest, names, &after, byID(rest))); diff != "" {
			t.Fatalf("without %s: -before +after\n%s", names.names[gone.Key], diff)
		}
	})
}

func TestRun_WhatHasNothingToDoWithOthersTakesNoMatchWithIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, names := drawPartition(t, 8)
		rules := drawRules(t)
		result, err := match.Run(in, rules)
		if err != nil {
			t.Fatal(err)
		}
		all := func(match.Match) bool { return true }
		before := matchesOf(in, names, &result, all)
		sharing := map[match.Key]int{} // by mark, how many rows have it
		mark := marks(in)
		for _, of := range mark {
			sharing[of]++
		}
		for _, f := range result.Findings {
			if f.Matched || len(f.Ours)+len(f.Theirs) != 1 || f.Code == breaks.Ambiguous {
				continue
			}
			var gone match.Row
			if len(f.Ours) == 1 {
				gone = in.Ours[f.Ours[0]]
			} else {
				gone = in.Theirs[f.Theirs[0]]
			}
			if sharing[mark[gone.Key]] > 1 {
				continue
			}
			rest := without(in, gone.Key)
			after, err := match.Run(rest, rules)
			if err != nil {
				t.Fatal(err)
			}
			kept := matchesOf(rest, names, &after, all)
			for _, m := range before {
				if !slices.Contains(kept, m) {
					t.Fatalf("without %s (%s), %s is gone\nbefore %q\nafter %q", names.names[gone.Key], f.Code, m, names.say(in, &result), names.say(rest, &after))
				}
			}
		}
	})
}

// TestRun_LosingALegMatchesNothingElse takes rows away from what was planted: whatever is matched then is still the same money. Only
// what had nothing but its amount and lost its counterpart may be taken for another one's, for nothing is left that speaks against it.
func TestRun_LosingALegMatchesNothingElse(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 5, Cases: 400, Breaks: 200, Bare: 100, Lines: 25, Days: 8}
	p := matchtest.Collect(matchtest.Generate(c), match.StageProvider, 1)
	whole := judged(t, p, p.Input(c.AsOf()), match.DefaultProvider())
	if whole.Wrong != 0 {
		t.Fatal(whole.Wrongs)
	}
	r := rand.New(rand.NewPCG(5, 5))
	rows := slices.Concat(whole.in.Ours, whole.in.Theirs)
	for range 300 {
		gone := rows[r.IntN(len(rows))]
		in := without(whole.in, gone.Key)
		result, err := match.Run(in, match.DefaultProvider())
		if err != nil {
			t.Fatal(err)
		}
		for m := range result.Matches() {
			if !p.Truth.SameMoney(in, m) && (m.Pass == match.PassStrongID || !p.Truth.LostCounterpart(in, m, gone.Key)) {
				t.Errorf("without %x: %s matches ours %v and theirs %v", gone.Key, m.Pass, m.Ours, m.Theirs)
			}
		}
	}
}

func TestRun_StopsWhenItIsTold(t *testing.T) {
	t.Parallel()
	c := matchtest.Config{Seed: 6, Cases: 70_000}
	in := matchtest.Collect(matchtest.Generate(c), match.StageProvider, 1).Input(c.AsOf())
	calls, last := 0, int64(0)
	in.Progress = func(done, all int64) bool {
		if calls++; done < last || done > all || all != int64(len(in.Ours)+len(in.Theirs)) {
			t.Errorf("%d of %d after %d", done, all, last)
		}
		last = done
		return true
	}
	if _, err := match.Run(in, match.DefaultProvider()); err != nil || calls < 3 {
		t.Fatalf("%v after %d calls", err, calls)
	}
	for stop := 1; stop <= calls; stop++ {
		told := 0
		in.Progress = func(int64, int64) bool { told++; return told < stop }
		if result, err := match.Run(in, match.DefaultProvider()); !errors.Is(err, match.ErrStopped) || result.Len() != 0 || told != stop {
			t.Errorf("told to stop at call %d: %v after %d calls, %d matches", stop, err, told, result.Len())
		}
	}
}

func TestRun_RefusesRowsThatCannotBeMatched(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(in *match.Input){
		"no kind":              func(in *match.Input) { in.Ours[0].Kind = 0 },
		"another kind":         func(in *match.Input) { in.Theirs[0].Kind = match.KindTransfer + 1 },
		"another standing":     func(in *match.Input) { in.Ours[0].Standing = match.Settled + 1 },
		"theirs in doubt":      func(in *match.Input) { in.Theirs[0].Standing = match.InDoubt },
		"a key twice":          func(in *match.Input) { in.Ours[1].Key = in.Ours[0].Key },
		"a key twice of three": func(in *match.Input) { in.Theirs[2].Key = in.Theirs[0].Key },
		"a day too late":       func(in *match.Input) { in.Ours[0].Day = math.MaxInt32 },
		"a day too early":      func(in *match.Input) { in.Ours[0].Due = math.MinInt32 },
		"too much":             func(in *match.Input) { in.Ours[0].Amount = 1 << 62 },
		"too much less":        func(in *match.Input) { in.Ours[0].Amount = math.MinInt64 },
		"too much together":    func(in *match.Input) { in.Ours[0].Amount, in.Theirs[0].Fee = 1<<60, -1<<60 },
		"too much that strays": func(in *match.Input) { in.Stray = []match.Row{{Adjust: math.MaxInt64}} },
	} {
		in, _ := partition(t, "ours a 5\n ours b 6\n theirs x 5\n theirs y 6\n theirs z 7")
		change(&in)
		if result, err := match.Run(in, match.DefaultBank()); !errors.Is(err, match.ErrRow) || result.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRun_OfNothingIsNothing(t *testing.T) {
	t.Parallel()
	for _, r := range []match.Rules{match.DefaultProvider(), match.DefaultBank()} {
		for _, rows := range []string{"", "ours a 5", "theirs x 5"} {
			in, _ := partition(t, rows)
			in.Texts = nil
			result, err := match.Run(in, r)
			if err != nil || result.Len() != 0 || len(result.Findings) != len(in.Ours)+len(in.Theirs) {
				t.Errorf("%q: %+v, %v", rows, result.Findings, err)
			}
		}
	}
}
