package rowfile_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/rowfile"
)

// linesOf tells the lines of a file, as "number: text".
func linesOf(r io.Reader, limit int) (lines []string, failed error) {
	for line, err := range rowfile.Lines(r, limit) {
		if err != nil {
			return lines, err
		}
		text := fmt.Sprintf("%d: %s", line.Number, line.Text)
		if line.TooLong {
			text += "too long"
		}
		lines = append(lines, text)
	}
	return lines, nil
}

func TestLines_GivesThoseThatAreNotBlank(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for name, test := range map[string]struct {
		file  string
		limit int
		want  []string
	}{
		"plain":              {"a\nb\n", 10, []string{"1: a", "2: b"}},
		"mark, CRLF, blanks": {"\ufeffa\r\n\r\n  \n b \nc", 10, []string{"1: a", "4: b", "5: c"}},
		"nothing":            {"", 10, nil},
		"as long as allowed": {"123456789\na\n", 10, []string{"1: 123456789", "2: a"}},
		"too long":           {"a\n1234567890\nb\n", 10, []string{"1: a", "2: too long", "3: b"}},
		"too long at last":   {"a\n12345678901", 10, []string{"1: a", "2: too long"}},
		"larger than a read": {long + "\nb\n", 1 << 20, []string{"1: " + long, "2: b"}},
		"too long for reads": {long + long + "\n" + long + "\nb", 70_000, []string{"1: too long", "2: too long", "3: b"}},
		"endless at last":    {"a\n" + long + long, 70_000, []string{"1: a", "2: too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := linesOf(strings.NewReader(test.file), test.limit)
			if diff := cmp.Diff(test.want, lines); diff != "" || err != nil {
				t.Errorf("error %v, lines (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestLines_TellTheLineThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	cut := fmt.Errorf("connection lost: %w", io.EOF)
	for _, begin := range []string{"a\nb", "a\n", "a\n" + strings.Repeat("x", 200_000)} {
		lines, err := linesOf(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(cut)), 1<<20)
		if !errors.Is(err, cut) || !strings.HasPrefix(err.Error(), "reading line 2: ") || len(lines) != 1 {
			t.Errorf("%.10q: lines %q, error %v", begin, lines, err)
		}
	}
}

func TestLines_StopsWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	for range rowfile.Lines(io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(errors.New("read too far"))), limit) {
		break
	}
}

func TestIsJSONLines_LooksAtTheFirstByteThatIsNotSpace(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]bool{
		`{"a":1}`: true, "\ufeff{": true, "\ufeff\r\n {": true, "\n\t{": true,
		"": false, "a,b": false, "\ufeff": false, "\ufeffa": false, "\xef": false, "\"{": false, " \n ": false,
		strings.Repeat(" ", 100_000) + "{": false,
	} {
		in := bufio.NewReader(iotest.OneByteReader(strings.NewReader(file)))
		got, err := rowfile.IsJSONLines(in)
		if err != nil || got != want {
			t.Errorf("%.20q: got %t, error %v, want %t", file, got, err, want)
		}
		if rest, err := io.ReadAll(in); err != nil || string(rest) != file {
			t.Errorf("%.20q: %d bytes of %d are left, error %v", file, len(rest), len(file), err)
		}
	}
	cut := fmt.Errorf("connection lost: %w", io.EOF)
	if _, err := rowfile.IsJSONLines(bufio.NewReader(iotest.ErrReader(cut))); !errors.Is(err, cut) {
		t.Errorf("got error %v, want the stream's", err)
	}
}

func TestExcerpt_IsShortAndCanBeShownAndStored(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                 "",
		"1234567890":       "1234567890",
		"12345678901":      "1234567890",
		"123456789é":       "123456789",
		"12345678é":        "12345678é",
		"1234567😀":         "1234567",
		"a\xff\xfeb":       "a\ufffdb",
		"a\x00b":           "a\ufffdb",
		"\x00\x00\x00\x00": "\ufffd\ufffd\ufffd",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80": "\ufffd",
	} {
		if got := rowfile.Excerpt([]byte(text), 10); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("a\xffé\x00😀"), 4)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size = min(max(size, 0), 1000)
		if got := rowfile.Excerpt(text, size); len(got) > size || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Fatalf("excerpt %q of %d bytes", got, size)
		}
	})
}
