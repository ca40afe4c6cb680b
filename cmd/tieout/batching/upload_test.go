package batching

import (
	"bytes"
	"testing"

	"github.com/tieout/tieout/cmd/tieout/uploading"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

func TestKey_IsOfTheFileAndOfWhatIsSaidOfIt(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for what, made := range map[string]struct {
		header *billingv1.BatchHeader
		file   string
	}{
		"a file":         {&billingv1.BatchHeader{Name: "a", Columns: map[string]string{"reference": "R", "amount": "A"}}, "x"},
		"another file":   {&billingv1.BatchHeader{Name: "a", Columns: map[string]string{"reference": "R", "amount": "A"}}, "y"},
		"another name":   {&billingv1.BatchHeader{Name: "b", Columns: map[string]string{"reference": "R", "amount": "A"}}, "x"},
		"another column": {&billingv1.BatchHeader{Name: "a", Columns: map[string]string{"reference": "R", "amount": "B"}}, "x"},
	} {
		for range 10 {
			f, err := uploading.Open(bytes.NewReader([]byte(made.file)))
			if err != nil {
				t.Fatal(err)
			}
			key, err := Key(f, made.header)
			if err != nil || len(key) < 8 || len(key) > 255 {
				t.Fatalf("%s: key %q, %v", what, key, err)
			}
			if other, used := seen[key]; used && other != what {
				t.Errorf("%s and %s have the same key", what, other)
			}
			seen[key] = what
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d keys of 4 uploads: %v", len(seen), seen)
	}
}
