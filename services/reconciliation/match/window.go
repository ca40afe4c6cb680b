package match

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// window is passes 4 and 5: rows that may be each other's by amount and day are taken apart into components, and each is decided
// as a whole.
func (m *matcher) window() {
	if !m.rules.on(PassWindow) {
		return
	}
	var unsure []family
	for _, f := range m.components() {
		if !m.goOn() {
			return
		}
		if size := len(f.ours) + len(f.theirs); size > m.rules.ComponentLimit {
			m.tooMany(f, size)
			continue
		}
		for _, f := range families(f.ours, f.theirs, m.candidates) {
			if len(f.ours) > 0 && len(f.theirs) > 0 && !m.resolve(f) {
				unsure = append(unsure, f)
			}
		}
	}
	m.fuzzy(unsure)
}

// candidates says whether two rows may be the same money by amount, day and what they carry.
func (m *matcher) candidates(o, t int32) bool {
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	_, near := m.difference(ours, theirs)
	return near && ours.Kind == theirs.Kind && m.rules.Window.holds(ours.Day, theirs.Day) && m.links.relate(ours, theirs).possible()
}

// difference is what theirs is more than ours, and whether that is within the tolerance. Of a payout whose report is known to be
// off, the amount that ties best counts.
func (m *matcher) difference(ours, theirs *Row) (more int64, near bool) {
	reported := theirs.Amount - ours.Amount
	more = reported
	for _, off := range ours.offs() {
		if adjusted := reported - off; max(adjusted, -adjusted) < max(more, -more) {
			more = adjusted
		}
	}
	return more, max(more, -more) <= m.rules.Tolerance.of(ours.Amount)
}

// tooMany finds that there are too many candidates to look at them together. Each row has a finding of its own, so that one row
// more or less changes no other's.
func (m *matcher) tooMany(f family, size int) {
	why := strconv.Itoa(size) + " rows may be each other's"
	for _, o := range f.ours {
		m.ambiguous(family{ours: []int32{o}}, why)
	}
	for _, t := range f.theirs {
		m.ambiguous(family{theirs: []int32{t}}, why)
	}
}

// only gives the pairs of a component that are proven by its shape. Two rows that have no other candidate are. A larger component is
// not, even where there is only one way to give all rows to each other: those that have no counterpart on the other side may be
// among them. With Rules.Closest, the only cheapest way is taken for proof.
func (m *matcher) only(f family) (pairs []pair, only bool) {
	switch {
	case len(f.ours) == 1 && len(f.theirs) == 1:
		return []pair{{f.ours[0], f.theirs[0]}}, true
	case m.rules.Closest:
		return m.assign(f)
	}
	return nil, false
}

// resolve matches the rows of a component where its shape is proof.
func (m *matcher) resolve(f family) bool {
	pairs, only := m.only(f)
	for _, p := range pairs {
		m.takeNear(p, proof{pass: PassWindow, score: scoreAmount})
	}
	return only
}

// ambiguous finds that rows cannot be told apart.
func (m *matcher) ambiguous(f family, why string) {
	m.find(breaks.Ambiguous, f.ours, f.theirs, m.theirs.sum(f.theirs)-m.ours.sum(f.ours), `{"why":"`+why+`"}`)
}

// pair is a row of ours and one of theirs.
type pair struct{ ours, theirs int32 }

// takeNear matches two rows that tie by amount, within the tolerance.
func (m *matcher) takeNear(p pair, by proof) {
	ours, theirs := &m.ours.rows[p.ours], &m.theirs.rows[p.theirs]
	more, _ := m.difference(ours, theirs)
	if adjusted := theirs.Amount - ours.Amount - more; adjusted != 0 {
		by.evidence = `{"adjusted":` + strconv.FormatInt(adjusted, 10) + `}`
	}
	if more != 0 {
		by.score -= scoreLate
	}
	m.take([]int32{p.ours}, []int32{p.theirs}, by)
	if more != 0 {
		m.note(byDifference(more), []int32{p.ours}, []int32{p.theirs}, more)
	}
}

// graph is the open rows of both sides as nodes that are united with those that may be theirs: first the entries of an index of
// theirs, then ours.
type graph struct {
	index *index
	ours  []int32
	root  []int32
	// next is, by entry, the first one from there that is not united yet with the one behind it: a range is united at the cost
	// of what is new in it.
	next []int32
}

