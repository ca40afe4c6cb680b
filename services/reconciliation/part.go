package reconciliation

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// part is a partition while it is matched.
type part struct {
	partition
	in           match.Input
	ours, theirs *half
	settledKeys  []match.Key // rows that earlier runs matched, and that are there to tell what is there twice

	// first is the place of its first match in the run, and the ids are those of its rows. They and the matches are known when it has
	// begun.
	first              int64
	oursIDs, theirsIDs []int64
	// noted is closed when it has concluded.
	noted chan struct{}
	// What it comes to. These are complete when it has concluded.
	byPass                 [match.NumPasses]int64
	oursMatched            int64
	theirsMatched          int64
	oursDone, theirsDone   []bool
	transit                map[span]transitTotal
	unsure                 map[int32]bool // rows of ours in matches that are in doubt or refused
	findings               []found
	digest                 []byte
	effects                map[match.Token]int64 // by payout, what its findings say that it is off,
	refused                map[match.Token]int64 // and what it is off besides if what we refused was not paid out
	strays                 []match.Row           // of ours that the provider misses
	leftOpen, closed       []int64               // ids: not open before, and not any more
	oursCount, theirsCount int64
	canon                  *canon
	byItself               match.Result
	raw                    []match.Finding
	crossed                []found         // about movements of another currency
	crossing               []byte          // what of it is canonical
	mismatched             []mismatched    // what of it payouts may lack
	conversions            []match.Match   // halves of what is in another currency on the other side
	converted              []found         // their drift
	adjusted               map[int32]found // by their first row: payouts that were paid out otherwise than reported, as was found about their lines
}

// span is the time in which something is on its way, the last day not included.
type span struct{ since, until match.Day }

// transitTotal is what is on its way: ours is more, theirs is less.
type transitTotal struct {
	legs   int32
	amount int64
}

// provisional is a movement in a match that is in doubt or refused.
type provisional struct{ match, movement int64 }

// found is a finding, with what it is about named by ids.
type found struct {
	code            breaks.Code
	matched         bool
	ours, theirs    []int64
	amount, drift   int64
	day             match.Day
	payout, nearest string
	effect          int64
}

// decided takes what the partition comes to by itself.
func (p *part) decided(result match.Result) {
	p.byItself, p.raw = result, result.Findings
	p.effects, p.refused = map[match.Token]int64{}, map[match.Token]int64{}
}

// begin gives the matches, which are known, their places in the run.
func (p *part) begin(first int64) {
	p.first, p.noted = first, make(chan struct{})
	p.oursIDs, p.theirsIDs = rowIDs(p.in.Ours), rowIDs(p.in.Theirs)
}

func rowIDs(rows []match.Row) []int64 {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}

// head puts the heading of the canonical text: what the inputs are.
func (p *part) head() {
	p.oursDone, p.theirsDone = make([]bool, len(p.in.Ours)), make([]bool, len(p.in.Theirs))
	p.transit, p.adjusted, p.unsure = map[span]transitTotal{}, map[int32]found{}, map[int32]bool{}
	c := newCanon()
	c.word("partition").word(p.stage.String()).quoted(p.account).word(p.currency).end()
	for _, side := range []struct {
		name string
		half *half
	}{{"ours", p.ours}, {"theirs", p.theirs}} {
		c.word(side.name).number(int64(len(side.half.rows))).number(side.half.amount).number(side.half.fees).bytes(side.half.proof).end()
	}
	c.word("settled").number(p.ours.settled).end()
	slices.SortFunc(p.settledKeys, compareKeys)
	for _, key := range p.settledKeys {
		c.word("twin").bytes(key[:]).end()
	}
	var off []match.Row
	for _, row := range p.in.Ours {
		if row.Adjust != 0 || row.Refused != 0 {
			off = append(off, row)
		}
	}
	slices.SortFunc(off, func(a, b match.Row) int { return compareKeys(a.Key, b.Key) })
	for _, row := range off {
		c.word("adjust").bytes(row.Key[:]).number(row.Adjust).number(row.Refused).end()
	}
	p.canon = c
}

func compareKeys(a, b match.Key) int { return bytes.Compare(a[:], b[:]) }

