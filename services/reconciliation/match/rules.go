package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Stage says what the two sides of a partition are.
type Stage string

// The stages.
const (
	StageProvider Stage = "provider" // what we booked, and the provider's report
	StageBank     Stage = "bank"     // payouts and what else should arrive, and the bank statement
)

// Rules say what is proof enough that rows are the same money. They have no fractions: money is in minor units, time in days,
// shares in basis points.
type Rules struct {
	Stage Stage `json:"stage"`
	// Carriers are what is compared in pass 1, the strongest first. They also say which rows can never be the same money; see Pair.
	Carriers []Pair `json:"carriers"`
	// Window is how far apart the days may be: of a match by id without a note, of a match by amount at all.
	Window Days `json:"window"`
	// Wide is how far apart the days of rows with the same shared reference may be for it to tie them; what lies beyond Window is
	// DATE_OUT_OF_WINDOW. An id that is not shared ties rows however far apart they are.
	Wide Days `json:"wide_window"`
	// Tolerance is by how much amounts may differ in passes 4 and 5. What is matched with a difference is AMOUNT_OVER or
	// AMOUNT_UNDER all the same.
	Tolerance Tolerance `json:"amount_tolerance"`
	// FeeTolerance is by how much a fee may differ before it is FEE_VARIANCE, in minor units.
	FeeTolerance int64 `json:"fee_tolerance"`
	// Own are kinds of theirs that need no counterpart.
	Own []Kind `json:"own_kinds"`
	// Passes are those that are on, in any order. Pass 7 always is.
	Passes []Pass `json:"passes"`
	// Closest lets passes 2 and 4 decide between several candidates: the assignment with the least differences in amount and the
	// fewest days between is taken, if it is the only one. That is likely and no proof: a payment that is late looks like the
	// one after it, and what is missing on one side like what is missing on the other. Without it, rows with several candidates
	// are AMBIGUOUS.
	Closest bool `json:"closest"`
	// ComponentLimit is how many rows that may be each other's are looked at together in passes 4 and 5, up to 64.
	ComponentLimit int `json:"component_limit"`
	// Similarity is how similar texts must be in pass 5, in thousandths, and SimilarityMargin how much more than the next best.
	Similarity       int `json:"similarity"`
	SimilarityMargin int `json:"similarity_margin"`
	// Subset bounds pass 6, and the search for what a payout lacks.
	Subset Subset `json:"subset"`
}

// Pair is a carrier of ours whose text is the same as that of a carrier of theirs, where they are the same money. Two rows that
// both carry something and not the same are never matched by amount.
type Pair struct {
	// Kinds that it is about; none for all.
	Kinds []Kind  `json:"kinds,omitempty"`
	Ours  Carrier `json:"ours"`
	// Theirs are tried in their order: the first that a row carries counts.
	Theirs []Carrier `json:"theirs"`
	// Shared says that several rows of a side may rightly carry the same, as the refunds of an order do. What ties by it alone
	// must also be near in time, and rows that differ in it alone are suggested to be the same (REFERENCE_MISMATCH).
	Shared bool `json:"shared,omitempty"`
}

// Days is a span: theirs may be this many days before ours and this many after it.
type Days struct {
	Before int `json:"before"`
	After  int `json:"after"`
}

// Tolerance is a difference of amounts: so many minor units, and so many ten-thousandths of ours.
type Tolerance struct {
	Minor       int64 `json:"minor"`
	BasisPoints int64 `json:"basis_points"`
}

// Subset bounds the search for a subset that comes to an amount.
type Subset struct {
	// Rows is among how many it is searched, up to 40.
	Rows int `json:"rows"`
	// Complement is how many rows may be left out in the search that comes first, up to 3.
	Complement int `json:"complement"`
	// Budget is how many sums may be built for rows that carry the same. Where more would be needed they are AMBIGUOUS.
	Budget int64 `json:"budget"`
	// Rarity guards against chance where nothing but amounts speaks for a subset: so many searches like it, among amounts that
	// have nothing to do with each other, would find one. Subsets are looked at while that holds, the small ones first.
	Rarity int64 `json:"rarity"`
}

// The limits of rules. They keep a run's cost in hand, and its arithmetic exact.
const (
	maxDays       = 3660
	maxComponent  = 64
	maxSubsetRows = 40
	maxComplement = 3
	maxBudget     = 1 << 24
	maxRarity     = 1_000_000_000
	maxTolerance  = 1_000_000_000
	wholePoints   = 10_000
	whole         = 1000 // thousandths
)

// DefaultProvider are the rules of stage provider where nobody says any.
func DefaultProvider() Rules {
	r := defaults(StageProvider)
	r.Carriers = []Pair{
		{Kinds: []Kind{KindCharge}, Ours: CarrierID, Theirs: []Carrier{CarrierParent, CarrierID}}, // captures name their charge
		{Ours: CarrierID, Theirs: []Carrier{CarrierID}},
		{Ours: CarrierKey, Theirs: []Carrier{CarrierKey}},
		{Ours: CarrierParent, Theirs: []Carrier{CarrierParent}, Shared: true},
		{Ours: CarrierReference, Theirs: []Carrier{CarrierReference}, Shared: true},
	}
	r.Window, r.Wide = Days{Before: 1, After: 3}, Days{Before: 30, After: 90}
	r.Own = []Kind{KindFee}
	return r
}

