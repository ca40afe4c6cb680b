package formats

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/tieout/tieout/pkg/money"
)

// mtTotal is the number and sum of lines in one direction.
type mtTotal struct {
	count int64
	sum   money.Amount // more than zero
}

// mtStated is what a file says of the lines in one direction.
type mtStated struct {
	at     int
	debits bool
	mtTotal
}

// mtStatedLimit is how often a statement may say so: :90D:, :90C:, and both once more in a :86:.
const mtStatedLimit = 4

// takeTotal takes a :90D: or :90C:, "3PLN12,03".
func (r *mtReader) takeTotal(tag mtTag) error {
	if err := r.beginStatement(tag); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	text := bytes.TrimRight(r.firstLine(), " ")
	digits := 0
	for digits < len(text) && mtDigit(text[digits]) {
		digits++
	}
	currency, amount := text[digits:], text[digits:]
	if len(currency) >= 3 {
		currency, amount = currency[:3], amount[3:]
	}
	if string(currency) != string(r.state.currency) {
		return r.wrong(r.at, tag, fmt.Errorf("%.40q is no number and amount in %s", text, r.state.currency))
	}
	total, err := mtStatedTotal(string(text[:digits]), string(amount), r.state.currency)
	if err != nil {
		return r.wrong(r.at, tag, err)
	}
	return r.keepTotal(tag, mtStated{at: r.at, debits: tag == mt90D, mtTotal: total})
}

// takeSums takes what Dutch banks say of a statement's lines in a :86: behind its closing balance, in two ways:
// "D000004C000002D25,24C28,71" and "/SUM/4/2/25,24/28,71/", numbers and sums of debits and credits. Any other text is not for
// programs.
func (r *mtReader) takeSums() error {
	if r.state.closing == nil {
		return nil
	}
	parts := mtSums.FindStringSubmatch(string(r.text))
	if parts == nil {
		return nil
	}
	if parts[1] == "" {
		parts = parts[4:]
	}
	for i, debits := range []bool{true, false} {
		total, err := mtStatedTotal(parts[1+i], parts[3+i], r.state.currency)
		if err != nil {
			return r.wrong(r.at, mt86, err)
		}
		if err := r.keepTotal(mt86, mtStated{at: r.at, debits: debits, mtTotal: total}); err != nil {
			return err
		}
	}
	return nil
}

// mtSums has numbers and amounts of debits and credits: 1 to 4, or 5 to 8.
var mtSums = regexp.MustCompile(`^\s*(?:D(\d{1,9})C(\d{1,9})D([\d,]+)C([\d,]+)|/SUM/(\d{1,9})/(\d{1,9})/([\d,]+)/([\d,]+)/)\s*$`)

// mtStatedTotal reads a number and a sum.
func mtStatedTotal(number, sum string, currency money.Currency) (total mtTotal, err error) {
	var is bool
	if total.count, is = mtDigits(number, math.MaxInt32); !is {
		return total, fmt.Errorf("%.40q is no number of lines", number)
	}
	total.sum, err = mtAmount(sum, currency)
	return total, err
}

// keepTotal keeps a control until the statement ends.
func (r *mtReader) keepTotal(tag mtTag, stated mtStated) error {
	if len(r.state.stated) == mtStatedLimit {
		return r.wrong(r.at, tag, errors.New("there are more totals than a statement has"))
	}
	r.state.stated = append(r.state.stated, stated)
	return nil
}

// proveTotal gives what a file says of the lines in one direction, and what they come to.
func (r *mtReader) proveTotal(stated mtStated) error {
	computed := r.state.credits
	if stated.debits {
		computed = r.state.debits
	}
	err := r.prove(stated.at, RuleCount, strconv.FormatInt(stated.count, 10), strconv.FormatInt(computed.count, 10))
	if err != nil {
		return err
	}
	return r.prove(stated.at, RuleSum, stated.sum.String(), computed.sum.String())
}

func (r *mtReader) prove(at int, rule Rule, stated, computed string) error {
	return r.emit(Part{Proof: &Proof{At: at, Rule: rule, Stated: stated, Computed: computed}})
}
