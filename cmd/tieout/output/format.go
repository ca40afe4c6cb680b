package output

import (
	"fmt"
	"slices"
	"strings"
)

// Format is a way to print, as given with -o.
type Format string

// The formats. A list is one JSON array in JSON, a line an item in JSON Lines, and one sequence in YAML; CSV has
// the table's columns, with their full values.
const (
	Table     Format = "table"
	JSON      Format = "json"
	JSONLines Format = "jsonl"
	YAML      Format = "yaml"
	CSV       Format = "csv"
)

// Formats are all formats, in the order of the help.
func Formats() []Format { return []Format{Table, JSON, JSONLines, YAML, CSV} }

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "format" }

// Set implements pflag.Value. The error names the formats there are.
func (f *Format) Set(name string) error {
	if !slices.Contains(Formats(), Format(name)) {
		return fmt.Errorf("%q is none of %s", name, List())
	}
	*f = Format(name)
	return nil
}

// List is how help and errors name the formats: "table|json|…".
func List() string {
	names := make([]string, 0, len(Formats()))
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, "|")
}
