package match

import "slices"

// bucketKey is what rows have in common that are looked at together. What does not count is zero.
type bucketKey struct {
	kind   Kind
	token  Token
	amount int64
	day    Day
}

func (k bucketKey) hash() uint64 {
	h := k.token[0] ^ uint64(k.amount)*0x9E3779B97F4A7C15 ^ uint64(k.day)*0xC2B2AE3D27D4EB4F ^ uint64(k.kind)<<56
	h ^= h >> 32
	h *= 0xD6E8FEB86659FD93
	return h ^ h>>32
}

// The sides of a bucket.
const (
	sideOurs = iota
	sideTheirs
)

// buckets hold rows of ours by their keys, and those of theirs that have one of these keys. They cost a slot for each row and
// nothing else, however the rows are spread.
type buckets struct {
	slots []int32     // the bucket, from 1, that a hash leads to
	keys  []bucketKey // of each bucket
	heads [2][]int32  // of each bucket, the row of a side that came last, from 1
	next  [2][]int32  // of each row, the one that came before it in its bucket, from 1
}

func newBuckets(ours, theirs int) *buckets {
	size := 16
	for size < 2*ours {
		size *= 2
	}
	b := &buckets{slots: make([]int32, size)}
	b.next[sideOurs], b.next[sideTheirs] = make([]int32, ours), make([]int32, theirs)
	return b
}

// find gives the bucket of a key, and makes it where it is wanted; 0 for none.
func (b *buckets) find(k bucketKey, wanted bool) int32 {
	mask := uint64(len(b.slots) - 1)
	for at := k.hash() & mask; ; at = (at + 1) & mask {
		n := b.slots[at]
		switch {
		case n == 0 && !wanted:
			return 0
		case n == 0:
			b.keys = append(b.keys, k)
			b.heads[sideOurs], b.heads[sideTheirs] = append(b.heads[sideOurs], 0), append(b.heads[sideTheirs], 0)
			b.slots[at] = int32(len(b.keys))
			return b.slots[at]
		case b.keys[n-1] == k:
			return n
		}
	}
}

func (b *buckets) add(side int, row int32, k bucketKey) {
	n := b.find(k, side == sideOurs)
	if n == 0 {
		return
	}
	b.next[side][row] = b.heads[side][n-1]
	b.heads[side][n-1] = row + 1
}

// rows appends the rows of a side in a bucket, which is counted from 0.
func (b *buckets) rows(to []int32, side, bucket int) []int32 {
	for row := b.heads[side][bucket]; row > 0; row = b.next[side][row-1] {
		to = append(to, row-1)
	}
	return to
}

// bucketed calls each with the rows of the open ones of both sides that have the same key, in the order of the rows' keys. What
// it is given is valid during the call. Rows without a key are in no bucket.
func (m *matcher) bucketed(keyOf func(side int, r *Row) (bucketKey, bool), each func(ours, theirs []int32)) {
	b := newBuckets(len(m.in.Ours), len(m.in.Theirs))
	for i := range m.in.Ours {
		if m.ours[i] == open {
			if k, ok := keyOf(sideOurs, &m.in.Ours[i]); ok {
				b.add(sideOurs, int32(i), k)
			}
		}
	}
	for j := range m.in.Theirs {
		if m.theirs[j] == open {
			if k, ok := keyOf(sideTheirs, &m.in.Theirs[j]); ok {
				b.add(sideTheirs, int32(j), k)
			}
		}
	}
	var ours, theirs []int32
	for n := range b.keys {
		if b.heads[sideTheirs][n] == 0 {
			continue
		}
		ours, theirs = b.rows(ours[:0], sideOurs, n), b.rows(theirs[:0], sideTheirs, n)
		if len(ours) > 1 {
			slices.SortFunc(ours, byKey(m.in.Ours))
		}
		if len(theirs) > 1 {
			slices.SortFunc(theirs, byKey(m.in.Theirs))
		}
		each(ours, theirs)
	}
}

// kind is the kind as far as rows may be the same money. What is a payout to us may be any transfer to the bank.
func (m *matcher) kind(k Kind) Kind {
	if m.rules.Payouts && k == KindTransfer {
		return KindPayout
	}
	return k
}