// components takes the open rows apart into those that may be each other's, and those that could be mixed up with them. It may put
// rows together that have nothing to do with each other, but never takes apart what has.
func (m *matcher) components() []family {
	by := byAmount
	if m.rules.Tolerance != (Tolerance{}) {
		by = byDay
	}
	g := &graph{index: newIndex(by, m.theirs.rows, m.theirs.open), ours: m.ours.booked()}
	entries := len(g.index.entries)
	g.root, g.next = upTo(entries+len(g.ours)), upTo(entries)
	for i, o := range g.ours {
		row := &m.ours.rows[o]
		carried := carries(row)
		fits := func(theirs uint8) bool { return m.links.unrelated(row.Kind, carried, theirs) }
		for _, s := range m.rules.windowsOf(row) {
			g.index.each(row.Kind, fits, s, func(from, to int) bool {
				g.unite(int32(entries+i), int32(from))
				g.uniteRange(from, to)
				return true
			})
		}
		if !m.goOn() {
			return nil
		}
	}
	m.uniteTied(g)
	return g.families()
}

// uniteTied unites rows that carry the same and whose amounts are near. Pass 1 did not find them to be the only ones.
func (m *matcher) uniteTied(g *graph) {
	theirsAt, oursAt := make(map[int32]int32), make(map[int32]int32)
	for i := range m.rules.Carriers {
		m.eachBucket(&m.rules.Carriers[i], g.ours, m.theirs.open, func(ours, theirs []int32) bool {
			if len(theirsAt) == 0 {
				g.nodes(oursAt, theirsAt)
			}
			m.uniteBucket(g, ours, theirs, oursAt, theirsAt)
			return m.goOn()
		})
	}
}

// nodes notes the nodes of rows.
func (g *graph) nodes(ours, theirs map[int32]int32) {
	for at := range g.index.entries {
		theirs[g.index.entries[at].row] = int32(at)
	}
	for at, o := range g.ours {
		ours[o] = int32(len(g.index.entries) + at)
	}
}

// uniteBucket unites rows of one id whose amounts are near.
func (m *matcher) uniteBucket(g *graph, ours, theirs []int32, oursAt, theirsAt map[int32]int32) {
	type near struct {
		ours        int32
		least, most int64
	}
	var all []near
	for _, o := range ours {
		for _, s := range m.rules.windowsOf(&m.ours.rows[o]) {
			all = append(all, near{o, s.least, s.most})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Compare(a.least, b.least) })
	slices.SortFunc(theirs, m.theirs.compare)
	united := 0 // theirs up to this one are united with the one before, where they are near to the same of ours
	for _, n := range all {
		from, to := m.theirs.search(theirs, n.least), m.theirs.search(theirs, n.most+1)
		if from == to {
			continue
		}
		g.unite(oursAt[n.ours], theirsAt[theirs[from]])
		for united = max(united, from); united+1 < to; united++ {
			g.unite(theirsAt[theirs[united]], theirsAt[theirs[united+1]])
		}
	}
}

func upTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

func (g *graph) find(i int32) int32 { return findIn(g.root, i) }

func findIn(root []int32, i int32) int32 {
	for root[i] != i {
		root[i] = root[root[i]]
		i = root[i]
	}
	return i
}

func (g *graph) unite(a, b int32) {
	if a, b = g.find(a), g.find(b); a != b {
		g.root[max(a, b)] = min(a, b)
	}
}

// uniteRange unites the entries of a range.
func (g *graph) uniteRange(from, to int) {
	last := int32(to - 1)
	for at := findIn(g.next, int32(from)); at < last; at = findIn(g.next, at) {
		g.unite(at, at+1)
		g.next[at] = at + 1
	}
}

// families are the components that have rows of both sides.
func (g *graph) families() []family {
	entries := int32(len(g.index.entries))
	at := make(map[int32]int, len(g.ours))
	var all []family
	for i, o := range g.ours {
		root := g.find(entries + int32(i))
		if root == entries+int32(i) {
			continue // it is alone: roots are the least of their components, and theirs come first
		}
		n, known := at[root]
		if !known {
			n = len(all)
			at[root] = n
			all = append(all, family{})
		}
		all[n].ours = append(all[n].ours, o)
	}
	for i := range entries {
		if n, known := at[g.find(i)]; known {
			all[n].theirs = append(all[n].theirs, g.index.entries[i].row)
		}
	}
	return all
}