// DefaultBank are the rules of stage bank where nobody says any.
func DefaultBank() Rules {
	r := defaults(StageBank)
	r.Carriers = []Pair{
		{Ours: CarrierID, Theirs: []Carrier{CarrierID}},
		{Ours: CarrierKey, Theirs: []Carrier{CarrierKey}},
		{Ours: CarrierReference, Theirs: []Carrier{CarrierReference}, Shared: true},
	}
	r.Window, r.Wide = Days{Before: 1, After: 5}, Days{Before: 10, After: 60}
	r.Own = []Kind{KindFee}
	return r
}

func defaults(at Stage) Rules {
	return Rules{
		Stage:          at,
		Passes:         []Pass{PassStrongID, PassComposite, PassPayout, PassWindow, PassFuzzy, PassSubset},
		ComponentLimit: maxComponent, Similarity: 700, SimilarityMargin: 200,
		Subset: Subset{Rows: maxSubsetRows, Complement: maxComplement, Budget: 1 << 18, Rarity: 1000},
	}
}

// UnmarshalJSON reads a document. What is not in it stays as it is; a list that is there is whole. A field that there is not is an
// error, for a misspelt rule must not be silently without effect.
func (r *Rules) UnmarshalJSON(text []byte) error {
	type plain Rules
	read := plain(*r)
	read.Carriers, read.Own, read.Passes = nil, nil, nil
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&read); err != nil {
		return fmt.Errorf("reading rules: %w", err)
	}
	if read.Carriers == nil {
		read.Carriers = r.Carriers
	}
	if read.Own == nil {
		read.Own = r.Own
	}
	if read.Passes == nil {
		read.Passes = r.Passes
	}
	*r = Rules(read)
	return nil
}

// Validate says what is wrong with the rules, each field by its name.
func (r Rules) Validate() error {
	var errs []error
	between := func(field string, v, least, most int64) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s: %d is not %d to %d", field, v, least, most))
		}
	}
	if r.Stage != StageProvider && r.Stage != StageBank {
		errs = append(errs, fmt.Errorf("stage: %.40q is neither provider nor bank", r.Stage))
	}
	for i, p := range r.Carriers {
		if err := p.validate(); err != nil {
			errs = append(errs, fmt.Errorf("carriers[%d].%w", i, err))
		}
	}
	between("carriers", int64(len(r.Carriers)), 0, maxPairs)
	between("window.before", int64(r.Window.Before), 0, maxDays)
	between("window.after", int64(r.Window.After), 0, maxDays)
	between("wide_window.before", int64(r.Wide.Before), int64(r.Window.Before), maxDays)
	between("wide_window.after", int64(r.Wide.After), int64(r.Window.After), maxDays)
	between("amount_tolerance.minor", r.Tolerance.Minor, 0, maxTolerance)
	between("amount_tolerance.basis_points", r.Tolerance.BasisPoints, 0, wholePoints)
	between("fee_tolerance", r.FeeTolerance, 0, maxTolerance)
	between("component_limit", int64(r.ComponentLimit), 2, maxComponent)
	between("similarity", int64(r.Similarity), 1, whole)
	between("similarity_margin", int64(r.SimilarityMargin), 1, whole)
	between("subset.rows", int64(r.Subset.Rows), 0, maxSubsetRows)
	between("subset.complement", int64(r.Subset.Complement), 0, maxComplement)
	between("subset.budget", r.Subset.Budget, 0, maxBudget)
	between("subset.rarity", r.Subset.Rarity, 1, maxRarity)
	if !allKinds(r.Own) {
		errs = append(errs, errors.New("own_kinds: there is no such kind"))
	}
	for i, p := range r.Passes {
		if p < PassStrongID || p > PassSubset || slices.Contains(r.Passes[:i], p) {
			errs = append(errs, fmt.Errorf("passes[%d]: %s cannot be there, or is there twice", i, p))
		}
	}
	if r.on(PassFuzzy) && !r.on(PassWindow) {
		errs = append(errs, errors.New("passes: fuzzy decides between candidates of window, which is off"))
	}
	return errors.Join(errs...)
}

const maxPairs = 32

func (p Pair) validate() error {
	switch {
	case !allKinds(p.Kinds):
		return errors.New("kinds: there is no such kind")
	case p.Ours >= NumCarriers:
		return fmt.Errorf("ours: there is no carrier %d", p.Ours)
	case len(p.Theirs) == 0 || len(p.Theirs) > int(NumCarriers):
		return fmt.Errorf("theirs: %d is no number of carriers", len(p.Theirs))
	case slices.ContainsFunc(p.Theirs, func(c Carrier) bool { return c >= NumCarriers }):
		return errors.New("theirs: there is no such carrier")
	}
	return nil
}

func allKinds(kinds []Kind) bool {
	return !slices.ContainsFunc(kinds, func(k Kind) bool { return k < KindCharge || k > KindTransfer })
}

// on says whether a pass is on.
func (r *Rules) on(p Pass) bool { return slices.Contains(r.Passes, p) }

// about says whether the pair is about a kind.
func (p *Pair) about(k Kind) bool { return len(p.Kinds) == 0 || slices.Contains(p.Kinds, k) }

// theirs is what a row of theirs carries for the pair, and where; zero for nothing.
func (p *Pair) theirs(row *Row) (Token, Carrier) {
	for _, c := range p.Theirs {
		if t := row.Carriers[c]; !t.IsZero() {
			return t, c
		}
	}
	return Token{}, 0
}

// of is the tolerance around an amount of ours, in minor units.
func (t Tolerance) of(amount int64) int64 {
	size := max(amount, -amount)
	return t.Minor + size/wholePoints*t.BasisPoints + size%wholePoints*t.BasisPoints/wholePoints
}

// holds says whether theirs is near enough to ours.
func (d Days) holds(ours, theirs Day) bool {
	apart := int(theirs) - int(ours)
	return -d.Before <= apart && apart <= d.After
}
