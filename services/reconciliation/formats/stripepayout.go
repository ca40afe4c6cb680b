package formats

import (
	"cmp"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// A stripePayoutID is a payout; Stripe makes one for each currency.
type stripePayoutID struct {
	id       string
	currency money.Currency
}

// A stripePayoutSum is what a payout pays, and what it is made of.
type stripePayoutSum struct {
	id   stripePayoutID
	at   int          // the line of the payout's own row; 0 if there is none
	paid money.Amount // what that row takes from the balance
	rows int          // how many it pays
	made money.Amount // their net
}

// pay counts a row for the payout that it is, and for the one that it is part of. A payout at once, or one that came back, is
// part of the next automatic one.
func (s *stripeReader) pay(line *Line, net money.Amount) {
	own := ""
	if line.Code == "payout" {
		own = cmp.Or(line.ProviderID, line.PayoutID)
		line.PayoutID = cmp.Or(line.PayoutID, own)
	}
	var err error
	if own != "" {
		sum := s.payout(own, net.Currency)
		sum.at = line.At
		if sum.paid, err = sum.paid.Sub(net); err != nil {
			s.fail(stripeNet, err)
		}
	}
	if line.PayoutID != "" && line.PayoutID != own {
		sum := s.payout(line.PayoutID, net.Currency)
		sum.rows++
		if sum.made, err = sum.made.Add(net); err != nil {
			s.fail(stripeNet, err)
		}
	}
}

// payout is the sum of a payout.
func (s *stripeReader) payout(id string, currency money.Currency) *stripePayoutSum {
	key := stripePayoutID{id, currency}
	if s.last != nil && s.last.id == key {
		return s.last
	}
	sum := s.payouts[key]
	if sum == nil {
		key.id = strings.Clone(id) // or it would keep its row
		sum = &stripePayoutSum{id: key, paid: money.Amount{Currency: currency}, made: money.Amount{Currency: currency}}
		s.payouts[key] = sum
		s.order = append(s.order, sum)
	}
	s.last = sum
	return sum
}

// close proves what can be proven at the end.
func (s *stripeReader) close(rows int) error {
	if err := s.net.total(s.out, s.heading); err != nil {
		return err
	}
	for _, sum := range s.order {
		if sum.at == 0 || sum.rows == 0 {
			continue // the other half is in another file
		}
		proof := &Proof{At: sum.at, Rule: RulePayout, Stated: sum.paid.String(), Computed: sum.made.String()}
		if err := s.out(Part{Proof: proof}); err != nil {
			return err
		}
	}
	return s.out(Part{Closing: &Closing{Last: true, Lines: rows}})
}
