package idem_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// FuzzReplay reads rows whatever they keep: an answer or a refusal that could be kept again as it is, or an error.
func FuzzReplay(f *testing.F) {
	refusal, err := json.Marshal(rpcerr.ForField(rpcerr.InsufficientStock, "A1", "2 available"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(idem.Refused, make([]byte, 64), refusal)
	f.Add(idem.Refused, []byte(nil), []byte("null"))
	f.Add(idem.Done, make([]byte, 37), []byte(`{"ID":"1","Note":"paid"}`))
	f.Add(idem.Done, []byte("short"), []byte(`{"ID":1}`))
	f.Add(int16(7), []byte(nil), []byte("{"))
	f.Fuzz(func(t *testing.T, state int16, fingerprint, kept []byte) {
		var answer receipt
		replayed, refusal, err := idem.Replay(request(), state, fingerprint, kept, &answer)
		switch {
		case err != nil && (replayed || refusal != nil), refusal == nil && !replayed && err == nil:
			t.Fatalf("replayed %v, refused %v, and %v", replayed, refusal, err)
		case err != nil || !replayed:
		case refusal != nil:
			rpcerr.ToStatus(refusal) // what a client is told
			var again rpcerr.Error
			if diff := cmp.Diff(refusal, error(keptAgain(t, refusal, &again))); diff != "" {
				t.Errorf("refusal (-kept +kept again):\n%s", diff)
			}
		default:
			if again := *keptAgain(t, answer, &receipt{}); again != answer {
				t.Errorf("got %+v, and kept again %+v", answer, again)
			}
		}
	})
}

// keptAgain stores a value and reads it.
func keptAgain[T any](t *testing.T, value any, into *T) *T {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("cannot be kept again: %v", err)
	}
	return into
}
