package formats_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// mtDecimal is an amount of euros as the format writes it, in one of the ways that banks do.
func mtDecimal(t *rapid.T, minor int64) string {
	whole, cents := minor/100, minor%100
	zeros := rapid.SampledFrom([]string{"", "0", "000000"}).Draw(t, "zeros")
	switch {
	case cents == 0 && rapid.Bool().Draw(t, "short"):
		return fmt.Sprintf("%s%d,", zeros, whole)
	case cents%10 == 0 && rapid.Bool().Draw(t, "short"):
		return fmt.Sprintf("%s%d,%d", zeros, whole, cents/10)
	case rapid.Bool().Draw(t, "long"):
		return fmt.Sprintf("%s%d,%02d00", zeros, whole, cents)
	}
	return fmt.Sprintf("%s%d,%02d", zeros, whole, cents)
}

func mtSigned(t *rapid.T, minor int64) string {
	if minor < 0 {
		return "D240101EUR" + mtDecimal(t, -minor)
	}
	return "C240101EUR" + mtDecimal(t, minor)
}

func TestMT_WhatIsWrittenIsReadAndTies(t *testing.T) {
	t.Parallel()
	const most = 1 << 40
	rapid.Check(t, func(t *rapid.T) {
		opening := rapid.Int64Range(-most, most).Draw(t, "opening")
		amounts := rapid.SliceOfN(rapid.Int64Range(-most, most), 0, 9).Draw(t, "amounts")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
		sum, want := opening, []int64{}
		text := []string{":20:A", ":25:B", ":28C:1/1", ":60F:" + mtSigned(t, opening)}
		for _, amount := range amounts {
			mark := rapid.SampledFrom([]string{"C", "RD", "CR", "RDR"}).Draw(t, "mark")
			if amount < 0 {
				mark = rapid.SampledFrom([]string{"D", "RC", "DR", "RCR"}).Draw(t, "mark")
			}
			text = append(text, ":61:2401010101"+mark+mtDecimal(t, max(amount, -amount))+"NTRFNONREF", ":86:text")
			sum, want = sum+amount, append(want, amount)
		}
		off := rapid.SampledFrom([]int64{0, 0, 1, -100}).Draw(t, "off")
		text = append(text, ":62F:"+mtSigned(t, sum+off))
		got := readMT940(strings.Join(text, end))
		if got.err != nil {
			t.Fatal(got.err)
		}
		amountsRead := []int64{}
		for _, line := range got.lines {
			amountsRead = append(amountsRead, line.Amount.Minor)
		}
		if diff := cmp.Diff(want, amountsRead); diff != "" {
			t.Errorf("amounts (-want +got):\n%s", diff)
		}
		if len(got.proofs) != 1 || got.proofs[0].Rule != formats.RuleBalance || got.proofs[0].Holds() != (off == 0) {
			t.Errorf("proofs %v, of a closing balance that is off by %d", got.proofs, off)
		}
	})
}

func TestMT_AnEntryDateIsOfTheNearestYear(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 36523).Draw(t, "day"))
		booked := value.AddDate(0, 0, rapid.IntRange(-180, 180).Draw(t, "days later"))
		got := readMT940(":20:A\n:25:B\n:60F:C240101EUR1,\n:61:" + value.Format("060102") + booked.Format("0102") + "D1,NTRF\n:62F:C240101EUR0,")
		if got.err != nil || len(got.lines) != 1 || !got.lines[0].Value.Equal(value) || !got.lines[0].Booked.Equal(booked) {
			t.Fatalf("value date %v, entry date %v: got %v\n%s", value, booked, got.err, got.transcript())
		}
	})
}

func TestMT_DaysBehindTheEndOfTheirMonthAreItsLast(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"160230": "2016-02-29", "150230": "2015-02-28", "150229": "2015-02-28", "240431": "2024-04-30", "240430": "2024-04-30",
		"791231": "2079-12-31", "800101": "1980-01-01", "000101": "2000-01-01",
	} {
		got := readMT940(":20:A\n:25:B\n:60F:C" + written + "EUR1,\n:61:" + written + written[2:] + "D1,NTRF\n:62F:C240101EUR0,")
		if got.err != nil || len(got.lines) != 1 {
			t.Errorf("%s: %v", written, got.err)
			continue
		}
		for _, date := range []time.Time{got.statements[0].Opening.Date, got.lines[0].Value, got.lines[0].Booked} {
			if date.Format("2006-01-02") != want {
				t.Errorf("%s is read as %s, want %s", written, date, want)
			}
		}
	}
}

