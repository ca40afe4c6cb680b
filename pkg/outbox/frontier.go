package outbox

import (
	"math"
	"slices"
)

// frontier is what the relay knows of what is published: everything up to top, but for the gaps. Looking for unpublished
// events only in the gaps and behind top needs no index but the primary key's, and costs the same however many events are
// kept.
//
// The order of sequences is not that of commits, so a gap is a transaction that is under way, or one that was rolled
// back. Which of both is not guessed from the time: Write takes its transaction's id before it takes a sequence, so
// whoever can still fill a gap has an id that was given out before the gap was seen. When all of those transactions
// have ended, and the gap is still empty, it stays so.
type frontier struct {
	top    int64
	gaps   []gap // by sequence
	oldest int64 // the lowest transaction id that was under way when something was last marked
}

// gap is sequences that nobody has committed, from the first to the last.
type gap struct {
	first, last int64
	// until is above the id of every transaction that may still commit one of them; undated where nobody has looked yet.
	until int64
}

const undated = math.MaxInt64

// upTo is the sequence up to which everything is published, or will never be there.
func (f *frontier) upTo() int64 {
	if len(f.gaps) > 0 {
		return f.gaps[0].first - 1
	}
	return f.top
}

// unread gives the sequences to look for unpublished events in, as the firsts and lasts of ranges.
func (f *frontier) unread() (firsts, lasts []int64) {
	for _, g := range f.gaps {
		firsts, lasts = append(firsts, g.first), append(lasts, g.last)
	}
	return append(firsts, f.top+1), append(lasts, math.MaxInt64)
}

// found takes in what was found there, in the order of seq: not more than the limit. The gaps that it leaves empty and
// that nobody can fill any more are closed.
func (f *frontier) found(rows []row, limit int) {
	looked := int64(math.MaxInt64) // up to where
	if len(rows) == limit {
		looked = rows[limit-1].seq
	}
	f.gaps = slices.DeleteFunc(f.gaps, func(g gap) bool {
		return g.until <= f.oldest && g.last <= looked &&
			!slices.ContainsFunc(rows, func(r row) bool { return g.first <= r.seq && r.seq <= g.last })
	})
}

// published takes in that a sequence is; those above top come in their order.
func (f *frontier) published(seq int64) {
	switch {
	case seq <= f.top:
		f.fill(seq)
	case seq > f.top+1:
		f.gaps = append(f.gaps, gap{first: f.top + 1, last: seq - 1, until: undated})
	}
	f.top = max(f.top, seq)
}

// seen takes in which transactions were under way after all that is published was read: none with an id below oldest, or
// from next on.
func (f *frontier) seen(oldest, next int64) {
	f.oldest = oldest
	for i, g := range f.gaps {
		if g.until == undated {
			f.gaps[i].until = next
		}
	}
}

// fill takes a sequence out of its gap.
func (f *frontier) fill(seq int64) {
	i := slices.IndexFunc(f.gaps, func(g gap) bool { return g.first <= seq && seq <= g.last })
	if i < 0 {
		return
	}
	var rest []gap
	before, behind := f.gaps[i], f.gaps[i]
	before.last, behind.first = seq-1, seq+1
	for _, g := range []gap{before, behind} {
		if g.first <= g.last {
			rest = append(rest, g)
		}
	}
	f.gaps = slices.Replace(f.gaps, i, i+1, rest...)
}
