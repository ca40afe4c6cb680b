package rowfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// bufferSize is how much of a stream is read at once, in bytes. Only lines that are longer are copied together.
const bufferSize = 64 << 10

// bom begins files that Windows programs wrote.
const bom = "\ufeff"

var errTooLong = errors.New("the line is too long")

// lineReader gives the lines of a stream, without a byte order mark.
type lineReader struct {
	in     *bufio.Reader
	limit  int    // of a line, in bytes
	number int    // of the line that was given last, from 1
	long   []byte // a line that outgrew the buffer of in
	cut    bool   // the end of the last line was not read, for it was too long
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, bufferSize), limit: limit}
}

// next gives the next line with its end, valid until the next call. It is io.EOF behind the last one, and errTooLong
// for a line over the limit; the call after that goes on with the line behind it. Only io.EOF itself is the end, here as
// in all of the package: an error that wraps it is a stream that was cut off, and its file is not to pass for a whole one.
func (l *lineReader) next() ([]byte, error) {
	for l.cut {
		_, err := l.in.ReadSlice('\n')
		if l.cut = errors.Is(err, bufio.ErrBufferFull); !l.cut && err != nil {
			return nil, err
		}
	}
	l.number++
	text, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = l.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) && len(l.long)+len(text) <= l.limit {
			l.long = append(l.long, text...)
			text, err = l.in.ReadSlice('\n')
		}
		l.long = append(l.long, text...)
		text, l.cut = l.long, errors.Is(err, bufio.ErrBufferFull)
	}
	switch {
	case err != nil && !l.cut && (err != io.EOF || len(text) == 0):
		return nil, err
	case l.cut || len(text) > l.limit:
		return nil, errTooLong
	case l.number == 1:
		text = bytes.TrimPrefix(text, []byte(bom))
	}
	return text, nil
}

// Line is one line of a JSON Lines file.
type Line struct {
	// Number is the line's, from 1.
	Number int
	// Text is the line without its end and the space around it. It is valid until the next line.
	Text []byte
	// TooLong tells that the line was longer than the limit, and Text is empty.
	TooLong bool
}

// Lines gives the lines of a stream that are not blank, up to limit bytes each. It ends behind an error, which is the
// stream's.
func Lines(r io.Reader, limit int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		lines := newLineReader(r, limit)
		for {
			text, err := lines.next()
			tooLong := errors.Is(err, errTooLong)
			if err == io.EOF {
				return
			}
			if err != nil && !tooLong {
				yield(Line{}, fmt.Errorf("reading line %d: %w", lines.number, err))
				return
			}
			line := Line{Number: lines.number, Text: bytes.TrimSpace(text), TooLong: tooLong}
			if (tooLong || len(line.Text) > 0) && !yield(line, nil) {
				return
			}
		}
	}
}

// maxBlank is how many bytes may be before the first one that shows what a file is.
const maxBlank = 1 << 10

// IsJSONLines tells, without taking anything from in, whether the stream begins with a JSON object, perhaps behind a
// byte order mark and up to 1 KiB of space. The error is the stream's.
func IsJSONLines(in *bufio.Reader) (bool, error) {
	for n := 1; n <= maxBlank; n++ {
		head, err := in.Peek(n)
		if len(head) < n {
			if err == io.EOF {
				return false, nil
			}
			return false, fmt.Errorf("reading the file: %w", err)
		}
		text := bytes.TrimPrefix(head, []byte(bom))
		if strings.HasPrefix(bom, string(head)) || len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		return text[len(text)-1] == '{', nil
	}
	return false, nil
}

// Excerpt is the beginning of a text, of at most size bytes, as it can be shown and stored: what is not UTF-8, and
// NUL, which Postgres does not take, is replaced by U+FFFD.
func Excerpt(text []byte, size int) string {
	const mark = string(utf8.RuneError)
	shown := string(text[:boundary(text, size)])
	shown = strings.ReplaceAll(strings.ToValidUTF8(shown, mark), "\x00", mark)
	return shown[:boundary([]byte(shown), size)]
}

// boundary is where a text can be cut so that at most size bytes are left, and no character is cut in two.
func boundary(text []byte, size int) int {
	if len(text) <= size {
		return len(text)
	}
	for back := range min(utf8.UTFMax, size+1) {
		if utf8.RuneStart(text[size-back]) {
			return size - back
		}
	}
	return size
}
