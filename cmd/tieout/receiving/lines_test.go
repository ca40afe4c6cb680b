package receiving

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tieout/tieout/cmd/tieout/orderfile"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rowfile"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func TestCheck_NamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	rules, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]orderfile.Problem{
		`{"sku":"mug","quantity":0}`:          {Line: 7, Reason: rpcerr.RequestInvalid, Field: "quantity"},
		`{"sku":"mug","quantity":-1}`:         {Line: 7, Reason: rpcerr.RequestInvalid, Field: "quantity"},
		`{"sku":"mug","quantity":2147483648}`: {Line: 7, Reason: rpcerr.RequestMalformed, Field: "quantity"},
		`{"sku":"mug","quantity":1.5}`:        {Line: 7, Reason: rpcerr.RequestMalformed, Field: "quantity"},
		`{"sku":"","quantity":1}`:             {Line: 7, Reason: rpcerr.RequestInvalid, Field: "sku"},
		`{"sku":"mug","colour":"red"}`:        {Line: 7, Reason: rpcerr.RequestMalformed, Field: "colour"},
	} {
		got := check(rules, orderfile.Line{Line: rowfile.Line{Number: 7, Text: []byte(text)}}, &inventoryv1.StockLine{})
		if diff := cmp.Diff([]orderfile.Problem{want}, got, cmpopts.IgnoreFields(want, "Message")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzLines reads files of anybody's making: a line is what the contract allows, or what is wrong with it is told.
func FuzzLines(f *testing.F) {
	rules, err := protovalidate.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"sku":"mug","quantity":3}` + "\n" + `{"sku":"","quantity":-1}`)
	f.Add(`{"sku":"mug","quantity":2147483648}` + "\n\n" + `{"sku":"mug","quantity":"3"}`)
	f.Add("{\"sku\":\"a\xffb\"}\n[\n{\"quantity\":1e3,\"sku\":\"\\u0000\"}")
	f.Fuzz(func(t *testing.T, file string) {
		for line, err := range orderfile.Lines(strings.NewReader(file)) {
			if err != nil {
				t.Fatal(err)
			}
			item := &inventoryv1.StockLine{}
			problems := check(rules, line, item)
			for _, p := range problems {
				if p.Line != line.Number || p.Message == "" || p.Reason == "" {
					t.Errorf("line %d: %+v tells nothing", line.Number, p)
				}
			}
			if err := rules.Validate(item); len(problems) == 0 && err != nil {
				t.Errorf("line %d, %q, was taken: %v", line.Number, line.Text, err)
			}
		}
	})
}
