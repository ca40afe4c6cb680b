package rowfile_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/rowfile"
)

var names = []string{"a", "b", "c"}

func TestObject_GivesValuesInTheOrderOfNames(t *testing.T) {
	t.Parallel()
	text := func(s string) rowfile.Value { return rowfile.Value{Kind: rowfile.String, Text: s} }
	for line, want := range map[string][]rowfile.Value{
		`{}`:                                        {{}, {}, {}},
		` { "b" : "x" , "a":"y" } `:                 {text("y"), text("x"), {}},
		`{"a":null,"b":-1.5e3,"c":true}`:            {{}, {Kind: rowfile.Number}, {Kind: rowfile.Other}},
		`{"a":{"x":["}\"",{}]},"b":[],"c":"z"}`:     {{Kind: rowfile.Other}, {Kind: rowfile.Other}, text("z")},
		`{"a":"\"\\\n","b":"\ud83d\ude00\u00e9"}`:   {text("\"\\\n"), text("😀é"), {}},
		`{"\u0061":"x","b":"\\ud800","c":"\ufffd"}`: {text("x"), text(`\ud800`), text("\ufffd")},
	} {
		got := []rowfile.Value{text("of the line before"), {}, {}}
		err := rowfile.Object([]byte(line), names, got)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, values (-want +got):\n%s", line, err, diff)
		}
	}
}

func TestObject_RefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		err   error
		field string
	}{
		`{"a":"1","A":"2"}`:          {rowfile.ErrUnknownField, "A"},
		`{"colour":{}}`:              {rowfile.ErrUnknownField, "colour"},
		`{"\u0000":1}`:               {rowfile.ErrUnknownField, "\ufffd"},
		`{"a":"1","a":"1"}`:          {rowfile.ErrDuplicateField, "a"},
		`{"a":null,"\u0061":"1"}`:    {rowfile.ErrDuplicateField, "a"},
		"{\"b\":\"1\xff\"}":          {rowfile.ErrNotUTF8, "b"},
		"{\"b\":\"\\n\xff\"}":        {rowfile.ErrNotUTF8, "b"},
		`{"b":"\ud800"}`:             {rowfile.ErrNotUTF8, "b"},
		`{"b":"\ud800\u0061"}`:       {rowfile.ErrNotUTF8, "b"},
		`{"b":"\ude00\ud83d"}`:       {rowfile.ErrNotUTF8, "b"},
		`{"b":"\ud83d\ude00\ud83d"}`: {rowfile.ErrNotUTF8, "b"},
		"{\"b\xff\":\"1\"}":          {rowfile.ErrNotUTF8, "b\ufffd"},
		`["a"]`:                      {rowfile.ErrNotObject, ""},
		`"a"`:                        {rowfile.ErrNotObject, ""},
		`{"a":"1"} {"a":"2"}`:        {rowfile.ErrNotObject, ""},
		`{"a":"1"`:                   {rowfile.ErrNotObject, ""},
		`{"a":01}`:                   {rowfile.ErrNotObject, ""},
		`{a:1}`:                      {rowfile.ErrNotObject, ""},
		``:                           {rowfile.ErrNotObject, ""},
	} {
		err := rowfile.Object([]byte(line), names, make([]rowfile.Value, len(names)))
		of, ok := errors.AsType[*rowfile.ObjectError](err)
		if !ok || !errors.Is(err, want.err) || of.Field != want.field {
			t.Errorf("%q: got %v, want %v of %q", line, err, want.err, want.field)
		}
	}
}

func TestObjectError_SaysWhatItIsAbout(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"colour":1}`: `"colour" is no field that is known`,
		`[]`:           "the line is not a JSON object",
		`{`:            "the line is not a JSON object: unexpected end of JSON input",
	} {
		if err := rowfile.Object([]byte(line), names, make([]rowfile.Value, len(names))); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

// FuzzObject holds what is read of an object to what encoding/json reads of it.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":"x\u00e9","b":1,"c":null}`))
	f.Add([]byte(`{"a":{"b":["\\\"",{}]} , "c":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		values := make([]rowfile.Value, len(names))
		if err := rowfile.Object(line, names, values); err != nil {
			return
		}
		theirs := map[string]any{}
		if err := json.Unmarshal(line, &theirs); err != nil {
			t.Fatalf("%q was read, encoding/json says %v", line, err)
		}
		for i, name := range names {
			want := rowfile.Value{}
			switch value := theirs[name].(type) {
			case nil:
			case string:
				want = rowfile.Value{Kind: rowfile.String, Text: value}
			case float64:
				want.Kind = rowfile.Number
			default:
				want.Kind = rowfile.Other
			}
			if values[i] != want {
				t.Fatalf("%q: %s is %v, encoding/json has %v", line, name, values[i], want)
			}
			delete(theirs, name)
		}
		if len(theirs) > 0 {
			t.Fatalf("%q: %v were not told of", line, theirs)
		}
	})
}
