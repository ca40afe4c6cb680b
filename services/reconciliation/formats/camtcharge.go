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
	c.records, fits = camtAdd(c.records, other.records)
	c.total, alsoFits = camtAdd(c.total, other.total)
	c.foreign = c.foreign || other.foreign
	if !fits || !alsoFits {
		return fmt.Errorf("%w: the sum of the charges", money.ErrOverflow)
	}
	return nil
}

// readCharges reads a Chrgs. In version 02 there are several, and each is a record; since then there is one, with records in
// it. A total has no sign: it has that of the records, and is a debit where there are none.
func (p *camt) readCharges(c *camtCharges) error {
	total, err := p.record(c)
	if total != 0 {
		c.total = total
		if c.records <= 0 {
			c.total = -total
		}
	}
	return err
}

// record reads a charge, and gives the total that is stated with it. A charge that does not say what it is is a debit.
func (p *camt) record(c *camtCharges) (total int64, err error) {
	var amount, sign int64
	err = p.x.children(func(name []byte) (err error) {
		switch string(name) {
		case "TtlChrgsAndTaxAmt":
			total, err = p.charge("TtlChrgsAndTaxAmt", c)
		case "Rcrd":
			_, err = p.record(c)
		case "Amt":
			amount, err = p.charge("Amt", c)
		case "CdtDbtInd":
			sign, err = p.sign()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if sign == 0 {
		sign = -1
	}
	return total, c.add(camtCharges{records: sign * amount})
}

// charge reads an amount that is charged.
func (p *camt) charge(field string, c *camtCharges) (int64, error) {
	amount, foreign, err := p.amountIn(field, p.entry.amount.Currency)
	c.foreign = c.foreign || foreign
	return amount, err
}
