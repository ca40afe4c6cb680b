package match

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// Input is one partition: an account and a currency at a stage.
type Input struct {
	// Ours and Theirs may be put in another order; results name rows by their place afterwards.
	Ours, Theirs []Row
	// Stray are rows of ours that another stage misses: they may explain why a payout is more or less than its lines. They are
	// never matched.
	Stray []Row
	// AsOf is the day on which it is judged what is due.
	AsOf Day
	// Texts gives the references and remittance information of rows, as they were written, for the few rows where tokens are not
	// enough: of each a text, the same for the same row each time.
	Texts func([]Row) []string
	// Progress, where it is given, is told now and then how many rows are decided, of how many. When it returns false, the run
	// ends with ErrStopped.
	Progress func(done, all int64) (goOn bool)
}

// Pass says how a match was proven.
type Pass uint8

// The passes, in their order.
const (
	PassByHand    Pass = iota // a person decided
	PassStrongID              // the same id in a carrier
	PassComposite             // the only ones with this reference and amount, or amount and day
	PassPayout                // the lines of a payout come to the credit
	PassWindow                // the only assignment within tolerance and days
	PassFuzzy                 // the same, by similar references
	PassSubset                // the only subset that comes to the amount
	PassOwn                   // it needs no counterpart: a fee by itself, a payout of nothing
	NumPasses
)

// Match is rows that are the same money. The places are indices into Input.Ours and Input.Theirs after the run, in ascending
// order. One of the two is empty only in matches of PassOwn, and of what is in another currency on the other side.
type Match struct {
	Ours, Theirs []int32
	Pass         Pass
	// Carriers are, of a match by id, where ours and theirs carry it.
	OursBy, TheirsBy Carrier
	// Score is how good it is, in thousandths: 1000 when everything ties.
	Score int16
	// Evidence says for people and for the digest what was compared, where the pass and the carriers do not say all; as
	// JSON. Empty else.
	Evidence string
}

// Finding is what is not as it should be.
type Finding struct {
	Code breaks.Code
	// Ours and Theirs are places as in Match. A finding that is no note is about those of them that are in no match; a row that
	// is in one is named because it belongs to it: what a duplicate is a duplicate of, what a residual is left over from.
	Ours, Theirs []int32
	// Amount is the money that is not explained, in minor units: theirs less ours, of a fee what theirs is more. Ours in doubt or
	// refused counts as nothing, for it is in no books.
	Amount int64
	// Matched says that the rows are matched nevertheless: the finding is a note on that match.
	Matched bool
	// Payout and Effect say by how much the payout with this token is off because of it, in minor units: what really should have
	// been paid out less what the lines of the report say. Of stage provider only, and only where all rows of theirs are lines
	// of the same payout.
	Payout Token
	Effect int64
	// Nearest is the candidate that came closest and why it is not the one, or why none of several is; as JSON. Empty when
	// there was none.
	Nearest string
}

// Result is what a run has come to.
type Result struct {
	// Findings are in the order of the keys of ours, then of theirs; those without ours come last.
	Findings []Finding
	Stats    Stats

	legs     []int32
	records  []record
	evidence []string
	order    []int32 // of records
	byID     []int32 // records by the IDs of their rows, when somebody has asked
}

// Len is the number of matches.
func (r *Result) Len() int { return len(r.records) }

// Matches gives the matches in the order of the smallest key of ours; those without ours come last, in the order of the smallest
// key of theirs. The slices of a match belong to the result: they are to be read only.
func (r *Result) Matches() iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for _, at := range r.order {
			if !yield(r.match(at)) {
				return
			}
		}
	}
}

// MatchesByID gives the matches in the order of the ID of one of their rows, of ours where there are any.
func (r *Result) MatchesByID(in *Input) iter.Seq[Match] {
	if r.byID == nil {
		r.byID = r.orderByID(in)
	}
	return func(yield func(Match) bool) {
		for _, at := range r.byID {
			if !yield(r.match(at)) {
				return
			}
		}
	}
}

