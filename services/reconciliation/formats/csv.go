package formats

import (
	"bufio"
	"cmp"
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// readCSV reads a CSV file by its mapping. What it proves: net is gross less fee in every row, where there is a net; and where
// there is a balance, that each is the one before and the row, and the last one what the first one and all rows come to.
func readCSV(r *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return emitted(func(out emit) error {
		if o.Mapping == nil {
			return &Error{File: o.Name, Err: errors.New("is CSV, and there is no mapping that says what its columns mean")}
		}
		layout, err := o.Mapping.compile()
		if err != nil {
			return &Error{File: o.Name, Err: err}
		}
		c := &csvReader{
			sheet: sheet{file: o.Name, keys: csvKeys, mapping: o.Mapping.Columns, headless: o.Mapping.NoHeading},
			out:   out, m: o.Mapping, layout: layout, fallback: cmp.Or(o.Mapping.Currency, o.Currency),
			net: tally{rule: RuleNet},
		}
		return c.read(r)
	})
}

// A csvReader reads one file.
type csvReader struct {
	sheet
	out      emit
	m        *Mapping
	layout   csvLayout
	fallback money.Currency
	net      tally

	begun    bool
	account  string       // of the statement that began last
	lines    int          // how many it has
	balances tally        // of these
	before   money.Amount // the balance that was stated last
	computed money.Amount // the opening balance and all lines
	closing  *Balance     // nil without balances
}

func (c *csvReader) read(r *bufio.Reader) error {
	rows := c.layout.dialect.Rows(r, maxRow)
	if c.layout.latin1 {
		rows = c.layout.dialect.Rows(&latin1{in: r}, maxRow)
	}
	for _, err := range c.below(rows, c.locate) {
		if err == nil {
			err = c.take()
		}
		if err != nil {
			return err
		}
	}
	if !c.begun {
		if err := c.begin("", nil, c.heading); err != nil {
			return err
		}
	}
	if c.net.rows > 0 {
		if err := c.net.total(c.out, c.heading); err != nil {
			return err
		}
	}
	return c.end()
}

// locate finds the columns. Those of a file without a heading are called by their numbers.
func (c *csvReader) locate(heading rowfile.Row) (rowfile.Columns, error) {
	if c.headless {
		names := make([]string, len(heading.Fields))
		for i := range names {
			names[i] = strconv.Itoa(i + 1)
		}
		heading.Fields = names
	}
	return csvKeys.Columns(heading, c.mapping)
}

// take reads a row.
func (c *csvReader) take() error {
	currency := c.currencyOfRow()
	line := &Line{
		At: c.row.Line, Kind: c.kind(), Code: c.text(csvKind), Amount: c.amount(currency), Fee: c.fee(currency),
		Booked: c.date(csvBooked, c.layout.booked), Value: c.date(csvValue, c.layout.value),
		ID: c.text(csvID), ProviderID: c.text(csvProviderID), ParentID: c.text(csvParentID),
		Key: unlessNone(c.text(csvKey)), Reference: unlessNone(c.text(csvReference)), PayoutID: c.text(csvPayoutID),
		Text: oneLine(c.text(csvText)), Party: c.text(csvParty), PartyAccount: c.text(csvPartyAccount),
	}
	line.Original = c.original(line.Amount)
	if line.Value.IsZero() {
		line.Value = midnight(line.Booked)
	}
	if line.Booked.IsZero() {
		c.fail(csvBooked, errEmpty)
	}
	var arrived money.Amount
	if c.err == nil {
		var err error
		if arrived, err = line.Amount.Sub(money.Amount{Currency: currency, Minor: line.Fee}); err != nil {
			c.fail(csvFee, err)
		}
	}
	balance := c.balance(currency)
	account := strings.ReplaceAll(c.text(csvAccount), " ", "")
	if c.err != nil {
		return c.err
	}
	if !c.begun || account != c.account {
		if err := c.change(line, account, balance, arrived); err != nil {
			return err
		}
	}
	c.lines++
	line.Number = c.lines
	if err := c.out(Part{Line: line}); err != nil {
		return err
	}
	return c.prove(line, balance, arrived)
}

// change ends a statement, and begins one with its first line.
func (c *csvReader) change(first *Line, account string, balance *money.Amount, arrived money.Amount) error {
	if c.begun {
		if err := c.end(); err != nil {
			return err
		}
	}
	var opening *Balance
	if balance != nil {
		before, err := balance.Sub(arrived)
		if err != nil {
			c.fail(csvBalance, err)
			return c.err
		}
		opening = &Balance{At: first.At, Amount: before, Date: midnight(first.Booked)}
	}
	return c.begin(strings.Clone(account), opening, first.At)
}

func (c *csvReader) begin(account string, opening *Balance, at int) error {
	c.begun, c.account, c.lines = true, account, 0
	c.balances, c.closing = tally{rule: RuleBalance}, nil
	s := &Statement{At: at, Account: account, Opening: opening}
	if !c.m.has(csvCurrency) {
		s.Currency = c.fallback
	}
	if opening != nil {
		c.before, c.computed = opening.Amount, opening.Amount
	}
	return c.out(Part{Statement: s})
}

// prove holds a line to what its row states.
func (c *csvReader) prove(line *Line, balance *money.Amount, arrived money.Amount) error {
	if c.m.has(csvNet) && c.text(csvNet) != "" {
		net := c.number(csvNet, arrived.Currency)
		if c.err != nil {
			return c.err
		}
		if err := c.net.row(c.out, line.At, net, arrived); err != nil {
			return err
		}
	}
	if balance == nil {
		return nil
	}
	behind, err := c.before.Add(arrived)
	if err == nil {
		c.computed, err = c.computed.Add(arrived)
	}
	if err != nil {
		c.fail(csvBalance, err)
		return c.err
	}
	c.before, c.closing = *balance, &Balance{At: line.At, Amount: *balance, Date: midnight(line.Booked)}
	return c.balances.row(c.out, line.At, *balance, behind)
}

// end closes the statement.
func (c *csvReader) end() error {
	if c.closing != nil {
		proof := &Proof{At: c.closing.At, Rule: RuleBalance, Stated: c.closing.Amount.String(), Computed: c.computed.String()}
		if err := c.out(Part{Proof: proof}); err != nil {
			return err
		}
	}
	return c.out(Part{Closing: &Closing{Balance: c.closing, Last: true, Lines: c.lines}})
}
