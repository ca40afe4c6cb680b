package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Column is one column of a table or CSV file.
type Column[T any] struct {
	// Name is the column's heading, in lower case with underscores.
	Name string
	// Value is what stands in it.
	Value func(T) string
}

// View says how things of one type are printed.
type View[T any] struct {
	// Columns of the table and of CSV.
	Columns []Column[T]
	// JSON gives a thing as compact JSON: [Message] for messages of the API, [Value] for what has json tags.
	JSON func(T) ([]byte, error)
	// Fields are printed besides the columns when a thing is printed alone as a table.
	Fields []Column[T]
	// Sections, when set, prints what a thing consists of below its fields.
	Sections func(io.Writer, T) error
}

// Message is JSON as the API has it, with the names that the contracts have. Fields that are zero are there too.
func Message[T proto.Message](m T) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	var compact bytes.Buffer // protojson puts spaces at random
	if err := json.Compact(&compact, raw); err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return compact.Bytes(), nil
}

// Value is the JSON of a Go value.
func Value[T any](v T) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return raw, nil
}

// toYAML gives JSON as YAML in block style, with the fields in the same order.
func toYAML(raw []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil { // JSON is YAML in flow style
		return nil, fmt.Errorf("encoding YAML: %w", err)
	}
	blockStyle(&node)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return nil, fmt.Errorf("encoding YAML: %w", err)
	}
	return b.Bytes(), nil
}

func blockStyle(node *yaml.Node) {
	node.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle // text that looks like a number is quoted again
	for _, child := range node.Content {
		blockStyle(child)
	}
}

// Section prints a table of the parts of something, under a title; nothing when there are none.
func Section[T any](out io.Writer, title string, columns []Column[T], parts []T) error {
	if len(parts) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(out, "\n%s\n", title); err != nil {
		return err
	}
	w := NewWriter(out, Table, View[T]{Columns: columns})
	for _, part := range parts {
		if err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}
