package match

import "math/bits"

// join is a hash join that keeps places and no rows: a table of the tokens of one side, and for each row the next one with the
// same token. What it allocates is used again by the next join.
type join struct {
	slots              []slot
	nextBuild, nextRun []int32 // by place: the next place of the bucket, from 1; 0 for none
	build, run         []int32 // the bucket that is visited
}

// slot is one token of one kind. The tag is a part of its hash, so that most of what is not the same is told apart without a look
// at the row.
type slot struct {
	tag        uint32
	build, run int32 // the first places, from 1; 0 for none
}

// carriers are the rows that take part in a join, and what they are joined by; rows with the zero token do not take part.
type carriers struct {
	rows   []Row
	places []int32 // in ascending order
	token  func(*Row) Token
}

// each visits every token of a kind that is on both sides, with the places of the rows that carry it in ascending order. The
// slices are only good until visit returns; when it returns false, that was the last. The order of tokens is that of their hashes:
// nothing may depend on it.
func (j *join) each(build, run carriers, visit func(build, run []int32) bool) {
	j.fill(build)
	j.probe(build, run)
	for i := range j.slots {
		s := &j.slots[i]
		if s.run == 0 {
			continue
		}
		j.build, j.run = chain(j.build[:0], s.build, j.nextBuild), chain(j.run[:0], s.run, j.nextRun)
		if !visit(j.build, j.run) {
			return
		}
	}
}

func chain(into []int32, first int32, next []int32) []int32 {
	for at := first; at != 0; at = next[at-1] {
		into = append(into, at-1)
	}
	return into
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
		row := &side.rows[at]
		token := side.token(row)
		if token.IsZero() {
			continue
		}
		s := j.find(side, row.Kind, token)
		if s.build == 0 {
			s.tag = uint32(hash(token, row.Kind))
		}
		j.nextBuild[at] = s.build
		s.build = at + 1
	}
}

// probe links the rows of the other side to the tokens that are in the table.
func (j *join) probe(build, side carriers) {
	j.nextRun = grown(j.nextRun, len(side.rows))
	for i := len(side.places) - 1; i >= 0; i-- {
		at := side.places[i]
		row := &side.rows[at]
		token := side.token(row)
		if token.IsZero() {
			continue
		}
		if s := j.find(build, row.Kind, token); s.build != 0 {
			j.nextRun[at] = s.run
			s.run = at + 1
		}
	}
}

// find gives the slot of a token, or the empty one where it belongs.
func (j *join) find(build carriers, kind Kind, token Token) *slot {
	h := hash(token, kind)
	mask := uint64(len(j.slots) - 1)
	for i := h >> 32 & mask; ; i = (i + 1) & mask {
		s := &j.slots[i]
		if s.build == 0 {
			return s
		}
		if s.tag == uint32(h) {
			if row := &build.rows[s.build-1]; row.Kind == kind && build.token(row) == token {
				return s
			}
		}
	}
}

// hash spreads tokens of any make over 64 bits: the upper half finds the slot, the lower one is the tag.
func hash(t Token, k Kind) uint64 {
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
