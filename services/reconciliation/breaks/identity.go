package breaks

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Identity is the id of a break, a UUID of version 8: the first half of the SHA-256 of what it is about. The same difference has
// the same id in every run and every database, whatever order its movements come in. The subject is what it is about where that
// is no movements; ours and theirs are the keys of the movements of the two sides, and change sides to be another break.
func Identity(c Code, subject string, ours, theirs [][16]byte) [16]byte {
	h := sha256.New()
	for _, part := range []string{string(c), subject} { // each with its length, so that nothing runs into the next
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	for _, side := range [][][16]byte{ours, theirs} {
		h.Write(binary.AppendUvarint(nil, uint64(len(side))))
		sorted := slices.Clone(side)
		slices.SortFunc(sorted, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
		for _, key := range sorted {
			h.Write(key[:])
		}
	}
	id := [16]byte(h.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
