package formats

import (
	"bytes"
	"errors"
	"fmt"
)

// xmlNames says which bytes names are of: 1 for those that may begin one, 2 for the others.
var xmlNames = func() (class [256]uint8) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			class[c] = 1
		case '0' <= c && c <= '9', c == '-', c == '.', c == ':':
			class[c] = 2
		}
	}
	return class
}()

// An xmlScope is a namespace that an element declares.
type xmlScope struct {
	prefix, uri string
	depth       int // of the element
}

// An xmlAttr is where the name and the value of an attribute are in attrText.
type xmlAttr struct{ name, value, end int }

// attr is the value of an attribute of the element that began last; nil where it has none.
func (x *xmlReader) attr(name string) []byte {
	for _, a := range x.attrs {
		if string(x.attrText[a.name:a.value]) == name {
			return x.attrText[a.value:a.end:a.end]
		}
	}
	return nil
}

// startTag reads one, at which the window begins.
func (x *xmlReader) startTag() error {
	x.at = x.r
	for {
		n, name, err := x.tryStartTag(x.buf[x.r:x.w])
		if err != nil {
			return err
		}
		if n > 0 {
			return x.push(name, n)
		}
		if err := x.fill(); err != nil {
			return err
		}
	}
}

// tryStartTag takes a start tag apart that b begins with. It gives its length, and 0 where b is too short.
func (x *xmlReader) tryStartTag(b []byte) (n int, name []byte, err error) {
	i := 1
	for i < len(b) && xmlNames[b[i]] != 0 {
		i++
	}
	if i == len(b) {
		return 0, nil, nil
	}
	name = b[1:i]
	x.attrs, x.attrText = x.attrs[:0], x.attrText[:0]
	if b[i] == '>' {
		return i + 1, name, nil
	}
	for {
		spaces := i
		for i < len(b) && isXMLSpace(b[i]) {
			i++
		}
		switch {
		case i+1 >= len(b):
			return 0, nil, nil
		case b[i] == '>':
			return i + 1, name, nil
		case b[i] == '/' && b[i+1] == '>':
			return i + 2, name, nil
		case i == spaces:
			return 0, nil, fmt.Errorf("has a tag that is no tag: %.40q", b[:i+1])
		}
		length, err := x.attribute(b[i:])
		if err != nil || length == 0 {
			return 0, nil, err
		}
		i += length
	}
}

// push opens the element whose start tag is of n bytes.
func (x *xmlReader) push(name []byte, n int) error {
	colon, err := checkXMLName(name)
	if err != nil {
		return err
	}
	if len(x.open) == xmlMaxDepth {
		return errXMLDepth
	}
	x.open = append(x.open, xmlOpen{name: len(x.names), local: len(x.names) + colon + 1})
	x.names = append(x.names, name...)
	if len(x.attrs) > 0 {
		if err := x.declare(); err != nil {
			return err
		}
	}
	uri, declared := x.namespace(name[:max(colon, 0)])
	if !declared {
		return fmt.Errorf("has the prefix %q, which is not declared", name[:colon])
	}
	x.uri, x.closed = uri, x.buf[x.r+n-2] == '/'
	x.r += n
	return nil
}

// pop closes the innermost element.
func (x *xmlReader) pop() {
	last := len(x.open) - 1
	for len(x.scopes) > 0 && x.scopes[len(x.scopes)-1].depth > last {
		x.scopes = x.scopes[:len(x.scopes)-1]
	}
	x.names, x.open = x.names[:x.open[last].name], x.open[:last]
}

// checkXMLName gives where the prefix of a name ends; -1 where it has none.
func checkXMLName(name []byte) (colon int, err error) {
	colon = bytes.IndexByte(name, ':')
	local := name[colon+1:]
	if colon == 0 || len(local) == 0 || xmlNames[local[0]] != 1 || xmlNames[name[0]] != 1 || bytes.IndexByte(local, ':') >= 0 {
		return 0, fmt.Errorf("has the name %.40q, which is none", name)
	}
	if len(name) > xmlMaxName || colon > xmlMaxPrefix {
		return 0, fmt.Errorf("has a name of more than %d bytes, or a prefix of more than %d", xmlMaxName, xmlMaxPrefix)
	}
	return colon, nil
}

