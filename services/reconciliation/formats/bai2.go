package formats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// maxBAI2Record is how long a line, and a record with its continuations, may be, in bytes.
const maxBAI2Record = 1 << 20

// readBAI2 reads a BAI2 file, or several, one behind the other. An account (03 to 49) is a statement.
//
// Signs: the amount of a transaction (16) has none; types 101 to 399 and 920 to 959 are credits, 401 to 699 and 960 to 999
// debits. Other types have no direction: 890 is a message and no line, and the rest (totals, status, loans) is an error in a
// transaction. Amounts are in minor units of the currency of the account (03), else of the group (02), else of what the file is
// read with, else US dollars, as the format has it.
//
// Days: booked is the group's as-of date. Value is the same, unless the transaction names a value date; what is said of
// availability otherwise is in business days, which are the bank's to count. Groups of interim data (as-of-date modifier 1 or
// 3) come again as final data: their lines are pending. Groups that delete, correct or test (group status 2 to 4) have
// no lines that could be counted, so a transaction in one is an error.
//
// What it proves, where it is stated: opening ledger (010) and lines come to closing ledger (015), unless lines are pending;
// total credits (100) and debits (400), and their item counts, are those of the lines. And the trailers, which count:
//   - 49: the sum of the amounts of all types in the 03, which may have signs, and of all 16, which have none, so that debits
//     count as more than zero; and the number of records from the 03 to the 49, both and all 88 included. Amounts of
//     availability do not count.
//   - 98: the sum of that over the accounts, their number, and the number of records from the 02 to the 98, both included.
//   - 99: the sum over the groups, their number, and the number of records from the 01 to the 99, both included.
//
// Two things that files do cannot be told for certain: where a record begins on the line of another, and whether a line
// without a record code goes on with the text before it. Either way a record that was not one is in the count of the 49.
func readBAI2(r *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return emitted(func(out emit) error {
		b := &bai2Reader{out: out, options: o}
		for line, err := range rowfile.Lines(r, maxBAI2Record) {
			if err != nil {
				return err
			}
			b.line = line.Number
			if line.TooLong {
				return b.wrong("", fmt.Errorf("is longer than %d bytes", maxBAI2Record))
			}
			for rest := line.Text; len(rest) > 0; {
				if rest, err = b.take(rest); err != nil {
					return err
				}
			}
		}
		if err := b.finish(); err != nil {
			return err
		}
		if b.last != "99" {
			return &Error{File: o.Name, Line: b.line, Err: errors.New("the file ends without the record 99 that ends it")}
		}
		return nil
	})
}

// A bai2Reader reads one file.
type bai2Reader struct {
	out     emit
	options Options
	line    int // that is read

	record  bai2Record // that is put together
	last    string     // the code of the record that was finished last
	records int        // since the last 01, with their continuations

	id      string // of the file: its day and identification
	file    bai2Level
	group   bai2Group
	account bai2Account
}

// A bai2Level is what a trailer counts.
type bai2Level struct {
	before int   // how many records were before
	parts  int   // groups of a file, accounts of a group
	sum    int64 // of amounts, whatever their currencies
}

// A bai2Group is what a 02 says.
type bai2Group struct {
	bai2Level
	status   string
	interim  bool
	currency money.Currency
	day      time.Time // of which it reports
}

// bai2Follows says which records may follow one; the empty code is the beginning of the file.
var bai2Follows = map[string][]string{
	"": {"01"}, "01": {"02", "99"}, "02": {"03", "98"}, "03": {"16", "49"}, "16": {"16", "49"}, "49": {"03", "98"},
	"98": {"02", "99"}, "99": {"01"},
}

// take takes what a line, or the rest of one, begins with, and gives what is left of it.
func (b *bai2Reader) take(text []byte) ([]byte, error) {
	code, rest := bai2Code(text)
	switch {
	case code == "" && b.record.openText:
		rest = text
	case code == "":
		return nil, b.wrong("", fmt.Errorf("%.20q is no record: it does not begin with the code of one and a comma", text))
	case code == "88":
		if b.record.code == "" {
			return nil, b.wrong("", errors.New("the record 88 continues nothing"))
		}
		b.records++
	default:
		if err := b.finish(); err != nil {
			return nil, err
		}
		if err := b.begin(code); err != nil {
			return nil, err
		}
	}
	rest, err := b.record.add(rest)
	if err != nil {
		return nil, b.wrong(b.record.code, err)
	}
	return bytes.TrimLeft(rest, " \t"), nil
}

// bai2Code is the code of the record that a text begins with, and what is behind it; "" if it begins with none.
func bai2Code(text []byte) (code string, rest []byte) {
	if len(text) > 2 && text[2] == ',' {
		switch string(text[:2]) {
		case "01", "02", "03", "16", "49", "88", "98", "99":
			return string(text[:2]), text[3:]
		}
	}
	return "", text
}

