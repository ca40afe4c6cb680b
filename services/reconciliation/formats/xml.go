package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The bounds of what is held of a document, in bytes but for the depth and the number of attributes.
const (
	xmlWindow     = 64 << 10 // of the file; a tag fits in it
	xmlMaxText    = 64 << 10 // of the text of one element that is wanted
	xmlMaxDepth   = 100
	xmlMaxAttrs   = 64
	xmlMaxName    = 256
	xmlMaxPrefix  = 64
	xmlEntityLook = 12 // the longest reference there is, &#x0010FFFF;
)

var (
	errXMLText  = fmt.Errorf("has a text of more than %d bytes", xmlMaxText)
	errXMLTag   = fmt.Errorf("has a tag of more than %d bytes", xmlWindow)
	errXMLDepth = fmt.Errorf("has elements more than %d deep", xmlMaxDepth)
	errXMLEnd   = errors.New("ends before all elements are closed")
	errXMLNodes = errors.New("has elements where a text belongs")
)

// An xmlReader takes a document apart as it comes, in memory that does not grow with it: what is open is all that it holds.
// It is a strict reader of what banks send, at about nine times the speed of encoding/xml, against which a fuzz target checks
// it: whatever it takes, that takes too, and finds the same. It refuses document types, so that there are no entities but
// those that are predefined, and encodings other than UTF-8, US-ASCII and ISO-8859-1; names are of ASCII.
//
// The names it gives are local ones, and elements of other namespaces than the document's are passed over: a bank's own.
type xmlReader struct {
	src  io.Reader
	buf  []byte // a window of the file, of which buf[r:w] is still to be read
	r, w int
	done bool // the file has nothing behind the window

	at      int // where in buf the markup begins that was read last
	lines   int // how many line ends there are before buf[counted]
	counted int

	names  []byte    // of the elements that are open, with their prefixes, one behind the other
	open   []xmlOpen // where each stands in names
	closed bool      // the innermost element was an empty-element tag: its end is still to be told

	scopes []xmlScope // the namespaces that are declared, innermost last
	uri    string     // the namespace of the element that began last
	space  string     // that of the document

	attrs    []xmlAttr // of the element that began last
	attrText []byte    // their names and values

	keep   bool   // whether text is wanted
	value  []byte // the text that is
	latin1 bool
}

// xmlOpen is where the name of an element begins, and its local name.
type xmlOpen struct{ name, local int }

func newXMLReader(src io.Reader) *xmlReader {
	return &xmlReader{src: src, buf: make([]byte, xmlWindow)}
}

// fill makes the window have more than buf[r:w].
func (x *xmlReader) fill() error {
	if x.done {
		return errXMLEnd
	}
	if x.r == 0 && x.w == len(x.buf) {
		return errXMLTag
	}
	if x.counted < x.r {
		x.lines += bytes.Count(x.buf[x.counted:x.r], xmlNewline)
		x.counted = x.r
	}
	x.w = copy(x.buf, x.buf[x.r:x.w])
	x.at, x.counted, x.r = max(x.at-x.r, 0), x.counted-x.r, 0
	n, err := io.ReadFull(x.src, x.buf[x.w:])
	x.w += n
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		x.done = true
		if n == 0 {
			return errXMLEnd
		}
	case err != nil:
		return &xmlSourceError{err}
	}
	return nil
}

// An xmlSourceError is one of the stream, and not of the document.
type xmlSourceError struct{ err error }

func (e *xmlSourceError) Error() string { return e.err.Error() }

var xmlNewline = []byte("\n")

// need makes the window have n bytes at least.
func (x *xmlReader) need(n int) error {
	for x.w-x.r < n {
		if err := x.fill(); err != nil {
			return err
		}
	}
	return nil
}

// line is the one on which the markup begins that was read last, from 1.
func (x *xmlReader) line() int {
	if x.counted < x.at {
		x.lines += bytes.Count(x.buf[x.counted:x.at], xmlNewline)
		x.counted = x.at
	}
	return x.lines + 1
}

// next reads up to the start of a child of the innermost element, or to the end of that.
func (x *xmlReader) next() (start bool, err error) {
	if x.closed {
		x.closed = false
		x.pop()
		return false, nil
	}
	for {
		if err := x.chars(false); err != nil {
			return false, err
		}
		if err := x.need(2); err != nil {
			return false, err
		}
		switch x.buf[x.r+1] {
		case '/':
			return false, x.endTag()
		case '!':
			err = x.section()
		case '?':
			err = x.instruction()
		default:
			return true, x.startTag()
		}
		if err != nil {
			return false, err
		}
	}
}

// children calls do for each child of the innermost element, with its local name, and ends behind the element's end. What do
// does not read of a child is passed over.
func (x *xmlReader) children(do func(name []byte) error) error {
	for depth, keep := len(x.open), x.keep; ; x.keep = keep {
		start, err := x.next()
		if err != nil || !start {
			return err
		}
		x.keep = false
		if x.uri == x.space {
			if err := do(x.name()); err != nil {
				return err
			}
		}
		if err := x.leave(depth); err != nil {
			return err
		}
	}
}

// leave reads on until no more than depth elements are open.
func (x *xmlReader) leave(depth int) error {
	for len(x.open) > depth {
		if _, err := x.next(); err != nil {
			return err
		}
	}
	return nil
}

// text reads the innermost element to its end, and gives its text. It is valid until the next call.
func (x *xmlReader) text() ([]byte, error) {
	return x.textOr(func([]byte) error { return errXMLNodes })
}

// textOr reads the innermost element to its end: do is called for its children, and where it has none the text is its own.
func (x *xmlReader) textOr(do func(name []byte) error) ([]byte, error) {
	x.value, x.keep = x.value[:0], true
	err := x.children(do)
	x.keep = false
	from, to := 0, len(x.value)
	for from < to && isXMLSpace(x.value[from]) {
		from++
	}
	for from < to && isXMLSpace(x.value[to-1]) {
		to--
	}
	return x.value[from:to], err
}

// name is the local name of the innermost element.
func (x *xmlReader) name() []byte { return x.names[x.open[len(x.open)-1].local:] }

// path names the innermost element: "Stmt/Ntry/Amt". The root and the message are left out where there is more.
func (x *xmlReader) path() string {
	var path []byte
	from := min(2, max(len(x.open)-1, 0))
	for i := from; i < len(x.open); i++ {
		end := len(x.names)
		if i+1 < len(x.open) {
			end = x.open[i+1].name
		}
		if i > from {
			path = append(path, '/')
		}
		path = append(path, x.names[x.open[i].local:end]...)
	}
	return string(path)
}
