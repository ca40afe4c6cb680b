package orderfile

import (
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rowfile"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// maxLine is the longest line or row read, in bytes: what a server takes in one request at most.
const maxLine = 4 << 20

// Line is one line of a JSON Lines file, of at most 4 MiB.
type Line struct{ rowfile.Line }

// Lines gives the lines of a file that are not blank. It ends behind an error.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for line, err := range rowfile.Lines(r, maxLine) {
			if !yield(Line{line}, err) {
				return
			}
		}
	}
}

// Decode reads the line's JSON object into a message. Unknown fields are refused, as everything is that the
// message cannot hold.
func (l Line) Decode(m proto.Message) *Problem {
	problem := &Problem{Line: l.Number, Reason: rpcerr.RequestMalformed}
	if l.TooLong {
		problem.Message = fmt.Sprintf("the line is longer than %d bytes", maxLine)
		return problem
	}
	if !utf8.Valid(l.Text) {
		problem.Message, problem.Field = "is not valid UTF-8", brokenField(l.Text, m)
		return problem
	}
	if err := protojson.Unmarshal(l.Text, m); err != nil {
		problem.Message, problem.Field = describe(err)
		return problem
	}
	return nil
}

// JSONLines gives the orders of a file of PlaceOrderRequest, one a line. An error that is a [Refusal] is about one
// order; any other one ends the file.
func JSONLines(r io.Reader, d Defaults) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		for line, err := range Lines(r) {
			if err != nil {
				yield(nil, err)
				return
			}
			request := &orderv1.PlaceOrderRequest{}
			if problem := line.Decode(request); problem != nil {
				if !yield(nil, &Refusal{Problems: []Problem{*problem}}) {
					return
				}
				continue
			}
			d.apply(request)
			if !yield(&Order{Line: line.Number, Request: request}, nil) {
				return
			}
		}
	}
}

var (
	position  = regexp.MustCompile(`^proto: (?:(?:syntax error )?\(line 1:(\d+)\): )?`)
	namedIn   = regexp.MustCompile(`unknown field "([^"]+)"|duplicate field "([^"]+)"|for \w+ field (\w+):`)
	separator = regexp.MustCompile(`\s+`)
)

// describe takes what protojson says apart: the message, and the name of the field that it is about. The line that
// protojson counts is always the first, and its spaces are not always spaces.
func describe(err error) (message, field string) {
	text := separator.ReplaceAllString(strings.ReplaceAll(err.Error(), "\u00a0", " "), " ")
	column := ""
	if m := position.FindStringSubmatch(text); m != nil && m[1] != "" {
		column = ", column " + m[1]
	}
	text = position.ReplaceAllString(text, "")
	if m := namedIn.FindStringSubmatch(text); m != nil {
		field = m[1] + m[2] + m[3]
	}
	return text + column, field
}
