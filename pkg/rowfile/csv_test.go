package rowfile_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/rowfile"
)

const limit = 1 << 20

// rowsOf tells the rows of a CSV file, as "line: field|field", and the error that ended it.
func rowsOf(r io.Reader, limit int) (rows []string, failed error) {
	for row, err := range rowfile.CSV(r, limit) {
		if err != nil {
			return rows, err
		}
		text := fmt.Sprintf("%d: %s", row.Line, strings.Join(row.Fields, "|"))
		if row.Err != nil {
			text += " ! " + row.Err.Error()
		}
		rows = append(rows, text)
	}
	return rows, nil
}

func TestCSV_GivesRowsWithTheLineTheyBeginOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"plain":                     {"a,b\nc,d\n", []string{"1: a|b", "2: c|d"}},
		"no end of the last line":   {"a,b\nc,d", []string{"1: a|b", "2: c|d"}},
		"byte order mark":           {"\ufeffa,b\n\ufeffc,d", []string{"1: a|b", "2: \ufeffc|d"}},
		"Windows":                   {"a,b\r\n\"c\",d\r\n\"e\r\nf\",g\r", []string{"1: a|b", "2: c|d", "3: e\nf|g"}},
		"quoted":                    {`"a,""b""",c` + "\n", []string{`1: a,"b"|c`}},
		"quoted over lines":         {"a,\"b\n\nc\",d\ne,f\n", []string{"1: a|b\n\nc|d", "4: e|f"}},
		"blank lines":               {"\n\na,b\n\r\nc,d\n\n", []string{"3: a|b", "5: c|d"}},
		"a line of spaces":          {"a,b\n \n", []string{"1: a|b", "2:  "}},
		"any number of fields":      {"a,b\nc\nd,e,f\n,\n", []string{"1: a|b", "2: c", "3: d|e|f", "4: |"}},
		"not UTF-8":                 {"a\xff,b\n", []string{"1: a\xff|b"}},
		"a quote within":            {"a,b\"c,d\ne,f\n", []string{`1: a ! bare " in non-quoted-field`, "2: e|f"}},
		"text behind a quote":       {"a,\"b\"c,d\ne,f\n", []string{`1: a ! extraneous or missing " in quoted-field`, "2: e|f"}},
		"no closing quote at last":  {"a,b\nc,\"d\n", []string{"1: a|b", `2: c ! extraneous or missing " in quoted-field`}},
		"nothing":                   {"", nil},
		"nothing but a mark":        {"\ufeff", nil},
		"a field as long as allows": {strings.Repeat("x", limit-1) + "\ny\n", []string{"1: " + strings.Repeat("x", limit-1), "2: y"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range []io.Reader{strings.NewReader(test.file), iotest.HalfReader(strings.NewReader(test.file))} {
				rows, err := rowsOf(file, limit)
				if diff := cmp.Diff(test.want, rows); diff != "" || err != nil {
					t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

func TestRows_OfADialectHaveItsSeparatorAndBeginBehindItsPreamble(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dialect rowfile.Dialect
		file    string
		want    []string
	}{
		"semicolons":           {rowfile.Dialect{Separator: ';'}, "a,b;\"c;\nd\";e\n;\n", []string{"1: a,b|c;\nd|e", "3: |"}},
		"tabs":                 {rowfile.Dialect{Separator: '\t'}, "a\tb c\t\n", []string{"1: a|b c|"}},
		"a preamble":           {rowfile.Dialect{Skip: 3}, "\ufeff\"My bank\n\n1,2\n\na,b\n", []string{"5: a|b"}},
		"nothing but preamble": {rowfile.Dialect{Skip: 3}, "a\nb\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rows []string
			for row, err := range test.dialect.Rows(strings.NewReader(test.file), limit) {
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, fmt.Sprintf("%d: %s", row.Line, strings.Join(row.Fields, "|")))
			}
			if diff := cmp.Diff(test.want, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
	for _, err := range (rowfile.Dialect{Skip: 2}).Rows(iotest.ErrReader(errors.New("connection lost")), limit) {
		if err == nil || err.Error() != "reading the file: connection lost" {
			t.Errorf("got %v, want the stream's error", err)
		}
	}
}

func TestCSV_GivesARowAsItStandsInTheFile(t *testing.T) {
	t.Parallel()
	var raw []string
	for row, err := range rowfile.CSV(strings.NewReader("a,\"b\nc\"\n\"d\"x,e\r\n\nf"), limit) {
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, string(row.Raw))
	}
	if diff := cmp.Diff([]string{"a,\"b\nc\"", `"d"x,e`, "f"}, raw); diff != "" {
		t.Errorf("raw rows (-want +got):\n%s", diff)
	}
}

func TestCSV_EndsWhereItCannotBeToldWhereRowsBegin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, want string
		line       int
	}{
		"quoting broken over lines": {"a\nb,\"c\nd\"e\nf\n", "record on line 2; parse error on line 3, column 2", 2},
		"never closed":              {"a\nb,\"c\nd\ne\n", "record on line 2; parse error on line 4", 2},
		"never closed, and long":    {"a\nb,\"c\n" + strings.Repeat("d,e\n", 1000), "the row that begins on line 2 is longer than 1000 bytes", 2},
		"a line too long":           {"a\nb\n" + strings.Repeat("c", 1000) + "\nd\n", "the row that begins on line 3 is longer than 1000 bytes", 3},
		"a quoted line too long":    {"a\n\"b\n" + strings.Repeat("c", 100_000) + "\"\nd\n", "the row that begins on line 2 is longer than 1000 bytes", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, err := rowsOf(strings.NewReader(test.file), 1000)
			broken, ok := errors.AsType[*rowfile.FileError](err)
			if !ok || broken.Line != test.line || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want a FileError on line %d with %q", err, test.line, test.want)
			}
			if len(rows) != test.line-1 {
				t.Errorf("got %q, want the %d rows before it", rows, test.line-1)
			}
		})
	}
}

