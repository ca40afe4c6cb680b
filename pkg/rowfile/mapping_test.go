package rowfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/rowfile"
)

var (
	keys = rowfile.Keys{
		All: []string{"id", "price", "unit", "note"}, Required: []string{"id", "price", "unit"}, Literal: []string{"unit"},
		CheckLiteral: func(_, value string) error {
			if value != "kg" {
				return errors.New("it is no unit")
			}
			return nil
		},
	}
	byName  = func() rowfile.Keys { k := keys; k.ByName = true; return k }()
	anyCase = func() rowfile.Keys { k := byName; k.AnyCase = true; return k }()
)

// recordsOf tells the values of each row of a file for all keys, as "line: value|value".
func recordsOf(k rowfile.Keys, file string, m rowfile.Mapping) (records []string, failed error) {
	for r, err := range k.Records(strings.NewReader(file), limit, m) {
		if err != nil {
			return records, err
		}
		var values []string
		for _, key := range k.All {
			value, err := r.Value(key)
			if err != nil {
				value += "!" + err.Error()
			}
			values = append(values, value)
		}
		records = append(records, fmt.Sprintf("%d/%d: %s", r.Line, r.Width, strings.Join(values, "|")))
	}
	return records, nil
}

func TestRecords_HaveValuesByKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys          rowfile.Keys
		mapping, file string
		want          []string
	}{
		"mapped":           {keys, "id=No,price=Total,unit=Unit", "note, Unit,No,Total\nx,kg,1,2\n", []string{"2/4: 1|2|kg|"}},
		"for all rows":     {keys, "id=No,price=Total,unit=kg", "No,Total\n1,2\n", []string{"2/2: 1|2|kg|"}},
		"by their names":   {byName, "", "unit,id,price,other\nkg,1,2,x\n", []string{"2/4: 1|2|kg|"}},
		"optional as well": {byName, "price=Total", "unit,id,note,Total\nkg,1,x,2\n", []string{"2/4: 1|2|kg|x"}},
		"in any case":      {anyCase, "price=tOTAL", "Unit,ID,TOTAL\nkg,1,2\n", []string{"2/3: 1|2|kg|"}},
		"short, long, broken": {
			byName, "", "id,price,unit\n1,2\n1,2,kg,x\n1,\xff,kg\n",
			[]string{"2/3: 1|2|!the row has 2 columns, unit is in column 3|", "3/3: 1|2|kg|", "4/3: 1|\xff!price is not valid UTF-8|kg|"},
		},
		"only a heading": {byName, "", "id,price,unit\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m rowfile.Mapping
			if test.mapping != "" {
				var err error
				if m, err = test.keys.Parse(test.mapping); err != nil {
					t.Fatal(err)
				}
			}
			got, err := recordsOf(test.keys, test.file, m)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v, records (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestRecords_RefuseAHeadingWithAllThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys          rowfile.Keys
		mapping       rowfile.Mapping
		heading, want string
	}{
		"empty":           {byName, nil, "", "the file is empty: it needs a heading and rows"},
		"missing":         {byName, nil, "id,x", "price=price: there is no such column; unit=unit: there is no such column; the heading is id,x"},
		"mapped, missing": {keys, rowfile.Mapping{"note": "N"}, "id", "note=N: there is no such column; the heading is id"},
		"twice":           {byName, nil, "id,price,id,unit", `the heading has "id" twice, so id=id is ambiguous`},
		"twice, any case": {anyCase, nil, "id,price,ID,unit", `the heading has "id" twice, so id=id is ambiguous`},
		"both":            {byName, nil, "id,price,id", `the heading has "id" twice, so id=id is ambiguous; unit=unit: there is no such column; the heading is id,price,id`},
		"no such value":   {byName, rowfile.Mapping{"unit": "Unitt"}, "id,price", "unit=Unitt: there is no such column, and for all rows it cannot be: it is no unit; the heading is id,price"},
		"broken quoting":  {byName, nil, "id,\"price\"x", `line 1: extraneous or missing " in quoted-field`},
		"not UTF-8":       {byName, rowfile.Mapping{"unit": "kg"}, "id,\xff\x00", "price=price: there is no such column; the heading is id,\ufffd\ufffd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := test.heading
			if file != "" {
				file += "\n1,2,3\n"
			}
			records, err := recordsOf(test.keys, file, test.mapping)
			if _, ok := errors.AsType[*rowfile.FileError](err); !ok || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if len(records) > 0 {
				t.Errorf("rows were given all the same: %q", records)
			}
		})
	}
}

func TestParse_RefusesWhatCannotBeMapped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"id=No":                "it lacks price=…, unit=…",
		"colour=red":           `"colour" is none of id, price, unit, note`,
		"id=No,id=Other":       "id is there twice",
		"id":                   `"id" is not like id=InvoiceNo`,
		"id=":                  `"id=" is not like id=InvoiceNo`,
		"id=a,,price=b,unit=c": `"" is not like id=InvoiceNo`,
	} {
		if _, err := keys.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q gave %v, want %q", text, err, want)
		}
	}
	if m, err := byName.Parse(" id = No "); err != nil || m["id"] != "No" {
		t.Errorf("got %v, error %v, want what is mapped alone", m, err)
	}
}

func TestColumns_TellWhatAFileHas(t *testing.T) {
	t.Parallel()
	columns, err := keys.Columns(rowfile.Row{Line: 1, Fields: []string{"Total", "No"}}, rowfile.Mapping{"id": "No", "price": "Total", "unit": "kg"})
	if err != nil {
		t.Fatal(err)
	}
	var has []bool
	for i := range keys.All {
		has = append(has, columns.Has(i))
	}
	if diff := cmp.Diff([]bool{true, true, true, false}, has); diff != "" || columns.Width != 2 {
		t.Errorf("width %d, has (-want +got):\n%s", columns.Width, diff)
	}
	if value, err := columns.Value([]string{"2", "1"}, 0); value != "1" || err != nil {
		t.Errorf("got %q, error %v, want the row's value", value, err)
	}
}
