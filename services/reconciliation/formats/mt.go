package formats

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// mtLimit is how long a field may be, in bytes; a physical line may be as long as the reader's buffer ([Read]: the same).
// SWIFT allows 6 lines of 65 characters; banks send a few thousand.
const mtLimit = 64 << 10

// readMT reads MT940 and MT942: fields ":61:…" that go on over lines without a tag. What it decides where banks differ:
//
//   - Messages are in blocks ({1:…}{2:…}{4:…-}) or bare, and end with "-", "-XXX", the next :20:, the next :60F: or the file.
//     What stands before :20: is a header and is left alone, as are fields that are no part of the format (:NS:, :85:).
//   - An MT940 statement begins with :60F: or :60M: and must close with :62F: or :62M:; else the file was cut off, and that
//     is an error. Without an opening balance it is an interim report (MT942): it proves the numbers and sums of :90D: and
//     :90C:, and its lines are pending, for the statement of the day books them.
//   - In the text of an open statement, a line such as "-" or ":20:37 Uhr" is text: it cannot end or begin anything there.
//   - :86: belongs to the :61: before it; behind the closing or opening balance it is the statement's, where only the sums
//     that Dutch banks put there are read.
//   - The booking date is the entry date, or else the value date.
//   - The ID of a line is the bank's reference behind "//". Banks do not promise that it is unique.
//
// How values are read stands with mtDate, mtAmount and mtLine, what becomes of the text with mtInformation.
func readMT(in *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		r := mtReader{in: in, options: o, yield: yield, closed: map[mtAccount]mtClosed{}}
		if err := r.read(); err != nil && !errors.Is(err, errMTStopped) {
			yield(Part{}, err)
		}
	}
}

// errMTStopped says that nobody wants to know more.
var errMTStopped = errors.New("stopped")

// mtReader takes lines together to fields, and fields to statements.
type mtReader struct {
	in      *bufio.Reader
	options Options
	yield   func(Part, error) bool

	number int    // of the physical line that was read last
	tag    mtTag  // of the field that is being taken together; empty outside of fields that count
	at     int    // where it begins
	text   []byte // its lines, with \n between them

	head   mtHead
	state  mtStatement
	found  bool // a statement was there
	closed map[mtAccount]mtClosed
	pieces mtPieces
}

// emit gives a part to the reader of the file.
func (r *mtReader) emit(p Part) error {
	if !r.yield(p, nil) {
		return errMTStopped
	}
	return nil
}

// wrong is an error about a field.
func (r *mtReader) wrong(at int, tag mtTag, err error) error {
	return &Error{File: r.options.Name, Line: at, Field: tag.String(), Err: err}
}

