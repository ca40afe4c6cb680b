package match

import (
	"encoding/binary"
)

// AppendCanonical appends what the match says, to the byte the same in every run and every database: rows go by their keys, in
// ascending order, and no token is in it. It begins with the letter M. in is what Run was given, as it is after the run.
func (m Match) AppendCanonical(b []byte, in *Input) []byte {
	b = append(b, 'M', byte(m.Pass), byte(m.OursBy), byte(m.TheirsBy))
	b = binary.BigEndian.AppendUint16(b, uint16(m.Score))
	b = appendKeys(b, in.Ours, m.Ours)
	b = appendKeys(b, in.Theirs, m.Theirs)
	return appendText(b, m.Evidence)
}

// AppendCanonical appends what the finding says, as that of a match does. It begins with the letter F. The payout is not in it:
// it is that of the rows of theirs.
func (f Finding) AppendCanonical(b []byte, in *Input) []byte {
	b = appendText(append(b, 'F'), string(f.Code))
	b = appendKeys(b, in.Ours, f.Ours)
	b = appendKeys(b, in.Theirs, f.Theirs)
	b = binary.AppendVarint(b, f.Amount)
	b = binary.AppendVarint(b, f.Effect)
	matched := byte(0)
	if f.Matched {
		matched = 1
	}
	return appendText(append(b, matched), f.Nearest)
}

// appendKeys appends how many rows there are and their keys. Places ascend, and so do keys.
func appendKeys(b []byte, rows []Row, places []int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(places)))
	for _, i := range places {
		b = append(b, rows[i].Key[:]...)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// AppendCanonical appends what the mismatch says, as that of a match does. It begins with the letter C. Leftovers are named by
// the keys of their rows, whatever their order.
func (m Mismatch) AppendCanonical(b []byte, leftovers []Leftover) []byte {
	b = append(b, 'C', byte(m.OursBy), byte(m.TheirsBy))
	b = appendKeys(b, leftovers[m.OursIn].Ours, []int32{m.Ours})
	b = appendKeys(b, leftovers[m.TheirsIn].Theirs, []int32{m.Theirs})
	b = binary.AppendVarint(b, m.OursEffect)
	return binary.AppendVarint(b, m.TheirsEffect)
}
