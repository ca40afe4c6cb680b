package idem

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

//go:embed sql/*.sql
var migrationFiles embed.FS

// Migrations creates the table idem; every service with mutating methods applies it.
var Migrations = pg.Embedded("idem", migrationFiles, "sql")

// Request names a mutating request and says what it means.
type Request struct {
	// Caller is who asks; keys of different callers do not collide.
	Caller string
	// Method is the RPC's short name, "Reserve".
	Method string
	// Key is the idempotency key.
	Key string
	// Fields are the semantic fields, in an order that never changes for the method. A field is added at the end,
	// and is empty for a client that does not know it: a request from before it was added stays the same request.
	Fields []Field
	// TTL is how long the answer is given again. After it the key is refused, and never executed again. Zero
	// means for ever: right for keys derived from something durable, as a saga step's.
	TTL time.Duration
	// Epoch is the fencing number of whoever sends the request: one that is lower than what was seen under the key is
	// refused with EPOCH_STALE. Zero for none. It is no part of what the request means.
	Epoch int64
}

// Field is one semantic field of a request, in a canonical text form.
type Field struct {
	Name  string
	Value string
}

const fieldDigestSize = 8

// fingerprint is SHA-256 over all fields (name and value length-prefixed), followed by eight bytes of digest of
// each value, by which the differing fields are named.
func (r Request) fingerprint() []byte {
	whole := sha256.New()
	var perField []byte
	for _, f := range r.Fields {
		for _, part := range []string{f.Name, f.Value} {
			whole.Write(binary.AppendUvarint(nil, uint64(len(part))))
			whole.Write([]byte(part))
		}
		perField = append(perField, digest(f.Value)...)
	}
	return append(whole.Sum(nil), perField...)
}

func digest(value string) []byte {
	d := sha256.Sum256([]byte(value))
	return d[:fieldDigestSize]
}

// differing names the fields in which r differs from the request that has the stored fingerprint.
func (r Request) differing(stored []byte) []string {
	mine := r.fingerprint()
	if len(stored) < sha256.Size || bytes.Equal(mine[:sha256.Size], stored[:sha256.Size]) {
		return nil // equal, or a tombstone that was never executed and has none
	}
	mine, stored = mine[sha256.Size:], stored[sha256.Size:]
	var names []string
	for i, f := range r.Fields {
		at := i * fieldDigestSize
		theirs := digest("") // of a field that was added since
		if at+fieldDigestSize <= len(stored) {
			theirs = stored[at : at+fieldDigestSize]
		}
		if !bytes.Equal(mine[at:at+fieldDigestSize], theirs) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Same refuses another request under the same key that is not the same, as a replay would: IDEMPOTENCY_KEY_REUSED.
func (r Request) Same(other Request) error {
	if fields := other.differing(r.fingerprint()); len(fields) > 0 {
		return other.reused(fields)
	}
	return nil
}

func (r Request) reused(fields []string) *rpcerr.Error {
	e := rpcerr.New(rpcerr.IdempotencyKeyReused,
		"idempotency_key was used for another request, which differs in %s", strings.Join(fields, ", "))
	for _, f := range fields {
		e.Fields = append(e.Fields, rpcerr.Field{Path: f, Description: "differs from the first request under this key"})
	}
	return e
}

// CheckKey tells whether a key is usable: 8 to 255 printable ASCII characters (design: what every log, header
// and URL can carry unchanged). The errors are IDEMPOTENCY_KEY_MISSING and IDEMPOTENCY_KEY_INVALID.
func CheckKey(key string) error {
	const field = "idempotency_key"
	if key == "" {
		return rpcerr.ForField(rpcerr.IdempotencyKeyMissing, field, "is required")
	}
	if len(key) < 8 || len(key) > 255 {
		return rpcerr.ForField(rpcerr.IdempotencyKeyInvalid, field, "has %d characters, not 8 to 255", len(key))
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return rpcerr.ForField(rpcerr.IdempotencyKeyInvalid, field, "has a character at %d that is not printable ASCII", i)
		}
	}
	return nil
}