// matches is how many matches the partition comes to: by itself, and halves of conversions.
func (p *part) matches() int64 { return int64(p.byItself.Len() + len(p.conversions)) }

// all are the matches in the order of their places: as their movements came in, for that is the order in which the database has
// them side by side, and then halves of conversions.
func (p *part) all() iter.Seq[match.Match] {
	return func(yield func(match.Match) bool) {
		for m := range p.byItself.MatchesByID(&p.in) {
			if !yield(m) {
				return
			}
		}
		for _, m := range p.conversions {
			if !yield(m) {
				return
			}
		}
	}
}

// note notes what the matches come to. It goes by their keys, in whose order the rows lie.
func (p *part) note() error {
	p.head()
	for m := range p.byItself.Matches() {
		p.count(m)
		if err := p.noteOne(m); err != nil {
			return err
		}
		p.canon.text = m.AppendCanonical(p.canon.text, &p.in)
		p.canon.flush()
	}
	for _, m := range p.conversions {
		p.count(m)
		p.canon.text = m.AppendCanonical(p.canon.text, &p.in)
		p.canon.flush()
		if err := p.noteConversion(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) count(m match.Match) {
	p.byPass[m.Pass]++
	p.oursMatched += int64(len(m.Ours))
	p.theirsMatched += int64(len(m.Theirs))
}

// noteOne notes what one match comes to.
func (p *part) noteOne(m match.Match) error {
	last, left := p.lastDay(m.Ours, m.Theirs), int64(0)
	for _, i := range m.Ours {
		row := &p.in.Ours[i]
		if p.oursDone[i] {
			return fmt.Errorf("movement %s is in two matches", movementIDOf(row.Key))
		}
		p.oursDone[i] = true
		if row.Standing != match.Booked {
			p.unsure[i] = true
			continue
		}
		if err := p.onItsWay(row.Day, last, row.Amount, &left); err != nil {
			return err
		}
	}
	for _, j := range m.Theirs {
		row := &p.in.Theirs[j]
		if p.theirsDone[j] {
			return fmt.Errorf("movement %s is in two matches", movementIDOf(row.Key))
		}
		p.theirsDone[j] = true
		if m.Pass == match.PassOwn {
			if err := p.ours.onDay(*row); err != nil { // our books take it over
				return err
			}
			continue
		}
		if err := p.onItsWay(row.Day, last, -row.Amount, &left); err != nil {
			return err
		}
	}
	if left != 0 && p.stage == stageBank && len(m.Ours) > 0 {
		ours, theirs := p.idsOf(m)
		p.adjusted[m.Ours[0]] = found{code: codeAdjusted, matched: true, ours: ours, theirs: theirs, drift: left, day: last}
	}
	return nil
}

// idsOf gives the ids of the movements of a match.
func (p *part) idsOf(m match.Match) (ours, theirs []int64) {
	for _, i := range m.Ours {
		ours = append(ours, p.oursIDs[i])
	}
	for _, j := range m.Theirs {
		theirs = append(theirs, p.theirsIDs[j])
	}
	return ours, theirs
}

// provisionals are the movements of matches of a run that are in doubt or refused.
func (p *part) provisionals(run int32) (all []provisional) {
	if len(p.unsure) == 0 {
		return nil
	}
	place := p.first
	for m := range p.byItself.MatchesByID(&p.in) {
		for _, i := range m.Ours {
			if p.unsure[i] {
				all = append(all, provisional{matchID(run, place), p.oursIDs[i]})
			}
		}
		place++
	}
	return all
}

// onItsWay adds what a leg moves to what is left of its match, and to what was on its way until its last day.
func (p *part) onItsWay(since, until match.Day, amount int64, left *int64) (err error) {
	if *left, err = plus(*left, amount); err != nil || since == until {
		return err
	}
	t := p.transit[span{since, until}]
	total, err := plus(t.amount, amount)
	p.transit[span{since, until}] = transitTotal{t.legs + 1, total}
	return err
}

// lastDay is the last day of some rows.
func (p *part) lastDay(ours, theirs []int32) (last match.Day) {
	first := true
	for _, i := range ours {
		if d := p.in.Ours[i].Day; first || d > last {
			last, first = d, false
		}
	}
	for _, j := range theirs {
		if d := p.in.Theirs[j].Day; first || d > last {
			last, first = d, false
		}
	}
	return last
}

// conclude says what is left.
func (p *part) conclude(asOf match.Day, refusedDays int) error {
	p.canon.text = append(p.canon.text, p.crossing...)
	attributed := map[int32]bool{}
	for _, f := range p.raw {
		made, err := p.finding(f, attributed)
		if err != nil {
			return err
		}
		p.findings = append(p.findings, made)
		p.canon.text = f.AppendCanonical(p.canon.text, &p.in)
		p.canon.flush()
	}
	for row := range attributed { // what was found about the match says it all
		delete(p.adjusted, row)
	}
	p.findings = append(p.findings, p.crossed...)
	p.digest = p.canon.sum()
	p.leave(asOf, refusedDays)
	p.raw = nil
	return nil
}

// release lets the rows go.
func (p *part) release() {
	p.in, p.byItself, p.oursDone, p.theirsDone, p.oursIDs, p.theirsIDs = match.Input{}, match.Result{}, nil, nil, nil, nil
	p.ours.rows, p.theirs.rows = nil, nil
}

// leave says which movements are open from now on, and which are not any more.
func (p *part) leave(asOf match.Day, refusedDays int) {
	p.closed = append(p.closed, p.ours.settledOpen...)
	for i := range p.in.Ours {
		row := &p.in.Ours[i]
		if row.Standing == match.Settled {
			continue
		}
		given := row.Standing == match.Refused && asOf > row.Due+match.Day(refusedDays)
		p.leaveOne(p.ours, row.ID, p.oursDone[i] || given)
	}
	for j := range p.in.Theirs {
		if row := &p.in.Theirs[j]; row.Standing != match.Settled {
			p.leaveOne(p.theirs, row.ID, p.theirsDone[j])
		}
	}
	slices.Sort(p.leftOpen)
	slices.Sort(p.closed)
}

func (p *part) leaveOne(h *half, id int64, done bool) {
	switch open := len(h.open) > 0 && h.wasOpen(id); {
	case open && done:
		p.closed = append(p.closed, id)
	case !open && !done:
		p.leftOpen = append(p.leftOpen, id)
	}
}

// finding names what a finding is about, and says what of the drift it explains.
func (p *part) finding(f match.Finding, attributed map[int32]bool) (found, error) {
	made := found{code: f.Code, matched: f.Matched, amount: f.Amount, day: p.lastDay(f.Ours, f.Theirs), nearest: f.Nearest, effect: f.Effect}
	var err error
	drift := int64(0)
	for _, i := range f.Ours {
		row := &p.in.Ours[i]
		made.ours = append(made.ours, row.ID)
		if row.Standing == match.Booked && err == nil {
			drift, err = plus(drift, row.Amount)
		}
		if f.Code == breaks.MissingAtProvider {
			p.strays = append(p.strays, *row)
		}
	}
	for _, j := range f.Theirs {
		row := &p.in.Theirs[j]
		made.theirs = append(made.theirs, row.ID)
		if f.Code == breaks.StateConflict && !f.Payout.IsZero() && err == nil { // by our books, it should not be in the payout
			p.refused[f.Payout], err = plus(p.refused[f.Payout], -row.Net())
		}
		if err == nil {
			drift, err = plus(drift, -row.Amount)
		}
	}
	if !f.Payout.IsZero() {
		made.payout = cmp.Or(p.theirs.payouts[f.Payout], p.ours.payouts[f.Payout])
		if err == nil {
			p.effects[f.Payout], err = plus(p.effects[f.Payout], f.Effect)
		}
	}
	switch {
	case err != nil || !f.Matched:
	case f.Code == breaks.FeeVariance:
		made.drift = f.Amount
	case f.Code == breaks.DateOutOfWindow || f.Code == breaks.ReferenceMismatch:
	case len(f.Ours) > 0 && !attributed[f.Ours[0]]: // a match has one amount that does not tie, whatever is found about it
		made.drift, attributed[f.Ours[0]] = drift, true
	}
	return made, err
}
