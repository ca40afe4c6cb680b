package formats_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tieout/tieout/services/reconciliation/formats"
)

// transcript tells what a file says, a part a line.
func transcript(r io.Reader, o formats.Options) (said []string, failed error) {
	for part, err := range formats.Read(r, o) {
		if err != nil {
			return said, err
		}
		said = append(said, tell(part))
	}
	return said, nil
}

// tell tells a part, without what is empty.
func tell(p formats.Part) string {
	switch {
	case p.Statement != nil:
		s := p.Statement
		return strings.TrimSpace(fmt.Sprintf("%d: statement %s %s %s", s.At, s.ID, s.Account, s.Currency)) + tellBalance(" opens with", s.Opening)
	case p.Closing != nil:
		return fmt.Sprintf("closed with %d lines, last %t", p.Closing.Lines, p.Closing.Last) + tellBalance(",", p.Closing.Balance)
	case p.Proof != nil:
		return p.Proof.String()
	}
	l := p.Line
	words := []string{fmt.Sprintf("%d: line %d %s(%s) %s", l.At, l.Number, l.Kind, l.Code, l.Amount)}
	if l.Fee != 0 {
		words = append(words, fmt.Sprint("fee ", l.Fee))
	}
	if l.Original.Currency != "" {
		words = append(words, "was "+l.Original.String())
	}
	words = append(words, tellTime(l.Booked))
	if !l.Value.Equal(l.Booked) {
		words = append(words, "value "+tellTime(l.Value))
	}
	if l.Pending {
		words = append(words, "pending")
	}
	if l.Reversal {
		words = append(words, "reversal")
	}
	for _, field := range [][2]string{
		{"id", l.ID}, {"provider", l.ProviderID}, {"parent", l.ParentID}, {"key", l.Key}, {"reference", l.Reference},
		{"payout", l.PayoutID}, {"text", l.Text}, {"party", l.Party}, {"of", l.PartyAccount},
	} {
		if field[1] != "" {
			words = append(words, field[0]+"="+field[1])
		}
	}
	return strings.Join(words, " ")
}

func tellBalance(before string, b *formats.Balance) string {
	if b == nil {
		return ""
	}
	return fmt.Sprintf("%s %s on %s", before, b.Amount, tellTime(b.Date))
}

func tellTime(t time.Time) string { return strings.TrimSuffix(t.Format(time.DateTime), " 00:00:00") }

// sample is a real file.
func sample(t testing.TB, path ...string) []byte {
	t.Helper()
	path = append([]string{"..", "..", "..", "..", "shared", "data", "statements"}, path...)
	content, err := os.ReadFile(filepath.Join(path...))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the real files are not beside the checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// checkRead has a parser read what a fuzzer made, and holds it to what every parser promises.
func checkRead(t *testing.T, file []byte, o formats.Options) {
	t.Helper()
	open, lines, ended := false, 0, false
	for part, err := range formats.Read(bytes.NewReader(file), o) {
		if ended {
			t.Fatal("it goes on behind an error")
		}
		if err != nil {
			if _, named := errors.AsType[*formats.Error](err); !named {
				t.Fatalf("the error %v is none about the file", err)
			}
			ended = true
			continue
		}
		tell(part)
		switch {
		case part.Statement != nil:
			if open {
				t.Fatal("a statement begins within another")
			}
			open, lines = true, 0
		case part.Line != nil:
			lines++
			l := part.Line
			if !open || l.Number != lines || l.At < 1 || l.Kind == "" || l.Amount.Currency == "" || l.Booked.IsZero() || l.Value.IsZero() {
				t.Fatalf("line %+v of an open statement (%t) with %d lines", l, open, lines)
			}
			for _, text := range []string{l.Code, l.ID, l.ProviderID, l.ParentID, l.Key, l.Reference, l.PayoutID, l.Text, l.Party, l.PartyAccount} {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
					t.Fatalf("the line has %q, which cannot be stored", text)
				}
			}
		case part.Closing != nil:
			if !open || part.Closing.Lines != lines {
				t.Fatalf("closed with %d lines, after %d, open %t", part.Closing.Lines, lines, open)
			}
			open = false
		}
	}
	if open && !ended {
		t.Fatal("a statement is not closed")
	}
}

// benchmarkRead reports how many lines a second are read of a file.
func benchmarkRead(b *testing.B, file string, lines int, o formats.Options) {
	b.Helper()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		read := 0
		for part, err := range formats.Read(strings.NewReader(file), o) {
			if err != nil {
				b.Fatal(err)
			}
			if part.Line != nil {
				read++
			}
		}
		if read != lines {
			b.Fatalf("read %d lines", read)
		}
	}
	b.ReportMetric(float64(b.N)*float64(lines)/b.Elapsed().Seconds(), "lines/s")
}