func TestMT_TheTextSurvivesBreaksAnywhere(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[A-Za-z0-9.,-]{1,30}`)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[A-Za-z0-9_-]{1,35}`).Draw(t, "key")
		text := strings.Join(rapid.SliceOfN(word, 1, 20).Draw(t, "words"), " ")
		content := "166?00GUTSCHRIFT"
		number := 20
		for _, part := range []string{"EREF+" + key, "SVWZ+" + text} {
			for ; part != "" && number <= 29; number++ {
				size := min(len(part), 27)
				content, part = content+fmt.Sprintf("?%d", number)+part[:size], part[size:]
			}
			text = text[:len(text)-len(part)]
		}
		var file strings.Builder
		file.WriteString(":20:A\n:25:B\n:60F:C240101EUR1,\n:61:240101D1,NTRFKREF+\n:86:")
		for content != "" {
			size := min(len(content), 65)
			if file.WriteString(content[:size]); size < len(content) {
				file.WriteByte('\n')
			}
			content = content[size:]
		}
		file.WriteString("\n:62F:C240101EUR0,\n-\n")
		got := readMT940(file.String())
		if got.err != nil || len(got.lines) != 1 || got.lines[0].Key != key || got.lines[0].Text != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%s\nis read as %v\n%s", file.String(), got.err, got.transcript())
		}
	})
}

func TestMT_PagesAndStatementsContinueWhereThatIsCertain(t *testing.T) {
	t.Parallel()
	statement := func(account, number, opening, from, closing, to string) string {
		return ":20:A\n:25:" + account + "\n:28C:" + number + "\n:60" + opening + ":C240101EUR" + from + "\n:62" + closing + ":C240101EUR" + to + "\n-\n"
	}
	first := statement("A", "7/1", "F", "1,", "M", "1,")
	whole := statement("A", "7/1", "F", "1,", "F", "1,")
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"the next page":             {first + statement("A", "7/2", "M", "1,", "F", "1,"), []string{"line 10: continuity holds: 1.00 EUR"}},
		"another next page":         {first + statement("A", "7/2", "M", "2,", "F", "2,"), []string{"line 10: continuity: the file states 2.00 EUR, its lines come to 1.00 EUR"}},
		"pages without number":      {statement("A", "7", "F", "1,", "M", "1,") + statement("A", "7", "M", "1,", "F", "1,"), []string{"line 10: continuity holds: 1.00 EUR"}},
		"a page is not there":       {first + statement("A", "7/3", "M", "2,", "F", "2,"), nil},
		"the next statement":        {whole + statement("A", "8/1", "F", "1,", "F", "1,"), []string{"line 10: continuity holds: 1.00 EUR"}},
		"another next statement":    {whole + statement("A", "8", "F", "2,", "F", "2,"), []string{"line 10: continuity: the file states 2.00 EUR, its lines come to 1.00 EUR"}},
		"a statement is not there":  {whole + statement("A", "9/1", "F", "2,", "F", "2,"), nil},
		"numbers begin again":       {whole + statement("A", "1/1", "F", "2,", "F", "2,"), nil},
		"statements without number": {statement("A", "0", "F", "1,", "F", "1,") + statement("A", "0", "F", "2,", "F", "2,"), nil},
		"another account":           {whole + statement("B", "8/1", "F", "2,", "F", "2,"), nil},
		"another account between": {
			whole + statement("B", "8/1", "F", "2,", "F", "2,") + statement("A", "8/1", "F", "1,", "F", "1,"),
			[]string{"line 16: continuity holds: 1.00 EUR"},
		},
	} {
		got := readMT940(tt.text)
		var proofs []string
		for _, p := range got.proofs {
			if p.Rule == formats.RuleContinuity {
				proofs = append(proofs, p.String())
			}
		}
		if diff := cmp.Diff(tt.want, proofs); diff != "" || got.err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, got.err, diff)
		}
	}
}

