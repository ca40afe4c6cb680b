package formats

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
)

// camtWatch checks what Read gives of a camt file, part by part.
type camtWatch struct {
	open, failed bool
	lines        int
	opening      *Balance
	sum          *big.Int // of booked lines in the currency of the opening balance
	other        bool     // there are booked lines in others
	proven       []string // closing balances that are said to follow
}

func (w *camtWatch) see(part Part, err error) error {
	switch {
	case w.failed:
		return errors.New("there is something behind an error")
	case err != nil:
		w.failed = true
		if _, of := errors.AsType[*Error](err); !of {
			return fmt.Errorf("the error is a %T", err)
		}
	case part.Statement != nil:
		if w.open {
			return errors.New("a statement begins within another one")
		}
		*w = camtWatch{open: true, opening: part.Statement.Opening, sum: new(big.Int)}
	case !w.open:
		return errors.New("there is something outside of a statement")
	case part.Line != nil:
		return w.line(part.Line)
	case part.Proof != nil:
		if part.Proof.Rule == RuleBalance && part.Proof.Holds() {
			w.proven = append(w.proven, part.Proof.Stated)
		}
	case part.Closing != nil:
		return w.close(part.Closing)
	default:
		return errors.New("a part says nothing")
	}
	return nil
}

func (w *camtWatch) line(l *Line) error {
	w.lines++
	if l.Number != w.lines || l.At < 1 || l.Fee != 0 || l.Booked.IsZero() || l.Value.IsZero() || l.Kind == "" {
		return fmt.Errorf("line %d is %+v", w.lines, *l)
	}
	if _, err := money.ParseCurrency(string(l.Amount.Currency)); err != nil {
		return err
	}
	switch {
	case l.Pending:
	case w.opening != nil && l.Amount.Currency == w.opening.Amount.Currency:
		w.sum.Add(w.sum, big.NewInt(l.Amount.Minor))
	default:
		w.other = true
	}
	return nil
}

func (w *camtWatch) close(c *Closing) error {
	if c.Lines != w.lines {
		return fmt.Errorf("%d lines are closed, %d were told of", c.Lines, w.lines)
	}
	w.open = false
	if len(w.proven) == 0 {
		return nil
	}
	if w.other || len(w.proven) > 1 || c.Balance == nil || w.opening == nil || c.Balance.Amount.Currency != w.opening.Amount.Currency {
		return fmt.Errorf("a closing balance follows from nothing: %v", w.proven)
	}
	if moved := new(big.Int).Sub(big.NewInt(c.Balance.Amount.Minor), big.NewInt(w.opening.Amount.Minor)); moved.Cmp(w.sum) != 0 {
		return fmt.Errorf("the lines come to %v, the balances to %v", w.sum, moved)
	}
	return nil
}

func FuzzCamt(f *testing.F) {
	files, err := filepath.Glob("testdata/camt/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal("the seeds are missing: ", err)
	}
	for _, name := range files {
		document, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(document)
	}
	f.Add(camtFile(2))
	f.Add([]byte(camtDocument("04", camtStmt(camtBal("OPBD", "0 EUR", "2026-01-01")+camtBal("CLBD", "95 EUR", "2026-01-01")+
		camtNtry("95 EUR", camtCharge("-5 EUR"), camtTxs(camtAmtOf("60 EUR"), camtAmtOf("40 EUR")))))))
	f.Fuzz(func(t *testing.T, document []byte) {
		for _, format := range []Format{Camt053, Camt054} {
			var w camtWatch
			for part, err := range Read(bytes.NewReader(document), Options{Name: "fuzz.xml", Format: format}) {
				if err := w.see(part, err); err != nil {
					t.Fatal(err)
				}
			}
			if w.open && !w.failed {
				t.Fatal("the last statement has no closing")
			}
		}
	})
}

// camtEntries draws entries that tie, and what they come to. Each is told of in one of the ways in which banks do it.
func camtEntries(t *rapid.T) (entries string, sum int64) {
	for range rapid.IntRange(0, 6).Draw(t, "entries") {
		parts := rapid.SliceOfN(rapid.Int64Range(1, 1_000_000), 1, 4).Draw(t, "parts")
		charged := rapid.Int64Range(0, 99).Draw(t, "charged")
		debit := rapid.Bool().Draw(t, "debit")
		element := rapid.SampledFrom([]string{"", "TxAmt", "CntrValAmt", "InstdAmt"}).Draw(t, "element")
		var transactions []string
		total := int64(0)
		for _, part := range parts {
			amount := money.Amount{Currency: "EUR", Minor: part}.String()
			if element == "" {
				transactions = append(transactions, camtAmtOf(amount))
			} else {
				transactions = append(transactions, camtDetail(element, amount))
			}
			total += part
		}
		if debit {
			total = -total
		}
		total -= charged
		entry := camtNtry(money.Amount{Currency: "EUR", Minor: total}.String(), "|", camtTxs(transactions...))
		charge := camtCharge(money.Amount{Currency: "EUR", Minor: -charged}.String())
		if total < 0 && !debit { // what is left of a credit after charges is a debit: its transactions say themselves what they are
			entry = strings.ReplaceAll(entry, "</TxDtls>", "<CdtDbtInd>CRDT</CdtDbtInd></TxDtls>")
		}
		entries += strings.Replace(entry, "|", charge, 1)
		sum += total
	}
	return entries, sum
}

func TestCamt_LinesComeToEntriesAndEntriesToBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries, sum := camtEntries(t)
		opening := rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "opening")
		off := rapid.SampledFrom([]int64{0, 0, 1, -1, 100}).Draw(t, "off")
		text := func(minor int64) string { return money.Amount{Currency: "EUR", Minor: minor}.String() }
		document := camtDocument("08", camtStmt(
			camtBal("OPBD", text(opening), "2026-01-14")+camtBal("CLBD", text(opening+sum+off), "2026-01-15")+entries))
		var w camtWatch
		for part, err := range Read(strings.NewReader(document), Options{Format: Camt053}) {
			if err != nil {
				t.Fatal(err)
			}
			if err := w.see(part, nil); err != nil {
				t.Fatal(err)
			}
			if p := part.Proof; p != nil && p.Holds() != (p.Rule != RuleBalance || off == 0) {
				t.Fatalf("the closing balance is off by %d: %v", off, p)
			}
		}
		if w.sum.Int64() != sum {
			t.Fatalf("lines come to %v, want %d", w.sum, sum)
		}
	})
}
