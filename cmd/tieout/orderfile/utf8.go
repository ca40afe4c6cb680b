package orderfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// brokenField names the first field that is not UTF-8 in a JSON object: the one that a mark, put in the place of
// what is broken, comes out of. It gives "" when the object cannot be read otherwise either.
func brokenField(text []byte, m proto.Message) string {
	marked := bytes.ToValidUTF8(text, []byte(string(utf8.RuneError)))
	if protojson.Unmarshal(marked, m) != nil {
		return ""
	}
	return marker(m.ProtoReflect(), "")
}

func marker(m protoreflect.Message, prefix string) string {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		path := prefix + string(fd.Name())
		switch value := m.Get(fd); {
		case fd.IsList():
			for j := range value.List().Len() {
				if found := markerIn(fd, value.List().Get(j), fmt.Sprintf("%s[%d]", path, j)); found != "" {
					return found
				}
			}
		case m.Has(fd):
			if found := markerIn(fd, value, path); found != "" {
				return found
			}
		}
	}
	return ""
}

func markerIn(fd protoreflect.FieldDescriptor, value protoreflect.Value, path string) string {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return marker(value.Message(), path+".")
	case protoreflect.StringKind:
		if strings.ContainsRune(value.String(), utf8.RuneError) {
			return path
		}
	}
	return ""
}
