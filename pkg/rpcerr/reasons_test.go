package rpcerr_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/tieout/tieout/pkg/rpcerr"
)

var update = flag.Bool("update", false, "write the documentation from the registry instead of comparing the two")

// documentation is the page that is printed from the registry.
const documentation = "../../docs/reference/errors.md"

func TestReasons_AreUniqueUpperSnakeCaseWithACode(t *testing.T) {
	t.Parallel()
	upperSnake := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)
	seen := map[rpcerr.Reason]bool{}
	for r := range rpcerr.Reasons() {
		if !upperSnake.MatchString(string(r.Reason)) || len(r.Reason) > 63 {
			t.Errorf("%s: a reason is UPPER_SNAKE_CASE of at most 63 characters (AIP-193)", r.Reason)
		}
		if seen[r.Reason] {
			t.Errorf("%s is registered twice", r.Reason)
		}
		seen[r.Reason] = true
		if r.Code == codes.OK || r.Meaning == "" {
			t.Errorf("%s: got code %s and meaning %q", r.Reason, r.Code, r.Meaning)
		}
		if got := r.Reason.Code(); got != r.Code {
			t.Errorf("%s: sent as %s, registered as %s", r.Reason, got, r.Code)
		}
	}
}

// A reason that is declared and not registered would be sent as INTERNAL.
func TestReasons_AreAllRegistered(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, registered []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, value)
		}
		return true
	})
	for r := range rpcerr.Reasons() {
		registered = append(registered, string(r.Reason))
	}
	if diff := cmp.Diff(declared, registered); diff != "" {
		t.Errorf("registered reasons (-declared +registered):\n%s", diff)
	}
}

func TestReason_ThatIsNotRegisteredIsInternal(t *testing.T) {
	t.Parallel()
	if got := rpcerr.Reason("FROM_THE_FUTURE").Code(); got != codes.Internal {
		t.Errorf("got %s, want Internal", got)
	}
}

func TestReasons_AreDocumented(t *testing.T) {
	t.Parallel()
	want := printed()
	if *update {
		if err := os.WriteFile(documentation, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/reference/errors.md is not what `go test ./pkg/rpcerr -update` prints (-want +got):\n%s", diff)
	}
}

// printed is the page that documents all reasons, by code.
func printed() []byte {
	var b bytes.Buffer
	b.WriteString(`# Errors

Printed from the registry in ` + "`pkg/rpcerr`" + ` by ` + "`go test ./pkg/rpcerr -update`" + `.

Every error is a gRPC status with a message that is safe to show, and with details
([AIP-193](https://google.aip.dev/193)) that say more than the code:

| detail | says |
|---|---|
| ErrorInfo | ` + "`domain`" + ` is ` + "`" + rpcerr.Domain + "`" + `; ` + "`reason`" + ` is one of those below and is never renamed: branch on it |
| BadRequest | which fields of the request are wrong, by path: ` + "`lines[2].sku`" + ` |
| PreconditionFailure | the same for FAILED_PRECONDITION |
| QuotaFailure | which limit is used up, and what it is: ` + "`caller:shop/class:new`" + ` |
| RetryInfo | how long to wait before asking again |
| ResourceInfo | the thing that the error is about |

What a code means for the request:

| code | the request | ask again? |
|---|---|---|
| INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION | was refused and changed nothing | not unchanged |
| ABORTED | is being worked on, or lost a race | yes, under the same idempotency key |
| RESOURCE_EXHAUSTED | was refused and changed nothing | yes, after the time in RetryInfo |
| UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, INTERNAL | may have happened or not | yes, under the same idempotency key |
`)
	var all []rpcerr.Registration
	for r := range rpcerr.Reasons() {
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(x, y rpcerr.Registration) int { return rank(x.Code) - rank(y.Code) })
	for i, r := range all {
		if i == 0 || all[i-1].Code != r.Code {
			fmt.Fprintf(&b, "\n## %s\n\n| reason | meaning |\n|---|---|\n", code.Code(r.Code))
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Reason, r.Meaning)
	}
	return b.Bytes()
}

// rank orders codes: refusals, then what to ask again, then the rest.
func rank(c codes.Code) int {
	order := []codes.Code{
		codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.Aborted,
		codes.ResourceExhausted, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled,
	}
	if i := slices.Index(order, c); i >= 0 {
		return i
	}
	return len(order) + int(c)
}
