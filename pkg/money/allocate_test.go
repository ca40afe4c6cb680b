package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
)

func minorsOf(parts []money.Amount) []int64 {
	minors := make([]int64, len(parts))
	for i, p := range parts {
		minors[i] = p.Minor
	}
	return minors
}

func TestAllocate_GivesWhatIsLeftToTheLargestRemainders(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		whole   int64
		weights []int64
		want    []int64
	}{
		"even":                         {100, []int64{1, 1}, []int64{50, 50}},
		"ties go to the first":         {100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		"two left over":                {101, []int64{1, 1, 1}, []int64{34, 34, 33}},
		"largest remainder first":      {10, []int64{1, 4, 4}, []int64{1, 5, 4}},
		"not the largest weight":       {5, []int64{70, 20, 10}, []int64{4, 1, 0}},
		"negative mirrors":             {-100, []int64{1, 1, 1}, []int64{-34, -33, -33}},
		"nothing":                      {0, []int64{3, 1}, []int64{0, 0}},
		"less than there are parts":    {2, []int64{1, 1, 1, 1}, []int64{1, 1, 0, 0}},
		"a weight of zero":             {7, []int64{0, 1, 0, 1}, []int64{0, 4, 0, 3}},
		"one part":                     {math.MinInt64, []int64{9}, []int64{math.MinInt64}},
		"the ends of the range":        {math.MinInt64, []int64{1, 1}, []int64{-1 << 62, -1 << 62}},
		"the largest weight":           {math.MaxInt64, []int64{math.MaxInt64}, []int64{math.MaxInt64}},
		"weights far apart":            {math.MaxInt64, []int64{math.MaxInt64 - 1, 1}, []int64{math.MaxInt64 - 1, 1}},
		"a discount over three prices": {-1000, []int64{1999, 500, 1}, []int64{-800, -200, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts, err := gbp(tt.whole).Allocate(tt.weights...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, minorsOf(parts)); diff != "" {
				t.Errorf("%d by %v (-want +got):\n%s", tt.whole, tt.weights, diff)
			}
		})
	}
}

func TestAllocate_RefusesWhatIsNoProportion(t *testing.T) {
	t.Parallel()
	for name, weights := range map[string][]int64{
		"none": nil, "all zero": {0, 0}, "negative": {2, -1}, "too large together": {math.MaxInt64, 1},
		"wrapping around twice": {math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if parts, err := gbp(100).Allocate(weights...); !errors.Is(err, money.ErrWeights) || parts != nil {
			t.Errorf("%s: got %v, %v; want ErrWeights", name, parts, err)
		}
	}
}

func TestAllocate_PartsSumToTheWholeAndAreWithinAUnitOfTheirShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole := minors().Draw(t, "whole")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, math.MaxInt64/8)), 1, 8).Draw(t, "weights")
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, big.NewInt(w))
		}
		if total.Sign() == 0 {
			t.Skip("nothing has a share")
		}
		parts, err := gbp(whole).Allocate(weights...)
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := money.Sum("GBP", parts...); err != nil || sum != gbp(whole) {
			t.Fatalf("parts %v sum to %v, %v", minorsOf(parts), sum, err)
		}
		for i, w := range weights {
			exact := new(big.Int).Mul(big.NewInt(whole), big.NewInt(w)) // share × total
			off := new(big.Int).Sub(new(big.Int).Mul(big.NewInt(parts[i].Minor), total), exact)
			if off.CmpAbs(total) >= 0 {
				t.Fatalf("part %d of %v is a minor unit or more off its share", i, minorsOf(parts))
			}
			if w == 0 && !parts[i].IsZero() || !parts[i].IsZero() && (parts[i].Minor < 0) != (whole < 0) {
				t.Fatalf("part %d is %d, of %d by weight %d", i, parts[i].Minor, whole, w)
			}
			for j := range i {
				if weights[j] == w && gapOf(parts[j], parts[i]) < 0 {
					t.Fatalf("of equal weights the later part got more: %v", minorsOf(parts))
				}
			}
		}
		if whole == math.MinInt64 {
			return
		}
		mirrored, err := gbp(-whole).Allocate(weights...)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range mirrored {
			if p.Minor != -parts[i].Minor {
				t.Fatalf("%d by %v is %v, its negative %v", whole, weights, minorsOf(parts), minorsOf(mirrored))
			}
		}
	})
}

// gapOf is by how much a is farther from zero than b.
func gapOf(a, b money.Amount) int64 { return max(a.Minor, -a.Minor) - max(b.Minor, -b.Minor) }
