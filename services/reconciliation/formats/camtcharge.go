package formats

import (
	"fmt"

	"github.com/tieout/tieout/pkg/money"
)

// camtCharges are what was charged for a transaction or an entry, in its currency: less than zero where it was taken.
type camtCharges struct {
	records int64 // what the single charges come to
	total   int64 // TtlChrgsAndTaxAmt
	foreign bool  // there are some in other currencies
}

func (c *camtCharges) add(other camtCharges) error {
	var fits, alsoFits bool
	c.records, fits = addMinor(c.records, other.records)
	c.total, alsoFits = addMinor(c.total, other.total)
	c.foreign = c.foreign || other.foreign
	if !fits || !alsoFits {
		return fmt.Errorf("%w: the sum of the charges", money.ErrOverflow)
	}
	return nil
}

// readCharges reads a Chrgs. In version 02 there are several, and each is a record; since then there is one, with records in
// it. A total has no sign; it is taken for that of the records.
func (p *camt) readCharges(c *camtCharges) error {
	var total int64
	read := func(name []byte) (err error) {
		switch string(name) {
		case "TtlChrgsAndTaxAmt":
			total, err = p.charge("TtlChrgsAndTaxAmt", c)
		}
		return err
	}
	if err := p.record(c, read); err != nil {
		return err
	}
	switch {
	case total == 0:
	case c.records > 0:
		c.total = total
	default:
		c.total = -total
	}
	return nil
}

// record reads a charge, and calls other for what is none of it. A charge that does not say so is a debit.
func (p *camt) record(c *camtCharges, other func(name []byte) error) error {
	var amount, sign int64
	err := p.x.children(func(name []byte) (err error) {
		switch string(name) {
		case "Amt":
			amount, err = p.charge("Amt", c)
		case "CdtDbtInd":
			sign, err = p.sign()
		case "Rcrd":
			err = p.record(c, other)
		default:
			err = other(name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if sign == 0 {
		sign = -1
	}
	return c.add(camtCharges{records: sign * amount})
}

// charge reads an amount that is charged.
func (p *camt) charge(field string, c *camtCharges) (int64, error) {
	amount, foreign, err := p.amountIn(field, p.entry.amount.Currency)
	c.foreign = c.foreign || foreign
	return amount, err
}
