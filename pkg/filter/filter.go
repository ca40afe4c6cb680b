package filter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Filter is a condition in SQL.
type Filter struct {
	// Text is as it was written, without the space around it; empty holds for everything.
	Text string
	// Where is the condition; its arguments are $1 and on.
	Where string
	// Args are its arguments.
	Args []any
}

// Parse reads a filter over some fields. An empty one holds for everything. The error is FILTER_INVALID.
func Parse(text string, fields Fields) (Filter, error) {
	t := translation{text: strings.TrimSpace(text), fields: fields}
	if t.text == "" {
		return Filter{Where: "true"}, nil
	}
	var parser filtering.Parser
	parser.Init(t.text)
	parsed, err := parser.Parse()
	if err != nil {
		return Filter{}, t.syntaxError(err)
	}
	t.positions = parsed.GetSourceInfo().GetPositions()
	if err := t.condition(parsed.GetExpr()); err != nil {
		return Filter{}, err
	}
	return Filter{Text: t.text, Where: t.sql.text.String(), Args: t.sql.args}, nil
}

// PageKey is what the token of the page behind a key stands for (package rpc): the filter belongs to it. The key has no space
// in it.
func (f Filter) PageKey(key string) string {
	return fmt.Sprintf("%s %x", key, sha256.Sum256([]byte(f.Text)))
}

// PageBehind gives what a page of a list with a filter begins behind: what the key behind the token is read as, or for the
// first page what comes before all there are. A token of another filter, and what is no token, is REQUEST_INVALID.
func PageBehind[K any](f Filter, token string, first K, read func(key string) (K, error)) (K, error) {
	whole, err := rpc.ParsePageToken(token)
	if err != nil || whole == "" {
		return first, err
	}
	key, _, _ := strings.Cut(whole, " ")
	behind, err := read(key)
	if err != nil || whole != f.PageKey(key) {
		return first, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer with this filter")
	}
	return behind, nil
}

// translation is a filter on its way into SQL.
type translation struct {
	text      string
	fields    Fields
	positions map[int64]int32 // the byte at which each expression begins
	sql       SQL
}

// condition writes an expression that is true or false.
func (t *translation) condition(e *expr.Expr) error {
	call := e.GetCallExpr()
	if call == nil {
		return t.errorf(e, "a comparison is missing, as in field = value")
	}
	switch name, args := call.GetFunction(), call.GetArgs(); {
	case (name == filtering.FunctionAnd || name == filtering.FunctionOr) && len(args) == 2:
		return t.joined(args[0], name, args[1])
	case name == filtering.FunctionNot && len(args) == 1:
		t.sql.Write("NOT (")
		err := t.condition(args[0])
		t.sql.Write(")")
		return err
	case name == filtering.FunctionFuzzyAnd && len(args) == 2:
		if err := t.condition(args[0]); err != nil {
			return err
		}
		return t.errorf(args[1], "AND or OR is missing before this")
	case slices.Contains(comparators, name) && len(args) == 2:
		return t.comparison(args[0], name, args[1])
	default:
		return t.errorf(e, "there is no function %s", name)
	}
}

// joined writes two conditions, with AND or OR between them.
func (t *translation) joined(left *expr.Expr, operator string, right *expr.Expr) error {
	t.sql.Write("(")
	if err := t.condition(left); err != nil {
		return err
	}
	t.sql.Write(" " + operator + " ")
	if err := t.condition(right); err != nil {
		return err
	}
	t.sql.Write(")")
	return nil
}

// comparators are those of AIP-160.
var comparators = []string{
	filtering.FunctionEquals, filtering.FunctionNotEquals, filtering.FunctionHas, filtering.FunctionLessThan,
	filtering.FunctionLessEquals, filtering.FunctionGreaterThan, filtering.FunctionGreaterEquals,
}

// comparison writes a field's comparison with a value.
func (t *translation) comparison(left *expr.Expr, operator string, right *expr.Expr) error {
	name := left.GetIdentExpr().GetName()
	f, ok := t.fields[name]
	switch {
	case name == "":
		return t.errorf(left, "a field is missing before %s", operator)
	case !ok:
		return t.errorf(left, "there is no field %s", name)
	case !slices.Contains(f.Operators, operator):
		return t.errorf(left, "%s cannot be compared with %s, only with %s", name, operator, strings.Join(f.Operators, " "))
	}
	v, err := t.valueOf(right)
	if err != nil {
		return err
	}
	if err := f.Write(&t.sql, operator, v); err != nil {
		return t.errorf(right, "%s: %v", name, err)
	}
	return nil
}

func (t *translation) valueOf(e *expr.Expr) (Value, error) {
	v := Value{IsText: true}
	switch kind := e.GetExprKind().(type) {
	case *expr.Expr_IdentExpr:
		v.Text = kind.IdentExpr.GetName()
	case *expr.Expr_ConstExpr:
		switch constant := kind.ConstExpr.GetConstantKind().(type) {
		case *expr.Constant_StringValue:
			v.Text = constant.StringValue
		case *expr.Constant_Int64Value:
			v = Value{Number: constant.Int64Value}
		default:
			return v, t.errorf(e, "a decimal number compares with nothing; amounts are in minor units")
		}
	default:
		return v, t.errorf(e, "a value is missing; what is more than letters, digits and _ needs quotes")
	}
	if !utf8.ValidString(v.Text) || strings.Contains(v.Text, "\x00") {
		return v, t.errorf(e, "the value is no text")
	}
	return v, nil
}

func (t *translation) errorf(e *expr.Expr, format string, args ...any) error {
	return t.invalid(int(t.positions[e.GetId()]), fmt.Sprintf(format, args...))
}

// syntaxError makes of the parser's error, whose causes are the parts of the grammar it was in, the innermost one.
func (t *translation) syntaxError(err error) error {
	type placed interface {
		Position() filtering.Position
		Message() string
	}
	at, message := 0, "it cannot be read"
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if p, ok := cause.(placed); ok {
			at, message = int(p.Position().Offset), p.Message()
		}
	}
	if errors.Is(err, io.EOF) {
		at, message = len(t.text), "it ends too early"
	}
	return t.invalid(at, message+" (what is more than letters, digits and _ needs quotes)")
}

// invalid says what is wrong at a byte of the filter, which it counts in characters from 1.
func (t *translation) invalid(at int, message string) error {
	character := utf8.RuneCountInString(t.text[:min(at, len(t.text))]) + 1
	return rpcerr.ForField(rpcerr.FilterInvalid, "filter", "at character %d: %s; the fields are %s", character, message,
		strings.Join(slices.Sorted(maps.Keys(t.fields)), ", ")).With("position", strconv.Itoa(character))
}
