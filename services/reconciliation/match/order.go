package match

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// ranked is the first half of a row's key, and where the row is.
type ranked struct {
	key   uint64
	place int32
}

// sorter keeps what sorting needs for the next side. Most is how many rows the larger one has.
type sorter struct {
	most  int
	order []ranked
}

// sort puts rows in the order of their keys, each of which there must be only once.
func (s *sorter) sort(rows []Row) error {
	sorted := true
	for i := 1; i < len(rows) && sorted; i++ {
		sorted = compareKeys(&rows[i-1], &rows[i]) < 0
	}
	if sorted {
		return nil
	}
	order := s.inOrder(rows)
	// Rows are large: each is moved once, along the cycles of the permutation.
	for i := range order {
		row, at := rows[i], i
		for order[at].place >= 0 {
			from := int(order[at].place)
			order[at].place = -1
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

// inOrder gives the places of rows in the order of their keys. Keys are hashes, or begin with the time: by the first bits in which
// they differ they are dealt into boxes of a few each.
func (s *sorter) inOrder(rows []Row) []ranked {
	const boxes = 1 << 16
	prefix := func(i int) uint64 { return binary.BigEndian.Uint64(rows[i].Key[:8]) }
	same := uint64(0)
	for i := range rows {
		same |= prefix(i) ^ prefix(0)
	}
	shift := max(bits.Len64(same)-16, 0)
	box := func(key uint64) uint64 { return key >> shift % boxes }
	var ends [boxes]int32
	for i := range rows {
		ends[box(prefix(i))]++
	}
	total := int32(0)
	for i := range ends {
		total, ends[i] = total+ends[i], total
	}
	if s.order == nil {
		s.order = make([]ranked, s.most)
	}
	order := s.order[:len(rows)]
	for i := range rows {
		key := prefix(i)
		order[ends[box(key)]] = ranked{key, int32(i)}
		ends[box(key)]++
	}
	from := int32(0)
	for _, end := range ends {
		slices.SortFunc(order[from:end], func(a, b ranked) int {
			if a.key != b.key {
				return cmp.Compare(a.key, b.key)
			}
			return bytes.Compare(rows[a.place].Key[8:], rows[b.place].Key[8:])
		})
		from = end
	}
	return order
}

func compareKeys(a, b *Row) int { return bytes.Compare(a.Key[:], b.Key[:]) }
