package match

import (
	"math"
	"math/bits"
	"slices"
)

// subsets is what a search for subsets with a sum has come to.
type subsets struct {
	// solutions are how many there are; two stands for more.
	solutions int
	// first are the places of the one that was found first, ascending. It says something only where it is the only one.
	first []int
	// spent is how many sums were built, and over says that there would have been more than the budget.
	spent int64
	over  bool
}

// linked counts the subsets of two items or more that come to a sum, among items that something besides their amounts links to
// it. Too many items are not searched. Budget is what is left of it.
func (s Subset) linked(items []int64, sum, budget int64) subsets {
	if len(items) > s.Rows || len(items) < 2 || hopeless(items, sum) {
		return subsets{}
	}
	left := -sum
	for _, v := range items {
		left += v
	}
	// What lacks little is found at once, and may be found to be one of several.
	complement := min(s.Complement, len(items)-2)
	few := fewOf(items, left, 1, complement)
	if left == 0 {
		few.solutions++
	}
	if few.solutions > 1 {
		return subsets{solutions: 2}
	}
	half := len(items) / 2
	spent := int64(1)<<half + int64(1)<<(len(items)-half)
	if spent > budget {
		return subsets{over: true}
	}
	found := halves(items, sum)
	found.spent = spent
	return found
}

// hopeless says that no two items of one sign or more come to a sum: the two smallest are too much, or all that are not too much
// by themselves are too little.
func hopeless(items []int64, sum int64) bool {
	sum = max(sum, -sum)
	total, smallest, next := int64(0), int64(math.MaxInt64), int64(math.MaxInt64)
	for _, v := range items {
		if (v < 0) != (items[0] < 0) {
			return false
		}
		if v = max(v, -v); v <= sum {
			total += v
			smallest, next = min(smallest, v), min(max(smallest, v), next)
		}
	}
	return next == math.MaxInt64 || smallest+next > sum || total < sum
}

// byChance counts the subsets of some size at least that come to a sum, among items that nothing but their amounts links to it.
// It looks at the small ones only, as far as they are few enough not to come to it by chance.
func (s Subset) byChance(items []int64, sum int64, least int) subsets {
	return fewOf(items, sum, least, s.rare(items))
}

// rare is up to which size subsets are so few that one that comes to a given sum is no chance.
func (s Subset) rare(items []int64) (size int) {
	sums := int64(0) // how many there can be
	for _, v := range items {
		sums += max(v, -v)
	}
	searched, ofSize := int64(0), int64(1)
	for size < len(items) {
		// The product of two numbers below 2^31 fits.
		ofSize = ofSize * int64(len(items)-size) / int64(size+1)
		if searched += ofSize; searched > min(s.Budget, sums/s.Rarity) {
			break
		}
		size++
	}
	return size
}

// fewOf counts the subsets of least to most items that come to a sum, up to two.
func fewOf(items []int64, sum int64, least, most int) (found subsets) {
	var taken []int
	var try func(from int, left int64)
	try = func(from int, left int64) {
		for i := from; i < len(items) && found.solutions < 2; i++ {
			taken = append(taken, i)
			if left == items[i] && len(taken) >= least {
				if found.solutions++; found.solutions == 1 {
					found.first = slices.Clone(taken)
				}
			}
			if len(taken) < most {
				try(i+1, left-items[i])
			}
			taken = taken[:len(taken)-1]
		}
	}
	if most > 0 {
		try(0, sum)
	}
	return found
}

// part is the sum of a subset of up to 20 items, which are the bits.
type part struct {
	sum int64
	of  uint32
}

// halves counts the subsets of two items or more that come to a sum, up to two: it meets in the middle.
func halves(items []int64, sum int64) (found subsets) {
	half := len(items) / 2
	low, high := sums(items[:half]), sums(items[half:])
	for i, j := 0, len(high)-1; i < len(low) && j >= 0; {
		switch both := low[i].sum + high[j].sum; {
		case both < sum:
			i++
			continue
		case both > sum:
			j--
			continue
		}
		for at := j; at >= 0 && high[at].sum == high[j].sum; at-- {
			if bits.OnesCount32(low[i].of)+bits.OnesCount32(high[at].of) < 2 {
				continue
			}
			if found.solutions++; found.solutions == 2 {
				return found
			}
			found.first = places(uint64(low[i].of) | uint64(high[at].of)<<half)
		}
		i++
	}
	return found
}

func places(of uint64) (at []int) {
	for ; of != 0; of &= of - 1 {
		at = append(at, bits.TrailingZeros64(of))
	}
	return at
}

// sums are the sums of all subsets, ascending.
func sums(items []int64) []part {
	all := []part{{}}
	for i, v := range items {
		// Each item doubles them: those without it and those with it are both in order.
		without := all
		all = make([]part, 0, 2*len(without))
		a, b := 0, 0
		for a < len(without) || b < len(without) {
			if b == len(without) || a < len(without) && without[a].sum <= without[b].sum+v {
				all = append(all, without[a])
				a++
			} else {
				all = append(all, part{without[b].sum + v, without[b].of | 1<<i})
				b++
			}
		}
	}
	return all
}
