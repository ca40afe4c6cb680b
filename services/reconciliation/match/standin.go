package match

import (
	"bytes"
	"errors"
	"iter"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// PassOwn is that of what needs no counterpart.
const (
	PassOwn   = PassSubset + 1
	NumPasses = PassOwn + 1
)

// Settled is the standing of what an earlier run matched.
const Settled = Refused + 1

// Stage says what the two sides of a partition are.
type Stage string

// The stages.
const (
	StageProvider Stage = "provider"
	StageBank     Stage = "bank"
)

// Rules say what may be taken for the same money.
type Rules struct {
	Stage Stage `json:"stage"`
	// Days is how far apart in days rows of the same id may be without a note.
	Days int32 `json:"days"`
}

// DefaultProvider are the rules of stage provider where nobody says any.
func DefaultProvider() Rules { return Rules{Stage: StageProvider, Days: 5} }

// DefaultBank are the rules of stage bank where nobody says any.
func DefaultBank() Rules { return Rules{Stage: StageBank, Days: 5} }

// Result is what is the same money, and what is not as it should be.
type Result struct {
	Findings []Finding

	matches []Match
}

// Validate says what is wrong with the rules.
func (r Rules) Validate() error {
	if r.Days < 0 {
		return errors.New("days: is less than zero")
	}
	return nil
}

// Matches gives the matches in their order.
func (r *Result) Matches() iter.Seq[Match] { return slices.Values(r.matches) }

// Run matches a partition.
func Run(in Input, r Rules) (Result, error) {
	byKey := func(a, b Row) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	slices.SortFunc(in.Ours, byKey)
	slices.SortFunc(in.Theirs, byKey)
	var out Result
	oursDone, theirsDone := make([]bool, len(in.Ours)), make([]bool, len(in.Theirs))
	for _, by := range []Carrier{CarrierID, CarrierKey, CarrierReference, CarrierPayout} {
		index := make(map[Token]int32, len(in.Theirs))
		for i, row := range in.Theirs {
			if t := row.Carriers[by]; !theirsDone[i] && row.Standing == Booked && !t.IsZero() {
				if _, twice := index[t]; !twice {
					index[t] = int32(i)
				}
			}
		}
		for i, row := range in.Ours {
			j, found := index[row.Carriers[by]]
			if oursDone[i] || row.Standing == Settled || !found || theirsDone[j] || in.Theirs[j].Kind != row.Kind {
				continue
			}
			oursDone[i], theirsDone[j] = true, true
			out.match(in, r, int32(i), j, by)
		}
	}
	for i, row := range in.Theirs {
		if !theirsDone[i] && row.Standing == Booked && row.Kind == KindFee {
			theirsDone[i] = true
			out.matches = append(out.matches, Match{Theirs: []int32{int32(i)}, Pass: PassOwn, Score: 1000})
		}
	}
	out.classify(in, r, oursDone, theirsDone)
	return out, nil
}

func (out *Result) match(in Input, r Rules, i, j int32, by Carrier) {
	ours, theirs := in.Ours[i], in.Theirs[j]
	m := Match{Ours: []int32{i}, Theirs: []int32{j}, Pass: PassStrongID, OursBy: by, TheirsBy: by, Score: 1000}
	note := func(code breaks.Code, amount int64) {
		f := Finding{Code: code, Ours: m.Ours, Theirs: m.Theirs, Amount: amount, Matched: true}
		if r.Stage == StageProvider {
			f.Payout, f.Effect = theirs.Carriers[CarrierPayout], 0
		}
		out.Findings = append(out.Findings, f)
		m.Score = 900
	}
	switch difference := theirs.Amount - ours.Amount - ours.Adjust; {
	case difference > 0:
		note(breaks.AmountOver, difference)
	case difference < 0:
		note(breaks.AmountUnder, difference)
	}
	if ours.FeeKnown && ours.Fee != theirs.Fee {
		note(breaks.FeeVariance, theirs.Fee-ours.Fee)
	}
	switch ours.Standing {
	case InDoubt:
		note(breaks.UnknownResolved, theirs.Amount)
	case Refused:
		note(breaks.StateConflict, theirs.Amount)
	}
	out.matches = append(out.matches, m)
}

func (out *Result) classify(in Input, r Rules, oursDone, theirsDone []bool) {
	missing, stranger := breaks.MissingAtProvider, breaks.MissingInternally
	if r.Stage == StageBank {
		missing, stranger = breaks.MissingAtBank, breaks.PayoutUnexplained
	}
	for i, row := range in.Ours {
		if oursDone[i] || row.Standing != Booked {
			continue
		}
		code := missing
		if in.AsOf <= row.Due {
			code = breaks.TimingOpen
		}
		out.Findings = append(out.Findings, Finding{Code: code, Ours: []int32{int32(i)}, Amount: -row.Amount})
	}
	for j, row := range in.Theirs {
		if theirsDone[j] || row.Standing == Settled {
			continue
		}
		f := Finding{Code: stranger, Theirs: []int32{int32(j)}, Amount: row.Amount}
		if out.twin(in, row) {
			f.Code, f.Payout, f.Effect = breaks.DuplicateExternal, row.Carriers[CarrierPayout], -row.Net()
		}
		out.Findings = append(out.Findings, f)
	}
}

// twin says whether another row of theirs, or one of ours that is settled, has the same id or key.
func (out *Result) twin(in Input, row Row) bool {
	others := slices.Clone(in.Theirs)
	for _, other := range in.Ours {
		if other.Standing == Settled {
			others = append(others, other)
		}
	}
	for _, other := range others {
		for _, by := range []Carrier{CarrierID, CarrierKey} {
			if other.ID != row.ID && !row.Carriers[by].IsZero() && other.Carriers[by] == row.Carriers[by] {
				return true
			}
		}
	}
	return false
}
