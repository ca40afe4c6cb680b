package formats

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// xmlEvents is what the reader finds in a document.
func xmlEvents(r io.Reader) ([]string, error) {
	x := newXMLReader(r)
	if err := x.root(); err != nil {
		return nil, err
	}
	events := []string{xmlStart(x)}
	for len(x.open) > 0 {
		x.value, x.keep = x.value[:0], true
		start, err := x.next()
		if err != nil {
			return nil, err
		}
		if text := xmlFields(string(x.value)); text != "" {
			events = append(events, "text "+text)
		}
		if start {
			events = append(events, xmlStart(x))
		} else {
			events = append(events, "end")
		}
	}
	return events, x.end()
}

func xmlStart(x *xmlReader) string {
	event := []string{"start", x.uri, string(x.name())}
	for _, a := range x.attrs {
		name := string(x.attrText[a.name:a.value])
		event = append(event, name[strings.IndexByte(name, ':')+1:]+"="+xmlFields(string(x.attrText[a.value:a.end])))
	}
	return strings.Join(event, " ")
}

// xmlTwinEvents is what encoding/xml finds in it.
func xmlTwinEvents(r io.Reader) (events []string, err error) {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "ISO-8859-1") || strings.EqualFold(charset, "LATIN1") {
			b, err := io.ReadAll(in)
			var s strings.Builder
			for _, c := range b {
				s.WriteRune(rune(c))
			}
			return strings.NewReader(s.String()), err
		}
		return in, nil
	}
	var text strings.Builder
	depth := 0
	flush := func() {
		if s := xmlFields(text.String()); s != "" && depth > 0 {
			events = append(events, "text "+s)
		}
		text.Reset()
	}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			flush()
			depth++
			event := []string{"start", strings.TrimPrefix(token.Name.Space, "http://www.w3.org/XML/1998/namespace"), token.Name.Local}
			for _, a := range token.Attr {
				event = append(event, a.Name.Local+"="+xmlFields(a.Value))
			}
			events = append(events, strings.Join(event, " "))
		case xml.EndElement:
			flush()
			depth--
			events = append(events, "end")
		case xml.CharData:
			text.Write(token)
		case xml.Directive:
			return nil, fmt.Errorf("directive %q", token)
		}
	}
}

// xmlFields is s with one space between words.
func xmlFields(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && isXMLSpace(byte(r)) }), " ")
}

// xmlDocuments are well-formed, with all that a document may have.
var xmlDocuments = []string{
	`<a/>`,
	"\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes' ?>\r\n<a>\r\n <b>x</b>\r\n</a>\r\n<!-- end --><?pi ?>\n",
	`<a b="1" c='2 "&lt;&#65;&#x42;"' ><b c = "&amp;"/> t &gt; &apos;&quot; <![CDATA[<&]] ]]]]><!-- - --> u<?pi a="?"?>v</a >`,
	`<p:a xmlns:p="urn:p" xmlns="urn:d" p:q="1"><b><p:c xmlns:p="urn:r"/><p:d/></b><b xmlns=""><c xml:lang="de"/></b></p:a>`,
	"<a>\u00e4\u20ac\U0001F600 ] ]] ></a>",
	"<?xml version='1.0' encoding='iso-8859-1'?><a b=\"\xe4\">\xfcber</a>",
	`<Document xmlns="urn:x"><A.b-c_d1>1</A.b-c_d1></Document>`,
}

// xmlNot are not well-formed, or are what the reader does not take.
var xmlNot = map[string]string{
	"nothing":                     ``,
	"no element":                  `text`,
	"white space":                 `    `,
	"two roots":                   `<a/><b/>`,
	"text behind the root":        `<a/>x`,
	"an element that is not open": `<a></b>`,
	"elements that overlap":       `<a><b></a></b>`,
	"an end that is missing":      `<a><b></b>`,
	"a tag that ends in a tag":    `<a <b>`,
	"a name that begins with 1":   `<1/>`,
	"a name without a local part": `<a:/>`,
	"a name of three parts":       `<a:b:c xmlns:a="urn:a"/>`,
	"a prefix that is nothing":    `<a:b/>`,
	"a prefix of an attribute":    `<a b:c="1"/>`,
	"a prefix for nothing":        `<a xmlns:b=""/>`,
	"a prefix out of its scope":   `<a><b xmlns:c="urn:c"/><c:d/></a>`,
	"an attribute twice":          `<a b="1" b="1"/>`,
	"an attribute without quotes": `<a b=1/>`,
	"an attribute without value":  `<a b/>`,
	"attributes side by side":     `<a b="1"c="2"/>`,
	"a tag in an attribute":       `<a b="<"/>`,
	"too many attributes":         `<a` + xmlAttributes(xmlMaxAttrs+1) + `/>`,
	"elements that are too deep":  strings.Repeat(`<a>`, xmlMaxDepth+1) + strings.Repeat(`</a>`, xmlMaxDepth+1),
	"a name that is too long":     `<` + strings.Repeat(`a`, xmlMaxName+1) + `/>`,
	"a tag that is too long":      `<a b="` + strings.Repeat(`a`, xmlWindow) + `"/>`,
	"a text that is too long":     `<a>` + strings.Repeat(`a`, xmlMaxText+1) + `</a>`,
	"an unknown entity":           `<a>&b;</a>`,
	"an entity without end":       `<a>&amp</a>`,
	"a number that is none":       `<a>&#;</a>`,
	"a number of no character":    `<a>&#0;</a>`,
	"a surrogate":                 `<a>&#xD800;</a>`,
	"a number that is too large":  `<a>&#x110000;</a>`,
	"a control character":         "<a>\x01</a>",
	"one in an attribute":         "<a b=\"\x01\"/>",
	"bytes that are not UTF-8":    "<a>\xff</a>",
	"half a character":            "<a>\xe2\x82</a>",
	"the end of a section":        `<a>]]></a>`,
	"a section that does not end": `<a><![CDATA[</a>`,
	"a section before the root":   `<![CDATA[]]><a/>`,
	"a comment with a dash":       `<a><!-- -- --></a>`,
	"a comment that has no end":   `<a><!-- </a>`,
	"a document type":             `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`,
	"another document type":       `<a><!DOCTYPE a></a>`,
	"a late declaration":          `<a/><?xml version="1.0"?>`,
	"an instruction without name": `<a><? b?></a>`,
	"XML 1.1":                     `<?xml version="1.1"?><a/>`,
	"another encoding":            `<?xml version="1.0" encoding="windows-1252"?><a/>`,
	"UTF-16":                      "\xff\xfe<\x00a\x00/\x00>\x00",
	"a declaration without end":   `<?xml version="1.0"`,
}