func FuzzMT(f *testing.F) {
	twins, err := filepath.Glob("testdata/mt940/*.sta")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range twins {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"", ":", "-", ":20:", ":86:091\n-", ":62F:C100323EUR42570,04\n-", ":60F:C100318EUR380115,\n:60F:C100318EUR0,12",
		":20:A\n:25:B\n:60F:D160230JPY5,0\n:61:2402290229RCY,5NTRF//\n:86:?20EREF+\xe4?21\x00KREF+\n:62M:C0401015,\n:60M:D0401015,\n:62F:D0401015,",
		":20:A\n:25:B\n:60F:C240101EUR1,\n:61:240101ED1,S   X              Y//12345678901234567/\n:86:/EREF/1//REMI/USTD///CNTP/\n/BIC/\n:86:-\n-\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []formats.Format{formats.MT940, formats.MT942} {
			checkMT(t, data, readMT(bytes.NewReader(data), formats.Options{Name: "f", Format: format, Currency: "EUR"}))
		}
	})
}

// checkMT holds what was read to what every file must keep to.
func checkMT(t *testing.T, data []byte, got mtFile) {
	t.Helper()
	var statement *formats.Statement
	var booked money.Amount
	var balance *formats.Proof
	lines, open := 0, false
	for _, part := range got.parts {
		switch {
		case part.Statement != nil:
			if open {
				t.Fatal("a statement begins before the one before it ends")
			}
			statement, balance, lines, open = part.Statement, nil, 0, true
			booked = money.Amount{Currency: statement.Currency}
		case !open:
			t.Fatal("a part stands outside of a statement")
		case part.Line != nil:
			lines++
			checkMTLine(t, part.Line, statement, lines)
			if !part.Line.Pending {
				booked, _ = booked.Add(part.Line.Amount)
			}
		case part.Proof != nil && part.Proof.Rule == formats.RuleBalance:
			balance = part.Proof
		case part.Closing != nil:
			if open = false; part.Closing.Lines != lines {
				t.Fatalf("a statement of %d lines says that it has %d", lines, part.Closing.Lines)
			}
			checkMTBalance(t, statement, part.Closing, balance, booked)
		}
	}
	wrong, is := errors.AsType[*formats.Error](got.err)
	switch {
	case got.err == nil && (open || statement == nil):
		t.Fatal("a file ends without an error, and without a statement or within one")
	case got.err != nil && (!is || wrong.File != "f" || wrong.Line > bytes.Count(data, []byte("\n"))+1):
		t.Fatalf("the error %v is none about a line of the file", got.err)
	}
}

func checkMTLine(t *testing.T, l *formats.Line, s *formats.Statement, number int) {
	t.Helper()
	if l.Number != number || l.At <= s.At || l.Amount.Currency != s.Currency || l.Fee != 0 || l.Kind == "" || l.Value.IsZero() || l.Booked.IsZero() {
		t.Fatalf("line %d of %+v is %+v", number, s, l)
	}
	for _, text := range []string{l.ID, l.Key, l.Reference, l.Text, l.Party, l.PartyAccount, l.Code} {
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n") || strings.Join(strings.Fields(text), " ") != text || len(text) > 1<<18 {
			t.Fatalf("line %d has the text %q", number, text)
		}
	}
}

// checkMTBalance holds a proof to the sums: it holds when, and only when, the lines come to what the balances say.
func checkMTBalance(t *testing.T, s *formats.Statement, c *formats.Closing, proof *formats.Proof, booked money.Amount) {
	t.Helper()
	if (s.Opening == nil) != (c.Balance == nil) || (c.Balance == nil) != (proof == nil) {
		t.Fatalf("statement %+v closes with %+v and the proof %v", s, c, proof)
	}
	if s.Opening == nil {
		return
	}
	sum, err := s.Opening.Amount.Add(booked)
	if err != nil || proof.Holds() != (sum == c.Balance.Amount) {
		t.Fatalf("%v and lines of %v: %v, of closing balance %v", s.Opening.Amount, booked, proof, c.Balance.Amount)
	}
}