func TestCSV_TellsAnErrorOfTheStreamFromOneOfTheFile(t *testing.T) {
	t.Parallel()
	cut := fmt.Errorf("connection lost: %w", io.EOF)
	for _, begin := range []string{"a,b\nc", "a,b\nc,\"d\ne", "a,b\n"} {
		rows, err := rowsOf(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(cut)), limit)
		if _, ofFile := errors.AsType[*rowfile.FileError](err); ofFile || !errors.Is(err, cut) || len(rows) != 1 {
			t.Errorf("%q: got rows %q, error %v; want one row and the stream's error", begin, rows, err)
		}
	}
}

func TestCSV_StopsWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	for range rowfile.CSV(io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(errors.New("read too far"))), limit) {
		break
	}
}

// endless is a stream of one text again and again. It fails far behind any limit.
type endless struct {
	text  string
	given int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.given > 16*limit {
		return 0, errors.New("read too far")
	}
	n := copy(p, e.text[e.given%len(e.text):])
	e.given += n
	return n, nil
}

func TestCSV_ReadsNoMoreThanTheLimitOfARowThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\"" + strings.Repeat("0123,\n", 8*limit), "0123456789", "0123,", "\"\""} {
		stream := &endless{text: text}
		if _, err := rowsOf(stream, limit); err == nil || !strings.Contains(err.Error(), "begins on line 1 is longer") {
			t.Errorf("%.10q: error %v, want one that names line 1", text, err)
		}
		if stream.given > 2*limit {
			t.Errorf("%.10q: %d bytes were read for a limit of %d", text, stream.given, limit)
		}
	}
}

// FuzzCSV holds the parser to encoding/csv.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\nc,d\n", "\"a\"\"b\",c\r\n\n\"d\ne\",\"\"\n", "a\"b\n\"c\"d\ne", "\"a\n\"b\n", "\"a\n\r", "\"\r\n\",\r\n\r", "\"a\r\nb\"\r",
	} {
		f.Add(seed, byte(','))
		f.Add(strings.ReplaceAll(seed, ",", ";"), byte(';'))
	}
	f.Fuzz(func(t *testing.T, file string, separator byte) {
		if strings.IndexByte(",;|\t ", separator) < 0 {
			separator = ','
		}
		theirs := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\ufeff")))
		theirs.FieldsPerRecord, theirs.Comma = -1, rune(separator)
		for row, err := range (rowfile.Dialect{Separator: separator}).Rows(strings.NewReader(file), limit) {
			fields, theirErr := theirs.Read()
			broken, _ := errors.AsType[*csv.ParseError](theirErr)
			switch {
			case err != nil:
				if theirErr == nil || err.Error() != "reading the file: "+theirErr.Error() {
					t.Fatalf("got error %v, encoding/csv has %v", err, theirErr)
				}
				return
			case row.Err != nil:
				if broken == nil || broken.Line != row.Line || !errors.Is(broken.Err, row.Err) || !slices.Equal(fields, row.Fields) {
					t.Fatalf("line %d: got %q and %v, encoding/csv has %q and %v", row.Line, row.Fields, row.Err, fields, theirErr)
				}
			default:
				if theirErr != nil || !slices.Equal(fields, row.Fields) {
					t.Fatalf("line %d: got %q, encoding/csv has %q and %v", row.Line, row.Fields, fields, theirErr)
				}
				if line, _ := theirs.FieldPos(0); line != row.Line {
					t.Fatalf("got line %d, encoding/csv has %d", row.Line, line)
				}
			}
		}
		if fields, err := theirs.Read(); !errors.Is(err, io.EOF) {
			t.Fatalf("the file ended, encoding/csv goes on with %q and %v", fields, err)
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	file := strings.Repeat("inv-2026-000001,cus_4711,pm_card_visa,12.50,EUR,Monthly fee\n", 10_000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if rows := countRows(b, file); rows != 10_000 {
			b.Fatalf("read %d rows", rows)
		}
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}

func countRows(b *testing.B, file string) (rows int) {
	b.Helper()
	for _, err := range rowfile.CSV(strings.NewReader(file), limit) {
		if err != nil {
			b.Fatal(err)
		}
		rows++
	}
	return rows
}