func (r *Result) orderByID(in *Input) []int32 {
	all := make([]ranked, len(r.order))
	for i, at := range r.order {
		rec := &r.records[at]
		first := &in.Theirs
		if rec.ours > 0 {
			first = &in.Ours
		}
		all[i] = ranked{uint64((*first)[r.legs[rec.at]].ID) ^ 1<<63, at}
	}
	return inOrder(all, func(a, b int32) int { return cmp.Compare(a, b) })
}

func (r *Result) match(at int32) Match {
	rec := &r.records[at]
	split, end := rec.at+rec.ours, rec.at+rec.ours+rec.theirs
	return Match{
		Ours: r.legs[rec.at:split:split], Theirs: r.legs[split:end:end], Pass: rec.pass,
		OursBy: rec.oursBy, TheirsBy: rec.theirsBy, Score: rec.score, Evidence: r.evidence[rec.evidence],
	}
}

func compareFindings(a, b Finding) int {
	if none := len(a.Ours) == 0; none != (len(b.Ours) == 0) {
		if none {
			return 1
		}
		return -1
	}
	return cmp.Or(slices.Compare(a.Ours, b.Ours), slices.Compare(a.Theirs, b.Theirs), cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Amount, b.Amount))
}

// Stats are what a run comes to.
type Stats struct {
	// Matches counts matches by their pass.
	Matches [NumPasses]int
	// Ours and Theirs account for the rows of each side.
	Ours, Theirs Tally
}

// Tally accounts for the rows of one side: All is Matched, Open and Silent together, in rows and in money.
type Tally struct {
	All Count
	// Matched are rows in matches.
	Matched Count
	// Open are rows that are in no match, and that a finding is about.
	Open Count
	// Silent are rows of ours in doubt or refused that nothing proves or contradicts: nothing is to be said of them.
	Silent Count
	// Settled are rows that an earlier run matched. They are no part of All.
	Settled Count
}

// Count is a number of rows and the sum of their amounts, in minor units.
type Count struct {
	Rows   int
	Amount int64
}

func (c *Count) add(row *Row) {
	c.Rows++
	c.Amount += row.Amount
}

// What a result says of a row.
const (
	saysNothing = iota
	saysMatched
	saysOpen
)

// take makes the stats of a result from nothing but the result, so that they prove it: no row is in two matches, and none is lost.
func (s *Stats) take(m *matcher, r *Result) error {
	ours, theirs := make([]uint8, len(m.ours.rows)), make([]uint8, len(m.theirs.rows))
	matched := func(says []uint8, side *side, places []int32) error {
		for _, i := range places {
			if says[i] != saysNothing {
				return fmt.Errorf("%x is in two matches", side.rows[i].Key)
			}
			says[i] = saysMatched
		}
		return nil
	}
	for i := range r.records {
		rec := &r.records[i]
		s.Matches[rec.pass]++
		split := rec.at + rec.ours
		if err := matched(ours, &m.ours, r.legs[rec.at:split]); err != nil {
			return err
		}
		if err := matched(theirs, &m.theirs, r.legs[split:split+rec.theirs]); err != nil {
			return err
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		named(ours, f.Ours)
		named(theirs, f.Theirs)
	}
	if err := s.Ours.take(m.ours.rows, ours); err != nil {
		return err
	}
	return s.Theirs.take(m.theirs.rows, theirs)
}

func named(says []uint8, places []int32) {
	for _, i := range places {
		if says[i] == saysNothing {
			says[i] = saysOpen
		}
	}
}

func (t *Tally) take(rows []Row, says []uint8) error {
	for i := range rows {
		row := &rows[i]
		switch {
		case row.Standing == Settled && says[i] == saysMatched:
			return fmt.Errorf("%x is matched again", row.Key)
		case row.Standing == Settled:
			t.Settled.add(row)
			continue
		case says[i] == saysMatched:
			t.Matched.add(row)
		case says[i] == saysOpen:
			t.Open.add(row)
		case row.Standing == Booked:
			return fmt.Errorf("%x is neither in a match nor in a finding", row.Key)
		default:
			t.Silent.add(row)
		}
		t.All.add(row)
	}
	return nil
}
