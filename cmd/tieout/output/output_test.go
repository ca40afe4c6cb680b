package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

type thing struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

var thingView = View[thing]{
	JSON: Value[thing],
	Columns: []Column[thing]{
		{Name: "name", Value: func(t thing) string { return t.Name }},
		{Name: "some_text", Value: func(t thing) string { return t.Text }},
	},
	Fields: []Column[thing]{{Name: "more", Value: func(thing) string { return "yes" }}},
}

func TestWriter_PrintsEveryFormat(t *testing.T) {
	t.Parallel()
	things := []thing{{"a", "one, two"}, {"long", "12"}}
	for _, test := range []struct {
		format Format
		items  []thing
		want   string
	}{
		{Table, things, "NAME  SOME TEXT\na     one, two\nlong  12\n"},
		{JSON, things, "[\n  {\n    \"name\": \"a\",\n    \"text\": \"one, two\"\n  },\n  {\n    \"name\": \"long\",\n    \"text\": \"12\"\n  }\n]\n"},
		{JSONLines, things, "{\"name\":\"a\",\"text\":\"one, two\"}\n{\"name\":\"long\",\"text\":\"12\"}\n"},
		{YAML, things, "- name: a\n  text: one, two\n- name: long\n  text: \"12\"\n"},
		{CSV, things, "name,some_text\na,\"one, two\"\nlong,12\n"},
		{Table, nil, "NAME  SOME TEXT\n"},
		{JSON, nil, "[]\n"},
		{JSONLines, nil, ""},
		{YAML, nil, "[]\n"},
		{CSV, nil, "name,some_text\n"},
	} {
		var out bytes.Buffer
		w := NewWriter(&out, test.format, thingView)
		for _, item := range test.items {
			if err := w.Write(item); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%s of %d items (-want +got):\n%s", test.format, len(test.items), diff)
		}
	}
}

func TestWriter_EndsAListThatBreaksOffAsValidJSON(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	for _, items := range []int{0, 2} {
		var out bytes.Buffer
		w := NewWriter(&out, JSON, thingView)
		for range items {
			if err := w.Write(thing{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(broke); !errors.Is(err, broke) {
			t.Errorf("End gave %v, want the error it was told", err)
		}
		if items > 0 && !json.Valid(out.Bytes()) {
			t.Errorf("after %d items: not valid JSON: %s", items, out.String())
		}
		if items == 0 && out.Len() > 0 {
			t.Errorf("printed %q for a list that broke off before its first item", out.String())
		}
	}
}

func TestTable_KeepsControlCharactersFromTheTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := NewWriter(&out, Table, thingView)
	if err := w.Write(thing{"a\x1b[2J", "b\nc\td"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(out.Bytes(), "\x1b\t") || bytes.Count(out.Bytes(), []byte("\n")) != 2 {
		t.Errorf("control characters came through: %q", out.String())
	}
}

func TestOne_PrintsTheObjectItself(t *testing.T) {
	t.Parallel()
	item := thing{"a", "b"}
	for format, want := range map[Format]string{
		Table:     "name       a\nsome text  b\nmore       yes\n",
		JSON:      "{\n  \"name\": \"a\",\n  \"text\": \"b\"\n}\n",
		JSONLines: "{\"name\":\"a\",\"text\":\"b\"}\n",
		YAML:      "name: a\ntext: b\n",
		CSV:       "name,some_text\na,b\n",
	} {
		var out bytes.Buffer
		if err := One(&out, format, thingView, item); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestMessage_HasTheNamesOfTheContractAndItsZeros(t *testing.T) {
	t.Parallel()
	raw, err := Message(&orderv1.Order{
		OrderId: "ord_1", State: orderv1.OrderState_ORDER_STATE_COMPLETED,
		Total: &commonv1.Amount{CurrencyCode: "JPY", MinorUnits: 9007199254740993},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"order_id": "ord_1", "saga_id": "", "state": "ORDER_STATE_COMPLETED", "customer_id": "", "lines": []any{},
		"total":          map[string]any{"currency_code": "JPY", "minor_units": "9007199254740993"},
		"payment_method": "", "cause": "", "timeline": []any{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestYAML_SaysTheSameAsJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"12", "true", "null", "~", "a: b", "- x", "two\nlines\n", " spaced ", "#", "é", "0x1f", "2026-01-01", ""} {
		raw, err := Value(thing{"n", text})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := toYAML(raw)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := yaml.Unmarshal(encoded, &got); err != nil {
			t.Fatalf("%q became YAML that cannot be read: %v\n%s", text, err, encoded)
		}
		if got["text"] != text {
			t.Errorf("%q became %#v\n%s", text, got["text"], encoded)
		}
	}
}

func TestFormat_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := Table
	if err := f.Set("xml"); err == nil || f != Table {
		t.Errorf("Set(xml) gave %v and left %s", err, f)
	}
	if err := f.Set("jsonl"); err != nil || f != JSONLines {
		t.Errorf("Set(jsonl) gave %v and %s", err, f)
	}
}
