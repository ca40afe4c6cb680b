package money

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// ErrWeights means that an amount cannot be divided in the proportion asked for: a weight is less than zero, all are
// zero, or they do not add up within 64 bits.
var ErrWeights = errors.New("unusable weights")

// Allocate divides the amount in the proportion of weights, a part each, by largest remainder: a part is its exact
// share rounded towards zero, and the minor units that are left go, one each, to the parts that lost the largest
// fraction; of equal fractions the part that comes first is served first. So the parts sum to the amount always, none
// is a whole minor unit or more off its exact share, none has another sign than the amount, a weight of zero gets
// nothing, and the parts of -a are those of a, negated. The error is ErrWeights.
func (a Amount) Allocate(weights ...int64) ([]Amount, error) {
	var total int64
	for _, w := range weights {
		if w < 0 {
			return nil, fmt.Errorf("%w: %d is less than zero", ErrWeights, w)
		}
		if total += w; total < 0 {
			return nil, fmt.Errorf("%w: they do not add up within 64 bits", ErrWeights)
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("%w: nothing has a share", ErrWeights)
	}
	left := magnitude(a.Minor)
	shares, order := make([]share, len(weights)), make([]int, len(weights))
	for i, w := range weights {
		hi, lo := bits.Mul64(magnitude(a.Minor), uint64(w))
		shares[i].whole, shares[i].rest = bits.Div64(hi, lo, uint64(total)) // fits: w is at most total
		left -= shares[i].whole
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(shares[j].rest, shares[i].rest) })
	for _, i := range order[:left] { // fewer than there are shares with a rest
		shares[i].whole++
	}
	parts := make([]Amount, len(weights))
	for i, s := range shares {
		parts[i] = Amount{Currency: a.Currency, Minor: signed(s.whole, a.Minor < 0)}
	}
	return parts, nil
}

// share is a part on its way: whole minor units, and the numerator of the fraction that was cut off.
type share struct{ whole, rest uint64 }

// magnitude is |n|, also of the smallest int64.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// signed undoes magnitude.
func signed(magnitude uint64, negative bool) int64 {
	if negative {
		return int64(-magnitude)
	}
	return int64(magnitude)
}