// endTag reads one, at which the window begins, and closes the innermost element.
func (x *xmlReader) endTag() error {
	x.at = x.r
	name := x.names[x.open[len(x.open)-1].name:]
	if b := x.buf[x.r:x.w]; len(b) > len(name)+2 && b[len(name)+2] == '>' && string(b[2:len(name)+2]) == string(name) {
		x.r += len(name) + 3
		x.pop()
		return nil
	}
	for {
		b := x.buf[x.r:x.w]
		end := bytes.IndexByte(b, '>')
		if end < 0 {
			if err := x.fill(); err != nil {
				return err
			}
			continue
		}
		if found := bytes.TrimRight(b[2:end], " \t\r\n"); !bytes.Equal(found, name) {
			return fmt.Errorf("is open where %.40q ends", found)
		}
		x.r += end + 1
		x.pop()
		return nil
	}
}

// attribute takes the one apart that b begins with, and gives its length; 0 where b is too short.
func (x *xmlReader) attribute(b []byte) (int, error) {
	i := 0
	for i < len(b) && xmlNames[b[i]] != 0 {
		i++
	}
	name := b[:i]
	for i < len(b) && isXMLSpace(b[i]) {
		i++
	}
	if i == len(b) {
		return 0, nil
	}
	if len(name) == 0 || b[i] != '=' {
		return 0, fmt.Errorf("has an attribute that is none: %.40q", b[:i+1])
	}
	for i++; i < len(b) && isXMLSpace(b[i]); i++ {
	}
	if i == len(b) {
		return 0, nil
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return 0, fmt.Errorf("has the attribute %.40q without quotes", name)
	}
	length := bytes.IndexByte(b[i+1:], quote)
	if length < 0 {
		return 0, nil
	}
	value := b[i+1 : i+1+length]
	if _, err := checkXMLName(name); err != nil {
		return 0, err
	}
	if x.attr(string(name)) != nil {
		return 0, fmt.Errorf("has the attribute %.40q twice", name)
	}
	if len(x.attrs) == xmlMaxAttrs {
		return 0, fmt.Errorf("has more than %d attributes", xmlMaxAttrs)
	}
	a := xmlAttr{name: len(x.attrText)}
	x.attrText = append(x.attrText, name...)
	a.value = len(x.attrText)
	if err := x.attrValue(value); err != nil {
		return 0, fmt.Errorf("the attribute %.40q %w", name, err)
	}
	a.end = len(x.attrText)
	x.attrs = append(x.attrs, a)
	return i + length + 2, nil
}

// attrValue appends the text of an attribute's value.
func (x *xmlReader) attrValue(b []byte) (err error) {
	for i := 0; i < len(b); {
		n := 1
		switch c := b[i]; {
		case c == '<':
			return errors.New(`has a "<" in it`)
		case c == '&':
			x.attrText, n, err = appendXMLReference(x.attrText, b[i:])
		case c >= 0x80:
			x.attrText, n, err = x.appendRune(x.attrText, b[i:])
		case c < ' ' && !isXMLSpace(c):
			return errXMLChar
		default:
			x.attrText = append(x.attrText, c)
		}
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// declare opens the scopes of the namespaces that the innermost element declares.
func (x *xmlReader) declare() error {
	for _, a := range x.attrs {
		name, uri := x.attrText[a.name:a.value], x.attrText[a.value:a.end]
		prefix, declares := bytes.CutPrefix(name, []byte("xmlns"))
		switch {
		case !declares || len(prefix) > 0 && prefix[0] != ':':
			continue
		case len(prefix) == 0:
		case len(uri) == 0:
			return fmt.Errorf("declares the prefix %q for nothing", prefix[1:])
		default:
			prefix = prefix[1:]
		}
		scope := xmlScope{prefix: string(prefix), uri: string(uri), depth: len(x.open)}
		if scope.uri == x.space {
			scope.uri = x.space // what is the same string is compared at once
		}
		x.scopes = append(x.scopes, scope)
	}
	for _, a := range x.attrs {
		name := x.attrText[a.name:a.value]
		prefix := name[:max(bytes.IndexByte(name, ':'), 0)]
		if _, declared := x.namespace(prefix); !declared && string(prefix) != "xmlns" {
			return fmt.Errorf("has the prefix %q, which is not declared", prefix)
		}
	}
	return nil
}

// namespace is what a prefix stands for.
func (x *xmlReader) namespace(prefix []byte) (uri string, declared bool) {
	for i := len(x.scopes) - 1; i >= 0; i-- {
		if x.scopes[i].prefix == string(prefix) {
			return x.scopes[i].uri, true
		}
	}
	return "", len(prefix) == 0 || string(prefix) == "xml"
}
