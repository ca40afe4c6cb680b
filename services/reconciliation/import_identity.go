package reconciliation

import (
	"crypto/sha256"
	"strconv"

	"github.com/google/uuid"
)

// identity makes the key of a movement of what names it, as the function identity_of of the database does: a UUID of version 8,
// of the SHA-256 over all parts, each behind its length in bytes. What is the same has the same key, in every database.
type identity struct{ parts []byte }

// of begins anew.
func (i *identity) of(parts ...string) *identity {
	i.parts = i.parts[:0]
	return i.text(parts...)
}

func (i *identity) text(parts ...string) *identity {
	for _, p := range parts {
		i.parts = append(strconv.AppendInt(i.parts, int64(len(p)), 10), ':')
		i.parts = append(i.parts, p...)
	}
	return i
}

func (i *identity) number(numbers ...int64) *identity {
	var digits [20]byte
	for _, n := range numbers {
		d := strconv.AppendInt(digits[:0], n, 10)
		i.parts = append(strconv.AppendInt(i.parts, int64(len(d)), 10), ':')
		i.parts = append(i.parts, d...)
	}
	return i
}

func (i *identity) key() uuid.UUID {
	sum := sha256.Sum256(i.parts)
	key := uuid.UUID(sum[:16])
	key[6], key[8] = key[6]&15|0x80, key[8]&63|0x80
	return key
}

// occurrence is the key of what has a key and is there once more: a file may truly have the same line twice. The first one,
// 0, has the key itself.
func occurrence(key uuid.UUID, n int32) uuid.UUID {
	if n == 0 {
		return key
	}
	return new(identity).of("again", string(key[:])).number(int64(n)).key()
}
