package matchtest

import (
	"fmt"
	"iter"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// Truth is what was planted at one stage, by the keys of rows.
type Truth struct {
	groups []group
	cases  int32
	of     map[match.Key]place
}

// group is rows that are the same money, or that the same thing is wrong with.
type group struct {
	rows int
	bare bool
	code breaks.Code // empty of a match
}

// place is what a row belongs to: a case, and groups of it. All count from 1; 0 is none.
type place struct{ thing, same, broken int32 }

// Part is the rows of one stage, and what is true of them.
type Part struct {
	Ours, Theirs []match.Row
	Truth        Truth
	texts        map[match.Key]string
}

// Collect takes the cases of one stage. Rows come in the order of the cases.
func Collect(cases iter.Seq[Case], at match.Stage, tokens Tokens) *Part {
	p := &Part{Truth: Truth{of: map[match.Key]place{}}, texts: map[match.Key]string{}}
	for c := range cases {
		if c.Stage == at {
			p.add(c, tokens)
		}
	}
	return p
}

func (p *Part) add(c Case, tokens Tokens) {
	for _, l := range c.Ours {
		p.Ours = append(p.Ours, p.row(l, tokens))
	}
	for _, l := range c.Theirs {
		p.Theirs = append(p.Theirs, p.row(l, tokens))
	}
	t := &p.Truth
	t.cases++
	everything := Legs{upTo(len(c.Ours)), upTo(len(c.Theirs))}
	c.each(everything, func(k match.Key, at place) { t.of[k] = place{thing: t.cases} }, t.of)
	for _, legs := range c.Same {
		t.groups = append(t.groups, group{rows: len(legs.Ours) + len(legs.Theirs), bare: c.Bare})
		c.each(legs, func(k match.Key, at place) { t.of[k] = place{at.thing, int32(len(t.groups)), at.broken} }, t.of)
	}
	if c.Code != "" {
		t.groups = append(t.groups, group{rows: len(c.Broken.Ours) + len(c.Broken.Theirs), code: c.Code})
		c.each(c.Broken, func(k match.Key, at place) { t.of[k] = place{at.thing, at.same, int32(len(t.groups))} }, t.of)
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func (c Case) each(legs Legs, set func(match.Key, place), of map[match.Key]place) {
	for _, i := range legs.Ours {
		k := c.Ours[i].Key()
		set(k, of[k])
	}
	for _, i := range legs.Theirs {
		k := c.Theirs[i].Key()
		set(k, of[k])
	}
}

func (p *Part) row(l Line, tokens Tokens) match.Row {
	row := l.Row(tokens)
	if l.Text != "" {
		p.texts[row.Key] = l.Text
	}
	return row
}

// Input is the part as matching takes it.
func (p *Part) Input(asOf match.Day) match.Input {
	return match.Input{Ours: p.Ours, Theirs: p.Theirs, AsOf: asOf, Texts: func(rows []match.Row) []string {
		texts := make([]string, len(rows))
		for i, row := range rows {
			texts[i] = p.texts[row.Key]
		}
		return texts
	}}
}

// Verdict is how good a result is. Groups are matches and breaks alike; what is AMBIGUOUS is counted by itself, and neither right
// nor wrong.
type Verdict struct {
	// Right are groups that were found as they were planted. Wrong are found and were not planted; Missed were planted and not
	// found, though none of their rows is AMBIGUOUS.
	Right, Wrong, Missed int
	// Excused are groups that were not found, and that have a row that is AMBIGUOUS.
	Excused int
	// Ambiguous are the rows that are AMBIGUOUS and were not planted as such.
	Ambiguous int
	// Wrongs say what is wrong or missed, for the first few.
	Wrongs []string
}

// maxWrongs is how many are said.
const maxWrongs = 20

// Precision is how many of a thousand found were planted, and Recall how many of a thousand planted were found.
func (v Verdict) Precision() int { return perMille(v.Right, v.Wrong) }

// Recall is how many of a thousand planted groups were found, of those that are not AMBIGUOUS.
func (v Verdict) Recall() int { return perMille(v.Right, v.Missed) }

// perMille rounds down: only what is perfect is 1000.
func perMille(right, not int) int {
	if right+not == 0 {
		return 1000
	}
	return right * 1000 / (right + not)
}

// Found is a match or, with a code, a finding: the keys of the rows that it is about.
type Found struct {
	Code breaks.Code
	Keys []match.Key
}

// Judge says how good a result is. in is what was matched, as it is after the run.
func (t *Truth) Judge(in match.Input, r *match.Result) Verdict {
	return t.JudgeFound(func(yield func(Found) bool) {
		for _, f := range r.Findings {
			if !yield(Found{f.Code, keys(in, f.Ours, f.Theirs)}) {
				return
			}
		}
		for m := range r.Matches() {
			if !yield(Found{Keys: keys(in, m.Ours, m.Theirs)}) {
				return
			}
		}
	})
}

// JudgeFound says how good a result is, whoever tells it.
func (t *Truth) JudgeFound(all iter.Seq[Found]) Verdict {
	j := judge{Truth: t, found: make([]bool, len(t.groups)), ambiguous: map[match.Key]bool{}}
	for f := range all {
		switch f.Code {
		case "":
			j.match(f)
			continue
		case breaks.Ambiguous:
			for _, key := range f.Keys {
				j.ambiguous[key] = true
			}
		}
		j.finding(f)
	}
	excused := make([]bool, len(t.groups))
	for key := range j.ambiguous {
		at := t.of[key]
		for _, g := range []int32{at.same, at.broken} {
			if g > 0 {
				excused[g-1] = true
			}
		}
		if at.broken == 0 || t.groups[at.broken-1].code != breaks.Ambiguous {
			j.Ambiguous++
		}
	}
	for i, g := range t.groups {
		switch {
		case j.found[i]:
			j.Right++
		case excused[i]:
			j.Excused++
		default:
			j.Missed++
			j.say("missed group %d (%s, %d rows)", i, g.code, g.rows)
		}
	}
	return j.Verdict
}

type judge struct {
	*Truth
	Verdict
	found     []bool
	ambiguous map[match.Key]bool
}

func (j *judge) say(format string, args ...any) {
	if len(j.Wrongs) < maxWrongs {
		j.Wrongs = append(j.Wrongs, fmt.Sprintf(format, args...))
	}
}

func keys(in match.Input, ours, theirs []int32) []match.Key {
	all := make([]match.Key, 0, len(ours)+len(theirs))
	for _, o := range ours {
		all = append(all, in.Ours[o].Key)
	}
	for _, t := range theirs {
		all = append(all, in.Theirs[t].Key)
	}
	return all
}

// match is right when its rows are a group, and all of it.
func (j *judge) match(f Found) {
	of := int32(-1)
	for _, key := range f.Keys {
		if g := j.of[key].same; of == -1 {
			of = g
		} else if of != g {
			of = 0
		}
	}
	if of <= 0 || j.groups[of-1].rows != len(f.Keys) {
		j.Wrong++
		j.say("wrong match of %x", f.Keys)
		return
	}
	j.found[of-1] = true
}

// finding is right when it has the code of a break and is about all of its rows. It may name others that they belong to.
func (j *judge) finding(f Found) {
	of, rows := int32(0), 0
	for _, key := range f.Keys {
		if g := j.of[key].broken; g > 0 && (of == 0 || of == g) {
			of = g
			rows++
		}
	}
	switch {
	case of > 0 && j.groups[of-1].code == f.Code && j.groups[of-1].rows == rows:
		j.found[of-1] = true
	case f.Code != breaks.Ambiguous:
		j.Wrong++
		j.say("wrong %s of %x", f.Code, f.Keys)
	}
}

// SameMoney says whether all rows of a match belong to one case, as far as they go: what lost a row may be matched with less, and a
// row that is there twice can be taken for the one that it doubles.
func (t *Truth) SameMoney(in match.Input, m match.Match) bool {
	of := int32(0)
	for _, key := range keys(in, m.Ours, m.Theirs) {
		c := t.of[key].thing
		if of == 0 {
			of = c
		} else if of != c {
			return false
		}
	}
	return true
}

// LostCounterpart says whether a match has a row that nothing but amount and day linked to a row that is gone.
func (t *Truth) LostCounterpart(in match.Input, m match.Match, gone match.Key) bool {
	for _, key := range keys(in, m.Ours, m.Theirs) {
		if at := t.of[key]; at.same > 0 && at.same == t.of[gone].same && t.groups[at.same-1].bare {
			return true
		}
	}
	return false
}
