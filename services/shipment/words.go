package shipment

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tieout/tieout/services/shipment/carrier"
)

// What a carrier says comes from outside. What it gives as a name, of a parcel or of an event, is kept as it is or not
// used: something else is not what it would know the thing by. What it says in words is kept as far as it can be.
const (
	maxName  = 300 // bytes
	maxWords = 500 // characters
)

// isName tells whether something is a name that can be kept.
func isName(said string) bool {
	return said != "" && len(said) <= maxName && utf8.ValidString(said) && !strings.ContainsRune(said, 0)
}

// words makes text that can be kept: valid, without NUL, and not too long.
func words(said string) string {
	kept := strings.ToValidUTF8(strings.ReplaceAll(said, "\x00", ""), string(utf8.RuneError))
	n := 0
	for i := range kept {
		if n++; n > maxWords {
			return kept[:i]
		}
	}
	return kept
}

// reason is why a carrier does not take a parcel.
func reason(e *carrier.RefusedError) string { return cmp.Or(words(e.Reason), "without a reason") }

// heard gives the events of those told that can be taken down. The error tells what is wrong with the others.
func heard(told []carrier.Event) (usable []carrier.Event, err error) {
	for _, e := range told {
		switch {
		case !isName(e.ID):
			err = errors.Join(err, fmt.Errorf("event %q has no name that can be kept", e.ID))
		case stages[e.Stage] == 0:
			err = errors.Join(err, fmt.Errorf("event %q is of stage %d, which there is not", e.ID, e.Stage))
		case e.At.IsZero() || timestamppb.New(e.At).CheckValid() != nil:
			err = errors.Join(err, fmt.Errorf("event %q happened at no time", e.ID))
		default:
			e.Detail = words(e.Detail)
			usable = append(usable, e)
		}
	}
	return usable, err
}
