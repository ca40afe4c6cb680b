package orchestrator

import (
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

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// filter is a condition on sagas (s) and what they are for (o) in SQL. What a client wrote is in its arguments only.
type filter struct {
	text  string // as it was written, without the space around it
	where string
	args  []any // $1 and on
}

// parseFilter reads a filter of AIP-160. The grammar is the library's; which fields there are, and what they can be
// compared with, is the table of filterfields.go. An empty filter holds for every saga. The definitions say who is
// called at which step. What is wrong is FILTER_INVALID, with the place and the fields that there are.
func parseFilter(text string, definitions map[definitionKey]saga.Definition) (filter, error) {
	t := translation{text: strings.TrimSpace(text), definitions: definitions}
	if t.text == "" {
		return filter{where: "true"}, nil
	}
	var parser filtering.Parser
	parser.Init(t.text)
	parsed, err := parser.Parse()
	if err != nil {
		return filter{}, t.syntaxError(err)
	}
	t.positions = parsed.GetSourceInfo().GetPositions()
	if err := t.condition(parsed.GetExpr()); err != nil {
		return filter{}, err
	}
	return filter{text: t.text, where: t.sql.String(), args: t.args}, nil
}

// translation is a filter on its way into SQL.
type translation struct {
	text        string
	definitions map[definitionKey]saga.Definition
	positions   map[int64]int32 // the byte at which each expression begins
	sql         strings.Builder
	args        []any
}

// condition writes an expression that is true or false.
func (t *translation) condition(e *expr.Expr) error {
	call := e.GetCallExpr()
	if call == nil {
		return t.errorf(e, "a comparison is missing, as in phase = parked")
	}
	switch name, args := call.GetFunction(), call.GetArgs(); {
	case (name == filtering.FunctionAnd || name == filtering.FunctionOr) && len(args) == 2:
		return t.joined(args[0], name, args[1])
	case name == filtering.FunctionNot && len(args) == 1:
		t.sql.WriteString("NOT (")
		err := t.condition(args[0])
		t.sql.WriteString(")")
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
	t.sql.WriteString("(")
	if err := t.condition(left); err != nil {
		return err
	}
	t.sql.WriteString(" " + operator + " ")
	if err := t.condition(right); err != nil {
		return err
	}
	t.sql.WriteString(")")
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
	f, ok := filterFields[name]
	switch {
	case name == "":
		return t.errorf(left, "a field is missing before %s", operator)
	case !ok:
		return t.errorf(left, "there is no field %s", name)
	case !slices.Contains(f.operators, operator):
		return t.errorf(left, "%s cannot be compared with %s, only with %s", name, operator, strings.Join(f.operators, " "))
	}
	v, err := t.valueOf(right)
	if err != nil {
		return err
	}
	if err := f.write(t, operator, v); err != nil {
		return t.errorf(right, "%s: %v", name, err)
	}
	return nil
}

// filterValue is what a field is compared with: a text, or a whole number.
type filterValue struct {
	text   string
	number int64
	isText bool
}

func (t *translation) valueOf(e *expr.Expr) (filterValue, error) {
	v := filterValue{isText: true}
	switch kind := e.GetExprKind().(type) {
	case *expr.Expr_IdentExpr:
		v.text = kind.IdentExpr.GetName()
	case *expr.Expr_ConstExpr:
		switch constant := kind.ConstExpr.GetConstantKind().(type) {
		case *expr.Constant_StringValue:
			v.text = constant.StringValue
		case *expr.Constant_Int64Value:
			v = filterValue{number: constant.Int64Value}
		default:
			return v, t.errorf(e, "a decimal number compares with nothing; amounts are in minor units")
		}
	default:
		return v, t.errorf(e, "a value is missing; what is more than letters, digits and _ needs quotes")
	}
	if !utf8.ValidString(v.text) || strings.Contains(v.text, "\x00") {
		return v, t.errorf(e, "the value is no text")
	}
	return v, nil
}

// arg keeps an argument and gives its place in the SQL, with its type.
func (t *translation) arg(value any, sqlType string) string {
	t.args = append(t.args, value)
	return "$" + strconv.Itoa(len(t.args)) + "::" + sqlType
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
		strings.Join(slices.Sorted(maps.Keys(filterFields)), ", ")).With("position", strconv.Itoa(character))
}
