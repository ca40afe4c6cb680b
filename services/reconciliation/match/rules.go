package match

import (
	"errors"
	"fmt"
)

// Pair is where the same reference stands on both sides: what ours carries in one place, theirs carries in the other.
type Pair struct {
	Ours   Carrier `json:"ours"`
	Theirs Carrier `json:"theirs"`
	// Shared says that several movements may carry it, as an order's reference; otherwise it names one movement, or what
	// belongs to one.
	Shared bool `json:"shared,omitempty"`
}

// Window is how many days apart rows may be: theirs Before ours at most, or After it at most.
type Window struct {
	Before int32 `json:"before"`
	After  int32 `json:"after"`
}

// holds says whether theirs is within the window of ours.
func (w Window) holds(ours, theirs Day) bool {
	return int64(theirs) >= int64(ours)-int64(w.Before) && int64(theirs) <= int64(ours)+int64(w.After)
}

// Rules are what may be taken for the same money at a stage. The zero Rules match nothing.
type Rules struct {
	// Carriers are the strong ids, in the order in which they are tried.
	Carriers []Pair `json:"carriers"`
	// Composite are references that prove something only together with the amount.
	Composite []Pair `json:"composite"`
	// Payouts says that the stage is that of the bank: payouts are matched with what arrived.
	Payouts bool `json:"payouts"`
	// Days is how far apart the days may be; what is the same by an id and is further apart is DATE_OUT_OF_WINDOW, and what
	// goes by the amount is not the same.
	Days Window `json:"days"`
	// ToleranceMinor is how far apart amounts may be that go by amount and days, in minor units.
	ToleranceMinor int64 `json:"tolerance_minor"`
	// FeeToleranceMinor is how far a fee may be from what is expected, in minor units.
	FeeToleranceMinor int64 `json:"fee_tolerance_minor"`
	// ByAmount says that rows may be matched by amount and day where there is no other candidate.
	ByAmount bool `json:"by_amount"`
	// Similarity is how alike references must be to decide between candidates, in thousandths.
	Similarity int32 `json:"similarity"`
	// Subsets says that one row may be matched with the only subset of others that comes to its amount.
	Subsets bool `json:"subsets"`
}

// The bounds of what is searched.
const (
	maxComponent = 64      // rows of both sides that an assignment is looked for among
	maxSubset    = 40      // rows that a subset is looked for among
	maxLeftOut   = 3       // of the rows of a subset that is all but a few
	subsetBudget = 1 << 20 // sums that are looked at for one row
)

// ErrInvalid means that rules cannot be followed; the error that wraps it names the field.
var ErrInvalid = errors.New("invalid rules")

// Validate says what is wrong with the rules. The error is ErrInvalid.
func (r Rules) Validate() error {
	bad := func(field, problem string) error { return fmt.Errorf("%w: %s %s", ErrInvalid, field, problem) }
	for name, pairs := range map[string][]Pair{"carriers": r.Carriers, "composite": r.Composite} {
		for i, p := range pairs {
			if p.Ours >= NumCarriers || p.Theirs >= NumCarriers {
				return bad(fmt.Sprintf("%s[%d]", name, i), "names no carrier")
			}
		}
	}
	switch {
	case r.Days.Before < 0 || r.Days.After < 0 || r.Days.Before > maxDays || r.Days.After > maxDays:
		return bad("days", fmt.Sprintf("must be from 0 to %d", maxDays))
	case r.ToleranceMinor < 0:
		return bad("tolerance_minor", "must not be less than zero")
	case r.FeeToleranceMinor < 0:
		return bad("fee_tolerance_minor", "must not be less than zero")
	case r.Similarity < minSimilarity || r.Similarity > 1000:
		return bad("similarity", fmt.Sprintf("must be from %d to 1000", minSimilarity))
	}
	return nil
}

const (
	maxDays       = 366
	minSimilarity = 500
)

// DefaultProvider are the rules of the stage of the provider where nobody says others. What stands in a report is the charge
// itself or what belongs to it, such as a capture, which names the charge as its parent.
func DefaultProvider() Rules {
	return Rules{
		Carriers: []Pair{
			{Ours: CarrierID, Theirs: CarrierID},
			{Ours: CarrierID, Theirs: CarrierParent},
			{Ours: CarrierKey, Theirs: CarrierKey},
			{Ours: CarrierReference, Theirs: CarrierReference, Shared: true},
		},
		Composite: []Pair{
			{Ours: CarrierReference, Theirs: CarrierKey, Shared: true},
			{Ours: CarrierKey, Theirs: CarrierReference, Shared: true},
		},
		Days: Window{Before: 2, After: 3}, ByAmount: true, Similarity: 800, Subsets: true,
	}
}

// DefaultBank are the rules of the stage of the bank where nobody says others.
func DefaultBank() Rules {
	return Rules{
		Payouts: true,
		Carriers: []Pair{
			{Ours: CarrierPayout, Theirs: CarrierPayout},
			{Ours: CarrierKey, Theirs: CarrierKey},
		},
		Composite: []Pair{{Ours: CarrierPayout, Theirs: CarrierReference, Shared: true}, {Ours: CarrierPayout, Theirs: CarrierKey, Shared: true}},
		Days:      Window{Before: 1, After: 4}, ByAmount: true, Similarity: 800, Subsets: true,
	}
}

// carrierNames are the carriers as rules and evidence write them.
var carrierNames = [NumCarriers]string{"id", "parent", "key", "reference", "payout"}

// String is the carrier's name.
func (c Carrier) String() string {
	if c < NumCarriers {
		return carrierNames[c]
	}
	return fmt.Sprintf("carrier %d", uint8(c))
}

// MarshalText implements encoding.TextMarshaler.
func (c Carrier) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Carrier) UnmarshalText(text []byte) error {
	for i, name := range carrierNames {
		if name == string(text) {
			*c = Carrier(i)
			return nil
		}
	}
	return fmt.Errorf("%.40q is none of %v", text, carrierNames)
}
