package rules

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// Terms are what a set says of one partition.
type Terms struct {
	calendar *Calendar
	days     [match.KindTransfer + 1]int
	fees     [match.KindTransfer + 1]*Fee
	due      map[dueOn]match.Day // what was found out, for days come again
}

type dueOn struct {
	day  match.Day
	days int
}

// Terms gives what the set says of movements of an account and a currency at a stage. They are for one goroutine.
func (s Set) Terms(stage match.Stage, account, currency string) *Terms {
	t := &Terms{calendar: s.Calendar(), due: map[dueOn]match.Day{}}
	for kind := match.KindCharge; kind <= match.KindTransfer; kind++ {
		for _, d := range s.Due {
			if d.Stage == stage && d.fits(account, currency, kind) {
				t.days[kind] = d.BusinessDays
				break
			}
		}
		for i := range s.Fees {
			if stage == match.StageProvider && s.Fees[i].fits(account, currency, kind) {
				t.fees[kind] = &s.Fees[i]
				break
			}
		}
	}
	return t
}

// Due is the last day on which the counterpart of a movement may still come.
func (t *Terms) Due(kind match.Kind, day match.Day) match.Day {
	key := dueOn{day, t.days[kind]}
	due, known := t.due[key]
	if !known {
		due = t.calendar.Add(day, key.days)
		t.due[key] = due
	}
	return due
}

// Fee is what the provider is expected to keep of an amount, in minor units; known is false where any fee will do. The error
// is one of an amount whose fee does not fit 64 bits.
func (t *Terms) Fee(kind match.Kind, amount int64) (fee int64, known bool, err error) {
	f := t.fees[kind]
	if f == nil {
		return 0, false, nil
	}
	fee, err = f.of(amount)
	return fee, true, err
}

func (f *Fee) of(amount int64) (int64, error) {
	size := uint64(amount)
	if amount < 0 {
		size = -size
	}
	hi, lo := bits.Mul64(size, uint64(f.RatePPM))
	share, rest := bits.Div64(hi, lo, wholePPM) // fits: the rate is at most the whole
	switch twice := 2 * rest; {
	case f.Rounding == Up && rest > 0,
		f.Rounding == HalfUp && twice >= wholePPM,
		f.Rounding == HalfEven && (twice > wholePPM || twice == wholePPM && share%2 == 1):
		share++
	}
	fee, carry := bits.Add64(share, uint64(f.FixedMinor), 0)
	if f.WithinAmount {
		fee = min(fee, size)
	}
	if carry > 0 || fee > math.MaxInt64 {
		return 0, fmt.Errorf("the fee of %d does not fit 64 bits", amount)
	}
	return int64(fee), nil
}
