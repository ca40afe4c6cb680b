package filter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fields are all fields that a list can be filtered by, by name. What each is in SQL is constant, so that an index that names
// it is found.
type Fields map[string]Field

// Field is a field that a list can be filtered by.
type Field struct {
	// Operators are what it can be compared with.
	Operators []string
	// Write writes the comparison as one condition; an error says what is wrong with the value, as in "is a whole number".
	Write func(sql *SQL, operator string, v Value) error
}

// The operators of fields.
var (
	SameOrNot      = []string{"=", "!="}
	LessOrMore     = []string{"<", "<=", ">", ">="}
	SameLessOrMore = slices.Concat(SameOrNot, LessOrMore)
)

// SQL is a condition that is being written.
type SQL struct {
	text strings.Builder
	args []any
}

// Write writes a piece of the text. What a person wrote must not be in it.
func (s *SQL) Write(text string) { s.text.WriteString(text) }

// Arg keeps an argument and gives its place in the text, with its type.
func (s *SQL) Arg(value any, sqlType string) string {
	s.args = append(s.args, value)
	return "$" + strconv.Itoa(len(s.args)) + "::" + sqlType
}

// Valued is a field that is compared with what a value is read as.
func Valued[T any](column, sqlType string, operators []string, read func(Value) (T, error)) Field {
	return Field{operators, func(sql *SQL, operator string, v Value) error {
		value, err := read(v)
		if err != nil {
			return err
		}
		sql.Write(column + " " + operator + " " + sql.Arg(value, sqlType))
		return nil
	}}
}

// Text is a field of text. It has (:) a text that is part of it in upper or lower case; * stands for any text at all.
func Text(column string) Field {
	same := Valued(column, "text", SameOrNot, TextValue)
	return Field{slices.Concat(SameOrNot, []string{":"}), func(sql *SQL, operator string, v Value) error {
		if operator != ":" {
			return same.Write(sql, operator, v)
		}
		part, err := TextValue(v)
		if err != nil {
			return err
		}
		if part == "*" {
			sql.Write(column + " <> ''")
			return nil
		}
		sql.Write("strpos(lower(" + column + "), lower(" + sql.Arg(part, "text") + ")) > 0")
		return nil
	}}
}

// Truth is a field that is true or false.
func Truth(condition string) Field {
	return Field{SameOrNot, func(sql *SQL, operator string, v Value) error {
		if v.Text != "true" && v.Text != "false" {
			return errors.New("is true or false")
		}
		if (v.Text == "true") != (operator == "=") {
			sql.Write("NOT ")
		}
		sql.Write("(" + condition + ")")
		return nil
	}}
}

// Name is a value of a kind that has names, as the states of something: its number is what the database has.
type Name interface {
	~uint8 | ~int16 | ~int32
	fmt.Stringer
}

// Named is a field that is one of some names, as people say them, or as the contract has them behind a prefix. The number is
// in the text, where partial indexes find it.
func Named[N Name](column, prefix string, operators []string, names ...N) Field {
	return Field{operators, func(sql *SQL, operator string, v Value) error {
		wanted := strings.ToLower(strings.TrimPrefix(strings.ToUpper(v.Text), prefix))
		var all []string
		for _, name := range names {
			if wanted == name.String() {
				sql.Write(column + " " + operator + " " + strconv.Itoa(int(name)))
				return nil
			}
			all = append(all, name.String())
		}
		return fmt.Errorf("is one of %s", strings.Join(all, ", "))
	}}
}