func (r *mtReader) read() error {
	for {
		line, err := r.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := r.take(line); err != nil {
			return err
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if !r.found {
		return &Error{File: r.options.Name, Err: errors.New("there is no statement in it")}
	}
	return nil
}

// line is the next physical line, without its end, valid until the one behind it is read.
func (r *mtReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	r.number++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, r.wrong(r.number, r.tag, errors.New("the line is too long"))
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("reading the file: %w", err)
	case r.number == 1:
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// take says what a physical line is: the beginning of a field or of a message, the end of one, or more text of a field.
func (r *mtReader) take(line []byte) error {
	if len(line) == 0 {
		return r.more(line)
	}
	switch line[0] {
	case ':':
		if tag, content, is := mtSplitTag(line); is && !r.isText(tag, line) {
			return r.begin(tag, content)
		}
	case '-':
		if bytes.HasPrefix(line, []byte("-}")) {
			return r.block(line)
		}
		if ends := bytes.TrimRight(line, " "); !r.inOpenText() && (string(ends) == "-" || string(ends) == "-XXX") {
			return r.end()
		}
	case '{', '$', 0x01, 0x03:
		if block := bytes.TrimLeft(line, "$\x01\x03"); len(block) > 2 && block[0] == '{' && block[2] == ':' {
			return r.block(block)
		}
	}
	return r.more(line)
}

// block ends a message where its blocks end or others begin, and goes on behind the beginning of the text block.
func (r *mtReader) block(line []byte) error {
	if err := r.end(); err != nil {
		return err
	}
	if _, content, begins := bytes.Cut(line, []byte("{4:")); begins && len(content) > 0 {
		return r.take(content)
	}
	return nil
}

// inOpenText says that the field is text, in an MT940 statement that has not closed.
func (r *mtReader) inOpenText() bool {
	return (r.tag == mt86 || r.tag == mt61) && r.state.begun && r.state.opening != nil && r.state.closing == nil
}

// isText says that what looks like a tag is text that the bank wrapped there: a tag that has no place in a statement that
// has not closed, or the minutes and seconds of a time.
func (r *mtReader) isText(tag mtTag, line []byte) bool {
	switch {
	case r.tag != mt86 && r.tag != mt61:
		return false
	case tag.inHead():
		return r.inOpenText()
	}
	return tag == mtForeign && mtClock(line)
}

// mtClock says that a line begins like the rest of a time: ":26:37".
func mtClock(line []byte) bool {
	return len(line) > 5 && line[1] < '6' && line[3] == ':' && line[4] >= '0' && line[4] < '6' && mtDigit(line[5]) &&
		(len(line) == 6 || !mtDigit(line[6]) && line[6] != ',')
}

// begin finishes the field before and begins one.
func (r *mtReader) begin(tag mtTag, content []byte) error {
	if err := r.finish(); err != nil {
		return err
	}
	r.tag, r.at, r.text = tag, r.number, append(r.text[:0], content...)
	return nil
}

// more adds a line to the field.
func (r *mtReader) more(line []byte) error {
	if r.tag == mtNone || r.tag == mtForeign {
		return nil
	}
	if len(r.text)+len(line) >= mtLimit {
		return r.wrong(r.at, r.tag, fmt.Errorf("is longer than %d bytes", mtLimit))
	}
	r.text = append(append(r.text, '\n'), line...)
	return nil
}

// end finishes the field and the message.
func (r *mtReader) end() error {
	if err := r.finish(); err != nil {
		return err
	}
	if err := r.endStatement(); err != nil {
		return err
	}
	r.head = mtHead{}
	return nil
}

// finish does what the field says.
func (r *mtReader) finish() error {
	tag := r.tag
	r.tag = mtNone
	var err error
	switch {
	case tag.inHead():
		err = r.takeHead(tag)
	case tag == mt60F || tag == mt60M:
		err = r.open(tag)
	case tag == mt61:
		err = r.takeLine()
	case tag == mt86:
		err = r.takeText()
	case tag == mt62F || tag == mt62M:
		err = r.close(tag)
	case tag == mt90D || tag == mt90C:
		err = r.takeTotal(tag)
	}
	return err
}

// firstLine is the first line of the field, for those that have one.
func (r *mtReader) firstLine() []byte {
	line, _, _ := bytes.Cut(r.text, []byte("\n"))
	return line
}

// mtHead is what a message says before its statement begins.
type mtHead struct {
	at       int // 0 when there is nothing
	id       string
	account  string
	german   bool // the account is: then the business codes in :86: are those of German banks
	sequence int64
	page     int
	currency money.Currency // of :34F:, which only interim reports have
}

func (r *mtReader) takeHead(tag mtTag) error {
	if r.state.begun || tag == mt20 && r.head.at != 0 {
		if err := r.endStatement(); err != nil {
			return err
		}
		r.head = mtHead{}
	}
	r.head.at = cmp.Or(r.head.at, r.at)
	var err error
	line := r.firstLine()
	switch tag {
	case mt20:
		r.head.id = mtClean(mtDecode(line))
	case mt25:
		r.head.account = mtWithoutBlanks(mtDecode(line))
		r.head.german = mtGerman(r.head.account)
	case mt28:
		r.head.sequence, r.head.page, err = mtSequence(string(line))
	case mt34F:
		if len(line) < 3 {
			err = errMTNoCurrency
		} else {
			r.head.currency, err = money.ParsePastCurrency(string(line[:3]))
		}
	}
	if err != nil {
		return r.wrong(r.at, tag, err)
	}
	return nil
}

// mtSequence reads "00115/001": the statement's number and page. Either may be missing.
func mtSequence(text string) (sequence int64, page int, err error) {
	text = strings.TrimSpace(text)
	number, part, _ := strings.Cut(text, "/")
	first, ok1 := mtDigits(cmp.Or(number, "0"), math.MaxInt64)
	second, ok2 := mtDigits(cmp.Or(part, "0"), math.MaxInt32)
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("%.40q is no statement number like 115/1", text)
	}
	return first, int(second), nil
}
