package reconciliation

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// converted looks for money that is in one currency for us and was settled in another one, of which they tell what it was before.
// What the partitions of a stage cannot explain by themselves is matched again as it was originally, by what rows carry and not by
// amounts alone. What is found so is a match in each of the two partitions, of its own side, that names the other one.
func converted(parts []*part, set rules.Set, asOf match.Day) error {
	for _, ours := range parts {
		for _, theirs := range parts {
			if ours == theirs || len(theirs.theirs.originals) == 0 {
				continue
			}
			c := crossing{ours: ours, theirs: theirs, set: set, mine: map[int64]int32{}, their: map[int64]int32{}}
			if err := c.match(asOf); err != nil {
				return fmt.Errorf("matching %s with what was converted into %s: %w", ours, theirs.currency, err)
			}
		}
	}
	return nil
}

// crossing is what one partition has of ours, and another one has of theirs, converted.
type crossing struct {
	ours, theirs *part
	set          rules.Set
	in           match.Input     // theirs as they were originally
	mine, their  map[int64]int32 // places in their partitions, by ids
}

func (c *crossing) match(asOf match.Day) error {
	if c.gather(); len(c.in.Ours) == 0 || len(c.in.Theirs) == 0 {
		return nil
	}
	by := rulesOf(c.ours.stage, c.set)
	by.Passes = slices.DeleteFunc(slices.Clone(by.Passes), func(p match.Pass) bool { return p != match.PassStrongID && p != match.PassPayout })
	c.in.AsOf = asOf
	result, err := match.Run(c.in, by)
	if err != nil {
		return err
	}
	done := map[match.Key]bool{}
	for m := range result.Matches() {
		if len(m.Ours) == 0 || len(m.Theirs) == 0 {
			continue
		}
		if err := c.take(m, done); err != nil {
			return err
		}
	}
	c.ours.dropOf(done)
	c.theirs.dropOf(done)
	return nil
}

// gather gathers what is left of both. What is kept of theirs is in the currency that they settled in, and is not compared.
func (c *crossing) gather() {
	left, places := c.theirs.leftover(breaks.PayoutUnexplained)
	for i, row := range left.Theirs {
		if was := c.theirs.theirs.originals[row.ID]; string(was.Currency) == c.ours.currency {
			row.Amount, row.Fee = was.Minor, 0
			c.in.Theirs, c.their[row.ID] = append(c.in.Theirs, row), places.theirs[i]
		}
	}
	if len(c.in.Theirs) == 0 {
		return
	}
	left, places = c.ours.leftover()
	for i, row := range left.Ours {
		row.Fee, row.FeeKnown, row.Adjust, row.Refused = 0, false, 0, 0
		c.in.Ours, c.mine[row.ID] = append(c.in.Ours, row), places.ours[i]
	}
}

// take makes a match of each half of one. Their books and ours differ by each half; as far as the rate is as it should be, that is
// because of the conversion.
func (c *crossing) take(m match.Match, done map[match.Key]bool) error {
	var mine, their []match.Row
	var ours, theirs []int32
	for _, i := range m.Ours {
		row := &c.ours.in.Ours[c.mine[c.in.Ours[i].ID]]
		ours, done[row.Key] = append(ours, c.mine[row.ID]), true
		mine = append(mine, *row)
		c.ours.converted = append(c.ours.converted, found{code: codeConverted, matched: true, ours: []int64{row.ID}, drift: row.Amount, day: row.Day})
	}
	for _, j := range m.Theirs {
		row := &c.theirs.in.Theirs[c.their[c.in.Theirs[j].ID]]
		theirs, done[row.Key] = append(theirs, c.their[row.ID]), true
		their = append(their, *row)
	}
	for _, row := range their {
		if err := c.rate(row, mine); err != nil {
			return fmt.Errorf("movement %s: %w", movementIDOf(row.Key), err)
		}
	}
	ofOurs, err := conversionEvidence(their, c.theirs.currency)
	if err != nil {
		return err
	}
	ofTheirs, err := conversionEvidence(mine, c.ours.currency)
	if err != nil {
		return err
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	m.Ours, m.Theirs, m.Evidence = ours, nil, ofOurs
	c.ours.conversions = append(c.ours.conversions, m)
	m.Ours, m.Theirs, m.Evidence = nil, theirs, ofTheirs
	c.theirs.conversions = append(c.theirs.conversions, m)
	return nil
}

// conversionEvidence is what stands with a half of a conversion: the movements of the other one, and what they come to.
func conversionEvidence(rows []match.Row, currency string) (string, error) {
	var movements []string
	sum := money.Amount{Currency: money.Currency(currency)}
	for _, row := range rows {
		var err error
		if sum.Minor, err = plus(sum.Minor, row.Amount); err != nil {
			return "", err
		}
		movements = append(movements, movementIDOf(row.Key).String())
	}
	slices.Sort(movements)
	return fmt.Sprintf(`{"converted":"%s","movements":["%s"]}`, sum, strings.Join(movements, `","`)), nil
}

// rate compares what a movement of theirs became with what it should have: what the rate does not explain is FX_VARIANCE.
func (c *crossing) rate(row match.Row, ours []match.Row) error {
	p := c.theirs
	expected, err := c.set.Convert(p.theirs.originals[row.ID], money.Amount{Currency: money.Currency(p.currency), Minor: row.Amount}, row.Day)
	if err != nil {
		return err
	}
	p.converted = append(p.converted, found{code: codeConverted, matched: true, theirs: []int64{row.ID}, drift: -expected, day: row.Day})
	more, err := plus(row.Amount, -expected)
	if err != nil || more == 0 {
		return err
	}
	made := found{code: breaks.FXVariance, matched: true, theirs: []int64{row.ID}, amount: more, drift: -more, day: row.Day}
	if payout := row.Carriers[match.CarrierPayout]; p.stage == stageProvider && !payout.IsZero() {
		made.payout, made.effect = p.theirs.payouts[payout], -more
		if p.effects[payout], err = plus(p.effects[payout], made.effect); err != nil {
			return err
		}
	}
	p.crossing = append(p.crossing, 'X')
	p.crossing = binary.AppendUvarint(p.crossing, uint64(len(ours)))
	for _, mine := range ours {
		made.ours = append(made.ours, mine.ID)
		p.crossing = append(p.crossing, mine.Key[:]...)
	}
	p.crossing = append(p.crossing, row.Key[:]...)
	p.crossing = binary.AppendVarint(p.crossing, made.amount)
	p.crossing = binary.AppendVarint(p.crossing, made.effect)
	p.crossed = append(p.crossed, made)
	return nil
}

// noteConversion notes a half of a conversion. Nothing of it is on its way: in its currency, no other half ever comes.
func (p *part) noteConversion(m match.Match) error {
	for _, side := range []struct {
		rows   []match.Row
		done   []bool
		places []int32
	}{{p.in.Ours, p.oursDone, m.Ours}, {p.in.Theirs, p.theirsDone, m.Theirs}} {
		for _, i := range side.places {
			if side.done[i] {
				return fmt.Errorf("movement %s is in two matches", movementIDOf(side.rows[i].Key))
			}
			side.done[i] = true
		}
	}
	return nil
}