// begin begins a record.
func (b *bai2Reader) begin(code string) error {
	if !slices.Contains(bai2Follows[b.last], code) {
		return b.wrong("", fmt.Errorf("the record %s cannot stand here: expected is %v", code, bai2Follows[b.last]))
	}
	if code == "01" {
		b.records = 0
	}
	b.record.begin(code, b.line, b.records)
	b.records++
	return nil
}

// finish reads the record that was put together, now that nothing continues it.
func (b *bai2Reader) finish() error {
	r := &b.record
	if r.code == "" {
		return nil
	}
	var err error
	switch r.code {
	case "01":
		err = b.beginFile()
	case "02":
		err = b.beginGroup()
	case "03":
		err = b.beginAccount()
	case "16":
		err = b.transaction()
	case "49":
		err = b.endAccount()
	case "98":
		err = b.endLevel(RuleGroupTotal, b.group.bai2Level, &b.file, "accounts")
	case "99":
		err = b.endLevel(RuleFileTotal, b.file, &bai2Level{}, "groups")
	}
	b.last, r.code, r.openText = r.code, "", false
	return err
}

// wrong is an error on the line that is read.
func (b *bai2Reader) wrong(field string, err error) error {
	return &Error{File: b.options.Name, Line: b.line, Field: field, Err: err}
}

// fault is an error about a field of the record that was put together.
func (b *bai2Reader) fault(field string, err error) error {
	return &Error{File: b.options.Name, Line: b.record.at, Field: b.record.code + " " + field, Err: err}
}

// beginFile reads a 01: sender, receiver, day, time, identification, length of records and blocks, version.
func (b *bai2Reader) beginFile() error {
	r := &b.record
	day, id := r.field(2), r.field(4)
	if _, err := parseBAI2Day(day); err != nil {
		return b.fault("file creation date", err)
	}
	if len(id) == 0 {
		return b.fault("file identification number", errEmpty)
	}
	if version := r.field(7); string(version) != "2" {
		return b.fault("version number", fmt.Errorf("is %q, and not 2", version))
	}
	// A sender numbers the files of a day, so the number alone says little.
	b.id, b.file = string(day)+"-"+bai2Text(id), bai2Level{}
	return nil
}

// beginGroup reads a 02: receiver, originator, status, as-of date and time, currency, as-of-date modifier.
func (b *bai2Reader) beginGroup() error {
	r := &b.record
	status, modifier := string(r.field(2)), string(r.field(6))
	b.group = bai2Group{bai2Level: bai2Level{before: r.before}, status: status}
	switch status {
	case "1", "2", "3", "4":
	default:
		return b.fault("group status", fmt.Errorf("%q is none of 1, 2, 3 and 4", status))
	}
	switch modifier {
	case "", "2", "4":
	case "1", "3":
		b.group.interim = true
	default:
		return b.fault("as-of-date modifier", fmt.Errorf("%q is none of 1, 2, 3 and 4", modifier))
	}
	var err error
	if b.group.day, err = parseBAI2Day(r.field(3)); err != nil {
		return b.fault("as-of date", err)
	}
	b.group.currency, err = b.currency(r.field(5), b.options.Currency)
	return err
}

// currency reads a currency; where there is none it is the fallback, and US dollars without one.
func (b *bai2Reader) currency(code []byte, fallback money.Currency) (money.Currency, error) {
	switch {
	case len(code) == 0 && fallback == "":
		return "USD", nil
	case len(code) == 0:
		return fallback, nil
	}
	currency, err := money.ParseCurrency(string(code))
	if err != nil {
		return "", b.fault("currency", err)
	}
	return currency, nil
}

// endLevel reads a 98 or a 99: the sum of amounts, the number of parts, the number of records. The level above counts what
// this one has.
func (b *bai2Reader) endLevel(rule Rule, l bai2Level, above *bai2Level, parts string) error {
	if err := b.prove(rule, "control total", "", l.sum, 0); err != nil {
		return err
	}
	if err := b.prove(rule, "number of "+parts, " "+parts, int64(l.parts), 1); err != nil {
		return err
	}
	if err := b.prove(rule, "number of records", " records", int64(b.records-l.before), 2); err != nil {
		return err
	}
	above.parts++
	return b.add(&above.sum, l.sum, "control total")
}

// prove holds a number that a trailer states to what was counted.
func (b *bai2Reader) prove(rule Rule, name, unit string, computed int64, field int) error {
	stated, err := parseBAI2Number(b.record.field(field))
	if err != nil {
		return b.fault(name, err)
	}
	proof := &Proof{At: b.record.at, Rule: rule, Stated: fmt.Sprint(stated, unit), Computed: fmt.Sprint(computed, unit)}
	return b.out(Part{Proof: proof})
}

// add adds an amount to a sum.
func (b *bai2Reader) add(sum *int64, amount int64, name string) error {
	total := *sum + amount
	if (total > *sum) != (amount > 0) && amount != 0 {
		return b.fault(name, fmt.Errorf("%w: the sum of amounts", money.ErrOverflow))
	}
	*sum = total
	return nil
}
