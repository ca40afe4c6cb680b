package match_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

func TestAcrossCurrencies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leftovers []string
		want      []string
	}{
		"the same id":            {[]string{"ours a 500 id:1", "theirs x 520 id:1 fee:20 po:7"}, []string{"0 a 1 x id id 500 -500"}},
		"the same reference":     {[]string{"theirs x 520 ref:1 po:7", "ours a 500 ref:1"}, []string{"1 a 0 x reference reference 500 -520"}},
		"a capture":              {[]string{"ours a 500 id:1", "theirs x 520 parent:1 po:7"}, []string{"0 a 1 x id parent 500 -520"}},
		"the same currency":      {[]string{"ours a 500 id:1\n theirs x 520 id:1", ""}, nil},
		"another kind":           {[]string{"ours a 500 id:1", "theirs x 520 id:1 refund"}, nil},
		"long after":             {[]string{"ours a 500 ref:1", "theirs x 520 ref:1 day:300"}, nil},
		"another id":             {[]string{"ours a 500 ref:1 id:1", "theirs x 520 ref:1 id:2"}, nil},
		"two of theirs":          {[]string{"ours a 500 id:1", "theirs x 520 id:1", "theirs y 530 id:1"}, nil},
		"two of ours":            {[]string{"ours a 500 id:1\n ours b 500 id:1", "theirs x 520 id:1"}, nil},
		"what is not sure":       {[]string{"ours a 500 id:1 doubt", "theirs x 520 id:1"}, nil},
		"the stronger one first": {[]string{"ours a 500 id:1\n ours b 500 ref:1", "theirs x 520 id:1 ref:1 po:7"}, []string{"0 a 1 x id id 500 -520"}},
		"several": {
			[]string{"ours a 500 id:1\n theirs y 9 id:2 po:7", "theirs x 520 id:1 po:7\n ours b 8 id:2"}, []string{"0 a 1 x id id 500 -520", "1 b 0 y id id 8 -9"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := map[match.Key]string{}
			var leftovers []match.Leftover
			for _, rows := range c.leftovers {
				in, n := partition(t, rows)
				leftovers = append(leftovers, match.Leftover{Ours: in.Ours, Theirs: in.Theirs})
				maps.Copy(names, n.names)
			}
			var got []string
			var canonical, backwards []byte
			for _, m := range match.AcrossCurrencies(leftovers, match.DefaultProvider()) {
				ours, theirs := leftovers[m.OursIn].Ours[m.Ours], leftovers[m.TheirsIn].Theirs[m.Theirs]
				got = append(got, fmt.Sprintf("%d %s %d %s %s %s %d %d", m.OursIn, names[ours.Key], m.TheirsIn, names[theirs.Key], m.OursBy, m.TheirsBy, m.OursEffect, m.TheirsEffect))
				if want := matchtest.Tokens(1).Of("7"); m.Payout != want {
					t.Errorf("payout %v, want %v", m.Payout, want)
				}
				canonical = m.AppendCanonical(canonical, leftovers)
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			slices.Reverse(leftovers)
			for _, m := range match.AcrossCurrencies(leftovers, match.DefaultProvider()) {
				backwards = m.AppendCanonical(backwards, leftovers)
			}
			if !bytes.Equal(canonical, backwards) {
				t.Error("the order of leftovers changes what is said")
			}
		})
	}
}

func TestAcrossCurrencies_OfStageBankIsAboutNoPayout(t *testing.T) {
	t.Parallel()
	ours, _ := partition(t, "ours a 500 ref:1")
	theirs, _ := partition(t, "theirs x 520 ref:1 po:7")
	got := match.AcrossCurrencies([]match.Leftover{{Ours: ours.Ours}, {Theirs: theirs.Theirs}}, match.DefaultBank())
	want := []match.Mismatch{{TheirsIn: 1, OursBy: match.CarrierReference, TheirsBy: match.CarrierReference}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
