package id_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/id"
)

type orderKind struct{}

func (orderKind) Prefix() string { return "ord" }

type orderID = id.ID[orderKind]

var (
	_ pgtype.UUIDValuer  = orderID{}
	_ pgtype.UUIDScanner = (*orderID)(nil)
)

const (
	plain = "0192f0c1-2345-7abc-8def-0123456789ab"
	wire  = "ord_" + plain
)

func TestNew_IsAFreshUUIDv7InOrder(t *testing.T) {
	t.Parallel()
	last := id.New[orderKind]()
	for range 1000 {
		next := id.New[orderKind]()
		if next.UUID().Version() != 7 || next.UUID().Variant() != uuid.RFC4122 {
			t.Fatalf("%s is not a UUIDv7", next)
		}
		if next.String() <= last.String() {
			t.Fatalf("%s was made after %s and sorts before it", next, last)
		}
		last = next
	}
}

func TestParse_ReadsWhatStringWrote(t *testing.T) {
	t.Parallel()
	got, err := id.Parse[orderKind](wire)
	if err != nil || got != orderID(uuid.MustParse(plain)) || got.String() != wire {
		t.Errorf("Parse(%q) = %v, %v", wire, got, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := orderID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		if want.IsZero() {
			t.Skip("the zero ID has no text")
		}
		if got, err := id.Parse[orderKind](want.String()); err != nil || got != want {
			t.Fatalf("Parse(%q) = %v, %v", want, got, err)
		}
	})
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const wantPrefix, wantUUID, zeros = "want prefix ord_", "want a lower-case UUID after ord_", "all zeros"
	tests := []struct{ name, in, want string }{
		{"empty", "", wantPrefix},
		{"other kind", "pay_" + plain, wantPrefix},
		{"no prefix", plain, wantPrefix},
		{"no underscore", "ord" + plain, wantPrefix},
		{"upper-case prefix", "ORD_" + plain, wantPrefix},
		{"leading space", " " + wire, wantPrefix},
		{"only prefix", "ord_", wantUUID},
		{"upper-case UUID", "ord_" + strings.ToUpper(plain), wantUUID},
		{"no dashes", "ord_" + strings.ReplaceAll(plain, "-", ""), wantUUID},
		{"braces", "ord_{" + plain + "}", wantUUID},
		{"urn", "ord_urn:uuid:" + plain, wantUUID},
		{"trailing space", wire + " ", wantUUID},
		{"prefix twice", "ord_" + wire, wantUUID},
		{"not hexadecimal", "ord_" + strings.Replace(plain, "0", "g", 1), wantUUID},
		{"nil UUID", "ord_" + uuid.Nil.String(), zeros},
		{"very long", "ord_" + strings.Repeat("a", 1<<20), wantUUID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := id.Parse[orderKind](tt.in)
			if !errors.Is(err, id.ErrInvalid) || !got.IsZero() {
				t.Fatalf("got %v, %v; want ErrInvalid", got, err)
			}
			if !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 200 {
				t.Errorf("error %.300q does not say %q, or not briefly", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(wire)
	f.Add("pay_" + plain)
	f.Add("ord_{" + plain + "}")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := id.Parse[orderKind](s)
		if err == nil && got.String() != s {
			t.Errorf("Parse(%q) accepted another spelling of %s", s, got)
		}
		if err != nil && !errors.Is(err, id.ErrInvalid) {
			t.Errorf("Parse(%q): %v is not ErrInvalid", s, err)
		}
	})
}

func TestID_SurvivesJSON(t *testing.T) {
	t.Parallel()
	type order struct {
		ID     orderID            `json:"id"`
		Parent orderID            `json:"parent"`
		None   orderID            `json:"none,omitzero"`
		ByID   map[orderID]string `json:"by_id"`
	}
	one := orderID(uuid.MustParse(plain))
	in := order{ID: one, ByID: map[orderID]string{one: "x"}}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"` + wire + `","parent":"","by_id":{"` + wire + `":"x"}}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var out order
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`"pay_`+plain+`"`), &out.ID); !errors.Is(err, id.ErrInvalid) || out.ID != one {
		t.Errorf("an id of another kind: got %v and %v, want ErrInvalid and no change", err, out.ID)
	}
}

// formats are the two in which Postgres and pgx exchange values.
var formats = map[string]int16{"binary": pgtype.BinaryFormatCode, "text": pgtype.TextFormatCode}

func TestID_IsAPostgresUUID(t *testing.T) {
	t.Parallel()
	one := orderID(uuid.MustParse(plain))
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := pgtype.NewMap()
			for _, param := range []any{one, &one} {
				buf, err := m.Encode(pgtype.UUIDOID, format, param, nil)
				if err != nil {
					t.Fatalf("encoding a %T: %v", param, err)
				}
				var column uuid.UUID
				if err := m.Scan(pgtype.UUIDOID, format, buf, (*[16]byte)(&column)); err != nil || column != one.UUID() {
					t.Errorf("the column has %v, %v; want %v", column, err, one.UUID())
				}
				var got orderID
				if err := m.Scan(pgtype.UUIDOID, format, buf, &got); err != nil || got != one {
					t.Errorf("scanned %v, %v; want %v", got, err, one)
				}
			}
		})
	}
}

func TestID_NullIsTheZeroID(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	for _, param := range []any{orderID{}, (*orderID)(nil)} {
		buf, err := m.Encode(pgtype.UUIDOID, pgtype.BinaryFormatCode, param, nil)
		if err != nil || buf != nil {
			t.Errorf("%T: encoded to %x, %v; want NULL", param, buf, err)
		}
	}
	got := id.New[orderKind]()
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &got); err != nil || !got.IsZero() {
		t.Errorf("scanned NULL to %v, %v; want the zero ID", got, err)
	}
	optional := &got
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &optional); err != nil || optional != nil {
		t.Errorf("scanned NULL to %v, %v; want a nil pointer", optional, err)
	}
}

func TestID_IsAnElementOfAPostgresUUIDArray(t *testing.T) {
	t.Parallel()
	want := []orderID{id.New[orderKind](), {}, id.New[orderKind]()}
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := pgtype.NewMap()
			buf, err := m.Encode(pgtype.UUIDArrayOID, format, want, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []orderID
			if err := m.Scan(pgtype.UUIDArrayOID, format, buf, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("uuid[] (-want +got):\n%s", diff)
			}
		})
	}
}

func TestID_IsItsWireFormAsPostgresText(t *testing.T) {
	t.Parallel()
	one := orderID(uuid.MustParse(plain))
	buf, err := pgtype.NewMap().Encode(pgtype.TextOID, pgtype.TextFormatCode, one, nil)
	if err != nil || string(buf) != wire {
		t.Errorf("encoded to %q, %v; want %q", buf, err, wire)
	}
}
