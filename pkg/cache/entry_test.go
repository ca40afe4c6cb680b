package cache

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEntry_SurvivesRedis(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := entry[string]{
			version: rapid.Int64Min(0).Draw(t, "version"),
			kind:    rapid.SampledFrom([]kind{exists, missing, changed}).Draw(t, "kind"),
			asOf:    time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "as of")),
		}
		if want.kind == exists {
			want.value = rapid.String().Draw(t, "value")
		}
		raw, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode[string](raw)
		if err != nil || *got != want {
			t.Fatalf("%q became %+v, %v; want %+v", raw, got, err, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("tieout1 1 1700000000000 value\n\"mug\""))
	f.Add([]byte("tieout1 0 1700000000000 none\n"))
	f.Add([]byte("tieout1 1 1700000000000 change\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := decode[string](raw)
		if err != nil {
			if !errors.Is(err, errGarbage) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if _, err := e.encode(); err != nil {
			t.Errorf("%q was read, and cannot be written: %v", raw, err)
		}
	})
}
