// Package id holds typed ids: a UUIDv7 that shows its kind on the wire ("ord_0192…") and is a plain uuid, 16 bytes,
// in Postgres. An id of one kind does not compile where another kind is wanted, and text of the wrong kind does
// not parse.
//
// A kind is an empty struct type that names its prefix; an alias names its ids:
//
//	type orderKind struct{}
//
//	func (orderKind) Prefix() string { return "ord" }
//
//	type OrderID = id.ID[orderKind]
package id

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ErrInvalid means that text is not an id of the wanted kind. The error that wraps it says what is wrong.
var ErrInvalid = errors.New("invalid id")

// Kind tells the ids of one entity from those of all others. Its zero value must be usable.
type Kind interface {
	// Prefix is what ids of the kind begin with, without the underscore: "ord". It is the same for ever.
	Prefix() string
}

// ID identifies one entity of kind K. IDs are comparable, and those of one process sort by the time they were made.
// The zero ID stands for "none": it is empty text and, in Postgres, NULL.
type ID[K Kind] uuid.UUID

// New returns a fresh ID, a UUIDv7.
func New[K Kind]() ID[K] {
	return ID[K](uuid.Must(uuid.NewV7())) // Fails only with the system's random source, and that ends the process.
}

// Parse reads what String wrote: the kind's prefix, an underscore, and a UUID in its canonical form, in lower case,
// so that one id has one spelling. The zero ID has no spelling that Parse accepts. The error is ErrInvalid.
func Parse[K Kind](s string) (ID[K], error) {
	canonical, ok := strings.CutPrefix(s, prefix[K]())
	if !ok {
		return ID[K]{}, fmt.Errorf("%w %.60q: want prefix %s", ErrInvalid, s, prefix[K]())
	}
	u, err := uuid.Parse(canonical)
	if err != nil || u.String() != canonical {
		return ID[K]{}, fmt.Errorf("%w %.60q: want a lower-case UUID after %s", ErrInvalid, s, prefix[K]())
	}
	if u == uuid.Nil {
		return ID[K]{}, fmt.Errorf("%w %.60q: the UUID is all zeros", ErrInvalid, s)
	}
	return ID[K](u), nil
}

func prefix[K Kind]() string {
	var k K
	return k.Prefix() + "_"
}

// String is the id as it appears on the wire, in logs and on screens: "ord_0192…"; empty for the zero ID.
func (i ID[K]) String() string {
	if i.IsZero() {
		return ""
	}
	return prefix[K]() + i.UUID().String()
}

// IsZero tells whether the ID is the zero ID, which identifies nothing.
func (i ID[K]) IsZero() bool { return i == ID[K]{} }

// UUID is the id without its kind.
func (i ID[K]) UUID() uuid.UUID { return uuid.UUID(i) }

// MarshalText is String for encoders. It never fails.
func (i ID[K]) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText is Parse for decoders, except that empty text is the zero ID, as MarshalText writes it.
func (i *ID[K]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*i = ID[K]{}
		return nil
	}
	parsed, err := Parse[K](string(text))
	if err != nil {
		return err
	}
	*i = parsed
	return nil
}

// UUIDValue makes an ID a parameter of type uuid (pgtype.UUIDValuer). The zero ID is NULL, so that a NOT NULL
// column refuses an id that was forgotten.
func (i ID[K]) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: i, Valid: !i.IsZero()}, nil
}

// ScanUUID makes an ID a target for columns of type uuid (pgtype.UUIDScanner). NULL is the zero ID.
func (i *ID[K]) ScanUUID(v pgtype.UUID) error {
	*i = ID[K]{}
	if v.Valid {
		*i = v.Bytes
	}
	return nil
}
