package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// entry is what is known of a key. It is never changed once it is stored.
type entry[V any] struct {
	version int64
	kind    kind
	value   V // of an existing key
	// asOf is when the value was current for certain: before it was read, or when it was written.
	asOf time.Time
	// fresh is until when the value may be given away; never, where only the version is known.
	fresh time.Time
	// known is until when the version is remembered.
	known time.Time
}

// kind is what an entry says of its key.
type kind string

const (
	exists  kind = "value"  // and the value
	missing kind = "none"   // that there is no such thing; its version is 0
	changed kind = "change" // that nothing older than the version counts
)

// isFresh tells whether the value may be given away.
func (e *entry[V]) isFresh(now time.Time) bool { return now.Before(e.fresh) }

// replaces tells whether e takes the place of an entry. Of one version the younger reading counts, and any value counts
// more than none.
func (e *entry[V]) replaces(old *entry[V], now time.Time) bool {
	switch {
	case !now.Before(old.known):
		return true
	case e.version != old.version:
		return e.version > old.version
	default:
		return e.fresh.After(old.fresh)
	}
}

// On Redis an entry is a line of text, and the value as JSON behind it:
//
//	tieout1 <version> <milliseconds since 1970 as of which it was current> value|none|change
//
// store.lua reads the version out of it.
const format = "tieout1"

var errGarbage = errors.New("is no entry of a cache")

func (e *entry[V]) encode() ([]byte, error) {
	var value []byte
	if e.kind == exists {
		var err error
		if value, err = json.Marshal(e.value); err != nil {
			return nil, fmt.Errorf("encoding cached value: %w", err)
		}
	}
	return fmt.Appendf(nil, "%s %d %d %s\n%s", format, e.version, e.asOf.UnixMilli(), e.kind, value), nil
}

// decode reads an entry; errGarbage for anything that encode does not write.
func decode[V any](raw []byte) (*entry[V], error) {
	head, value, _ := bytes.Cut(raw, []byte("\n"))
	words := bytes.Split(head, []byte(" "))
	if len(words) != 4 || string(words[0]) != format {
		return nil, errGarbage
	}
	version, versionErr := strconv.ParseInt(string(words[1]), 10, 64)
	asOf, asOfErr := strconv.ParseInt(string(words[2]), 10, 64)
	if versionErr != nil || asOfErr != nil || version < 0 {
		return nil, errGarbage
	}
	e := &entry[V]{version: version, kind: kind(words[3]), asOf: time.UnixMilli(asOf)}
	switch e.kind {
	case exists:
		if json.Unmarshal(value, &e.value) != nil {
			return nil, errGarbage
		}
	case missing, changed:
		if len(value) > 0 {
			return nil, errGarbage
		}
	default:
		return nil, errGarbage
	}
	return e, nil
}