// xmlAttributes are n attributes.
func xmlAttributes(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, ` a%d="1"`, i)
	}
	return s.String()
}

func TestXML_FindsWhatEncodingXMLFinds(t *testing.T) {
	t.Parallel()
	for _, document := range xmlDocuments {
		got, err := xmlEvents(strings.NewReader(document))
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		want, err := xmlTwinEvents(strings.NewReader(document))
		if err != nil {
			t.Errorf("%s: %v", document, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", document, diff)
		}
	}
}

func TestXML_RefusesWhatIsNotWellFormed(t *testing.T) {
	t.Parallel()
	for name, document := range xmlNot {
		if events, err := xmlEvents(strings.NewReader(document)); err == nil {
			t.Errorf("%s: %.60q is taken: %.200q", name, document, events)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

// A window ends anywhere.
func TestXML_FindsTheSameWhereverAWindowEnds(t *testing.T) {
	t.Parallel()
	for _, document := range xmlDocuments[2:5] {
		want, err := xmlEvents(strings.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(document) + 1 {
			padding := "<!--" + strings.Repeat("x", xmlWindow-i-7) + "-->"
			got, err := xmlEvents(io.MultiReader(strings.NewReader(padding), iotest.OneByteReader(strings.NewReader(document))))
			if err != nil {
				t.Fatalf("%s, a window that ends after %d bytes: %v", document, i, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s, a window that ends after %d bytes (-want +got):\n%s", document, i, diff)
			}
		}
	}
}

func TestXML_CountsLinesOverWindows(t *testing.T) {
	t.Parallel()
	document := strings.Repeat("\n", xmlWindow) + "<a>\r\n" + strings.Repeat("\n", 3*xmlWindow) + "<b\n\n c=\"\n\"/>\n</a>"
	x := newXMLReader(strings.NewReader(document))
	if err := x.root(); err != nil {
		t.Fatal(err)
	}
	if got, want := x.line(), xmlWindow+1; got != want {
		t.Errorf("the root begins on line %d, want %d", got, want)
	}
	if _, err := x.next(); err != nil {
		t.Fatal(err)
	}
	if got, want := x.line(), 4*xmlWindow+2; got != want {
		t.Errorf("its child begins on line %d, want %d", got, want)
	}
}

func TestXML_PassesOverWhatNobodyWantsHoweverLongItIs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x y\n", xmlWindow)
	document := "<a>" + long + "<!--" + long + "--><b>" + long + "<![CDATA[" + long + "]]></b><?pi " + long + "?><c>here</c></a>"
	x := newXMLReader(strings.NewReader(document))
	if err := x.root(); err != nil {
		t.Fatal(err)
	}
	var text string
	err := x.children(func(name []byte) error {
		if string(name) != "c" {
			return nil
		}
		b, err := x.text()
		text = string(b)
		return err
	})
	if err != nil || text != "here" {
		t.Errorf("got %q, %v", text, err)
	}
}

func FuzzXML(f *testing.F) {
	for _, document := range xmlDocuments {
		f.Add([]byte(document))
	}
	for _, document := range xmlNot {
		if len(document) < 1000 {
			f.Add([]byte(document))
		}
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := xmlEvents(bytes.NewReader(document))
		if err != nil {
			return
		}
		want, err := xmlTwinEvents(bytes.NewReader(document))
		if err != nil {
			t.Fatalf("encoding/xml does not take what is taken: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not what encoding/xml finds (-want +got):\n%s", diff)
		}
	})
}
