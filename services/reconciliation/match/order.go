package match

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// Order gives the places of rows in the order of their keys.
func Order(rows []Row) []int32 {
	all := make([]ranked, len(rows))
	for i := range rows {
		all[i] = ranked{binary.BigEndian.Uint64(rows[i].Key[:8]), int32(i)}
	}
	return inOrder(all, func(a, b int32) int { return bytes.Compare(rows[a].Key[8:], rows[b].Key[8:]) })
}

// Arrange puts rows in an order that Order gave, which it uses up. Rows are large: each is moved once, along the cycles of the
// permutation. The error is ErrRow: two rows have the same key.
func Arrange(rows []Row, order []int32) error {
	for i := range order {
		row, at := rows[i], i
		for order[at] >= 0 {
			from := int(order[at])
			order[at] = -1
			if from == i {
				rows[at] = row
				break
			}
			rows[at] = rows[from]
			at = from
		}
	}
	for i := 1; i < len(rows); i++ {
		if rows[i-1].Key == rows[i].Key {
			return fmt.Errorf("%w: %x is there twice", ErrRow, rows[i].Key)
		}
	}
	return nil
}

// arranged puts rows in the order of their keys where they are not.
func arranged(rows []Row) error {
	for i := 1; i < len(rows); i++ {
		if compareKeys(&rows[i-1], &rows[i]) >= 0 {
			return Arrange(rows, Order(rows))
		}
	}
	return nil
}

func compareKeys(a, b *Row) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// ranked is a place, and a number to order it by.
type ranked struct {
	rank  uint64
	place int32
}

// inOrder gives places in the order of their ranks, which are spread evenly – keys are hashes, or begin with the time, and ids are
// counted – so that they are dealt into boxes of a few each, by the first bits in which they differ.
func inOrder(all []ranked, tie func(a, b int32) int) []int32 {
	const boxes = 1 << 16
	same := uint64(0)
	for _, r := range all {
		same |= r.rank ^ all[0].rank
	}
	shift := max(bits.Len64(same)-16, 0)
	var ends [boxes]int32
	for _, r := range all {
		ends[r.rank>>shift%boxes]++
	}
	total := int32(0)
	for i := range ends {
		total, ends[i] = total+ends[i], total
	}
	dealt := make([]ranked, len(all))
	for _, r := range all {
		box := &ends[r.rank>>shift%boxes]
		dealt[*box] = r
		*box++
	}
	order, from := make([]int32, 0, len(all)), int32(0)
	for _, end := range ends {
		box := dealt[from:end]
		slices.SortFunc(box, func(a, b ranked) int {
			if a.rank != b.rank {
				return cmp.Compare(a.rank, b.rank)
			}
			return tie(a.place, b.place)
		})
		for _, r := range box {
			order = append(order, r.place)
		}
		from = end
	}
	return order
}
