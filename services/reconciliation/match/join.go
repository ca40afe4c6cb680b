package match

import "math/bits"

// join is a hash join that keeps places and no rows: a table of the tokens of one side, and for each row the next one with the
// same token. What it allocates is used again by the next join.
type join struct {
	slots              []slot
	nextBuild, nextRun []int32 // by place: the next place in the slot, from 1; 0 for none
	slotOf             []int32 // by place of the other side: its slot, from 1; 0 for none
	build, run         []int32 // what is visited
	fetched            int64   // says nothing
}

// slot is the rows whose tokens have the same hash. The table goes by the hash alone, without a look at rows far apart in memory;
// they are compared when they are visited.
type slot struct {
	tag   uint32
	build int32 // the first place, from 1; less than zero when there are more; 0 for none
	run   int32 // the first place, from 1; 0 for none
}

// carriers are the rows that take part in a join, and what they are joined by; rows with the zero token do not take part.
type carriers struct {
	rows   []Row
	places []int32 // in ascending order
	token  func(*Row) Token
}

// each visits every token of a kind that is on both sides, with the places of the rows that carry it in ascending order. The
// slices are only good until visit returns; when it returns false, that was the last.
func (j *join) each(build, run carriers, visit func(build, run []int32) bool) {
	j.fill(build)
	j.probe(run)
	for n, at := range run.places {
		if n%ahead == 0 {
			j.fetch(build, run.places[n:min(n+ahead, len(run.places))])
		}
		if j.slotOf[at] == 0 {
			continue
		}
		s := &j.slots[j.slotOf[at]-1]
		if s.run != at+1 {
			continue // it was visited with the first of its slot
		}
		j.run = chain(j.run[:0], s.run, j.nextRun)
		if s.build > 0 {
			j.build = append(j.build[:0], s.build-1)
		} else {
			j.build = chain(j.build[:0], -s.build, j.nextBuild)
		}
		if !bySlot(build, j.build, run, j.run, visit) {
			return
		}
	}
}

// ahead is how many rows are fetched at a time.
const ahead = 32

// fetch reads a little of the rows that are visited next. They lie anywhere in memory: asked for together they come together, and
// not one after the other in the middle of a visit.
func (j *join) fetch(build carriers, places []int32) {
	for _, at := range places {
		if n := j.slotOf[at]; n != 0 {
			if first := j.slots[n-1].build; first > 0 {
				row := &build.rows[first-1]
				j.fetched += row.Amount + int64(row.Carriers[CarrierID][0]) + int64(row.Carriers[CarrierPayout][0])
			}
		}
	}
}

func chain(into []int32, first int32, next []int32) []int32 {
	for at := first; at != 0; at = next[at-1] {
		into = append(into, at-1)
	}
	return into
}

// bySlot visits the rows of a slot: nearly always they carry the same, and else each token by itself.
func bySlot(build carriers, ones []int32, run carriers, others []int32, visit func(build, run []int32) bool) bool {
	for {
		first := &build.rows[ones[0]]
		token := build.token(first)
		restOnes := unlike(build, ones[1:], first.Kind, token)
		restOthers := unlike(run, others, first.Kind, token)
		if len(restOnes) == 0 && len(restOthers) == 0 {
			return visit(ones, others)
		}
		ones, others = without(ones, restOnes...), without(others, restOthers...)
		if len(others) > 0 && !visit(ones, others) {
			return false
		}
		if len(restOnes) == 0 || len(restOthers) == 0 {
			return true
		}
		ones, others = restOnes, restOthers
	}
}

// unlike are the places of rows that do not carry a token, or are of another kind.
func unlike(c carriers, places []int32, kind Kind, token Token) (unlike []int32) {
	for _, at := range places {
		if row := &c.rows[at]; row.Kind != kind || c.token(row) != token {
			unlike = append(unlike, at)
		}
	}
	return unlike
}

// fill puts one side into the table. It goes from the last row to the first, so that chains ascend.
func (j *join) fill(side carriers) {
	size := 1 << bits.Len(uint(len(side.places)+len(side.places)/2))
	if cap(j.slots) < size {
		j.slots = make([]slot, size)
	}
	j.slots = j.slots[:size]
	clear(j.slots)
	j.nextBuild = grown(j.nextBuild, len(side.rows))
	for i := len(side.places) - 1; i >= 0; i-- {
		at := side.places[i]
		if h := side.hash(at); h != 0 {
			s := &j.slots[j.find(h)]
			s.tag = uint32(h)
			if s.build == 0 {
				j.nextBuild[at] = 0
				s.build = at + 1
			} else {
				j.nextBuild[at] = max(s.build, -s.build)
				s.build = -(at + 1)
			}
		}
	}
}

// probe links the rows of the other side to the slots that are there.
func (j *join) probe(side carriers) {
	j.nextRun, j.slotOf = grown(j.nextRun, len(side.rows)), grown(j.slotOf, len(side.rows))
	for i := len(side.places) - 1; i >= 0; i-- {
		at := side.places[i]
		j.slotOf[at] = 0
		if h := side.hash(at); h != 0 {
			n := j.find(h)
			if s := &j.slots[n]; s.build != 0 {
				j.nextRun[at] = s.run
				s.run = at + 1
				j.slotOf[at] = int32(n) + 1
			}
		}
	}
}

// find gives the slot of a hash, or the empty one where it belongs.
func (j *join) find(h uint64) uint64 {
	mask := uint64(len(j.slots) - 1)
	i := h >> 32 & mask
	for j.slots[i].build != 0 && j.slots[i].tag != uint32(h) {
		i = (i + 1) & mask
	}
	return i
}

// hash spreads what a row carries over 64 bits: the upper half finds the slot, the lower one is the tag. It is 0 for nothing.
func (c *carriers) hash(at int32) uint64 {
	row := &c.rows[at]
	token := c.token(row)
	if token.IsZero() {
		return 0
	}
	return mixed(token, row.Kind) | 1
}

func mixed(t Token, k Kind) uint64 {
	const odd = 0x9E3779B97F4A7C15
	h := (t[0] ^ bits.RotateLeft64(t[1], 29) ^ uint64(k)<<56) * odd
	h ^= h >> 32
	h *= odd
	return h ^ h>>29
}

func grown(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	return s[:n]
}
