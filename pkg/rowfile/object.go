package rowfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// What can be wrong with a JSON object besides ErrNotUTF8.
var (
	// ErrNotObject tells that the line is not one JSON object.
	ErrNotObject = errors.New("is not a JSON object")
	// ErrUnknownField tells of a field that nobody reads.
	ErrUnknownField = errors.New("is no field that is known")
	// ErrDuplicateField tells of a field that is there twice: which of them holds would be a guess.
	ErrDuplicateField = errors.New("is there twice")
)

// ObjectError is what is wrong with a JSON object.
type ObjectError struct {
	// Field is the field that it is about; empty for the object as a whole.
	Field string
	// Err is one of the errors above.
	Err error
}

// Error implements error.
func (e *ObjectError) Error() string {
	if e.Field == "" {
		return "the line " + e.Err.Error()
	}
	return fmt.Sprintf("%q %v", e.Field, e.Err)
}

// Unwrap implements what errors.Is looks for.
func (e *ObjectError) Unwrap() error { return e.Err }

// Kind is what a field of a JSON object holds.
type Kind uint8

// The kinds of values.
const (
	// Absent is a field that is not there, or null.
	Absent Kind = iota
	// String is text.
	String
	// Number is a number.
	Number
	// Other is true, false, an array or an object.
	Other
)

// Value is what a field of a JSON object holds.
type Value struct {
	// Kind says what it is.
	Kind Kind
	// Text is that of a String.
	Text string
}

// Object reads a JSON object whose fields are among names, of which there are at most 64: values[i] becomes what
// names[i] holds. An error is an [ObjectError].
func Object(text []byte, names []string, values []Value) error {
	clear(values)
	if !json.Valid(text) {
		var raw json.RawMessage
		return &ObjectError{Err: fmt.Errorf("%w: %w", ErrNotObject, json.Unmarshal(text, &raw))}
	}
	// From here on the text is known to be JSON, and what is next is told by its first byte.
	s := scanner{text: text}
	if s.peek() != '{' {
		return &ObjectError{Err: ErrNotObject}
	}
	s.at++
	for seen := uint64(0); s.peek() != '}'; {
		if s.peek() == ',' {
			s.at++
			s.peek()
		}
		key, err := unquote(s.value())
		if err != nil {
			return &ObjectError{Field: Excerpt([]byte(key), maxName), Err: err}
		}
		i := index(names, key)
		if i < 0 {
			return &ObjectError{Field: Excerpt([]byte(key), maxName), Err: ErrUnknownField}
		}
		bit := uint64(1) << i
		if seen&bit != 0 {
			return &ObjectError{Field: names[i], Err: ErrDuplicateField}
		}
		seen |= bit
		s.peek() // the colon
		s.at++
		s.peek()
		if values[i], err = valueOf(s.value()); err != nil {
			return &ObjectError{Field: names[i], Err: err}
		}
	}
	return nil
}

// maxName is how much of the name of an unknown field is told, in bytes.
const maxName = 64

func index(names []string, key string) int {
	for i, name := range names {
		if name == key {
			return i
		}
	}
	return -1
}

func valueOf(raw []byte) (Value, error) {
	switch c := raw[0]; {
	case c == '"':
		text, err := unquote(raw)
		return Value{Kind: String, Text: text}, err
	case c == 'n':
		return Value{}, nil
	case c == '-' || c >= '0' && c <= '9':
		return Value{Kind: Number}, nil
	}
	return Value{Kind: Other}, nil
}

// scanner finds the values in valid JSON.
type scanner struct {
	text []byte
	at   int
}

// peek skips space and gives the byte behind it.
func (s *scanner) peek() byte {
	for bytes.IndexByte([]byte(" \t\r\n"), s.text[s.at]) >= 0 {
		s.at++
	}
	return s.text[s.at]
}

// value takes the value that begins here.
func (s *scanner) value() []byte {
	begin := s.at
	switch s.text[s.at] {
	case '"':
		s.skipString()
	case '{', '[':
		s.skipNested()
	default:
		for bytes.IndexByte([]byte(",]} \t\r\n"), s.text[s.at]) < 0 {
			s.at++
		}
	}
	return s.text[begin:s.at]
}

func (s *scanner) skipString() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

func (s *scanner) skipNested() {
	for depth := 0; ; {
		switch s.text[s.at] {
		case '"':
			s.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
}

// unquote gives the text of a valid JSON string. Half a surrogate pair is no character, so it is not UTF-8 either; the
// decoder would put the same mark in the place of each, and different texts would become equal.
func unquote(raw []byte) (string, error) {
	inner := raw[1 : len(raw)-1]
	if !utf8.Valid(inner) {
		return string(inner), ErrNotUTF8
	}
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		i++
		if unit := escaped(inner[i-1:]); utf16.IsSurrogate(unit) {
			if utf16.DecodeRune(unit, escaped(inner[i+5:])) == utf8.RuneError {
				return string(inner), ErrNotUTF8
			}
			i += 6
		}
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

// escaped is the code unit of the \uXXXX that a text begins with; 0 when it begins with something else.
func escaped(text []byte) rune {
	if !bytes.HasPrefix(text, []byte(`\u`)) {
		return 0
	}
	unit, _ := strconv.ParseUint(string(text[2:6]), 16, 16) // four digits, as the text is valid JSON
	return rune(unit)
}
