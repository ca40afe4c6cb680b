package formats

import (
	"cmp"
	"fmt"

	"github.com/tieout/tieout/pkg/money"
)

// The lines of an entry.
//
// A line for each transaction is told of where the transactions come to the entry: where all state one and the same of Amt,
// TxAmt, CntrValAmt and InstdAmt in the currency of the entry, and these, with the sign that each transaction has, add up to
// it. Where charges are what is missing, of the transactions or of the entry, they become a line of their own, of kind fee:
// so the lines come to the entry, each line is something that moved, and Fee stays what providers keep. It is for the entry
// as a whole and has none of its references, lest it is taken for what was paid. ChrgInclInd is not looked at: whether
// charges are in the amount is shown by what it comes to. Transactions that come to the entry with all signs turned are told
// from the other side, and are turned.
//
// Otherwise the entry is one line, with what its transactions have in common and their references in its text. That is no
// failure where amounts are in other currencies, or are those that were ordered, or are missing. It is one, of RuleEntry,
// where all Amt or TxAmt are in the currency of the entry, and it is not what they and the charges come to; but not where
// charges are in another currency, or where all these amounts are zero, which some banks write for "none".
//
// What is held is one entry: up to camtMaxHeld transactions. When there are more, it is decided by those: if all state Amt or
// TxAmt in the currency of the entry, lines are told of as they come, and the entry is compared behind them; if not, the
// entry is one line.
const (
	camtMaxHeld      = 10_000
	camtMaxHeldBytes = 16 << 20
	camtMaxGathered  = 4 << 10 // of the text of an entry that is one line, in bytes
)

// A camtSplit is what the transactions of an entry come to.
type camtSplit struct {
	transactions int
	sums         [camtAmounts]int64
	stated       [camtAmounts]int  // how many transactions do
	nonzero      [camtAmounts]bool // some do other than zero
	charges      camtCharges       // of the transactions
	bytes        int               // that are held

	streams bool   // there were too many: lines are told of as they come,
	by      int    // with these amounts,
	opaque  bool   // or not at all, and only
	gist    camtTx // is left of them

	numbered int    // lines that have an ID
	lastRef  string // of the last one
}

// add takes a transaction in. It fails where a sum does not fit.
func (s *camtSplit) add(t *camtTx, charged camtCharges) error {
	s.transactions++
	fits := true
	for i, amount := range t.amounts {
		if t.stated[i] {
			s.sums[i], fits = camtAdd(s.sums[i], t.sign*amount)
			s.stated[i]++
			s.nonzero[i] = s.nonzero[i] || amount != 0
		}
		if !fits {
			return fmt.Errorf("%w: the sum of the transactions", money.ErrOverflow)
		}
	}
	charged.total = cmp.Or(charged.total, charged.records)
	return s.charges.add(charged)
}

// complete says whether all transactions state an amount.
func (s *camtSplit) complete(which int) bool {
	return s.transactions > 0 && s.stated[which] == s.transactions && s.nonzero[which]
}

// hold keeps the transaction that was read until the entry ends, or as long as there are not too many.
func (p *camt) hold() error {
	s := &p.entry.split
	switch {
	case s.streams && p.tx.stated[s.by]:
		return p.txLine(&p.tx, s.by, 1)
	case s.streams, s.opaque:
		return nil
	}
	p.held = append(p.held, p.tx)
	if s.bytes += p.tx.size(); len(p.held) < camtMaxHeld && s.bytes < camtMaxHeldBytes {
		return nil
	}
	switch {
	case s.complete(camtAmt):
		s.streams, s.by = true, camtAmt
	case s.complete(camtTxAmt):
		s.streams, s.by = true, camtTxAmt
	default:
		s.opaque, s.gist = true, camtTx{text: p.gather().text}
	}
	if s.streams {
		for i := range p.held {
			if err := p.txLine(&p.held[i], s.by, 1); err != nil {
				return err
			}
		}
	}
	clear(p.held)
	p.held = p.held[:0]
	return nil
}

// finish tells of the lines of the entry that was read, and of what it comes to.
func (p *camt) finish() error {
	e, s := &p.entry, &p.entry.split
	by, sign, charged, ties := e.tie()
	switch {
	case s.streams && !ties:
		return p.proveEntry(e.withCharges(s.sums[by]))
	case s.opaque, !ties, s.transactions == 1 && charged == 0:
		if err := p.oneLine(); err != nil || ties {
			return err
		}
		if computed, claimed := e.claim(); claimed {
			return p.proveEntry(computed)
		}
		return nil
	}
	for i := range p.held {
		if err := p.txLine(&p.held[i], by, sign); err != nil {
			return err
		}
	}
	if charged != 0 {
		if err := p.feeLine(charged); err != nil {
			return err
		}
	}
	return p.proveEntry(e.moves())
}

// tie finds the amounts of the transactions that come to the entry, if need be with charges or with their signs turned.
func (e *camtEntry) tie() (by int, sign, charged int64, ties bool) {
	s := &e.split
	if s.streams {
		charged, ties = e.charged(s.sums[s.by])
		return s.by, 1, charged, ties
	}
	for by := range camtAmounts {
		if !s.complete(by) {
			continue
		}
		for _, sign := range []int64{1, -1} {
			if charged, ties := e.charged(sign * s.sums[by]); ties {
				return by, sign, charged, true
			}
		}
	}
	return 0, 1, 0, false
}

// claim is what transactions come to that say so in the currency of the entry; false where they do not.
func (e *camtEntry) claim() (computed int64, claimed bool) {
	for _, by := range []int{camtAmt, camtTxAmt} {
		if e.split.complete(by) && !e.split.charges.foreign && !e.charges.foreign {
			return e.withCharges(e.split.sums[by]), true
		}
	}
	return 0, false
}

// charged gives the charges with which a sum comes to the entry; false where none do.
func (e *camtEntry) charged(sum int64) (int64, bool) {
	for _, charged := range e.allCharges() {
		if total, fits := camtAdd(sum, charged); fits && total == e.moves() {
			return charged, true
		}
	}
	return 0, false
}

// withCharges is a sum with charges, where there are any.
func (e *camtEntry) withCharges(sum int64) int64 {
	for _, charged := range e.allCharges() {
		if total, fits := camtAdd(sum, charged); fits && charged != 0 {
			return total
		}
	}
	return sum
}

// allCharges are what may be charged: nothing, what the transactions say, what the entry says, and both. Each says it as the
// sum of its records, and as a total, which may have taxes in it.
func (e *camtEntry) allCharges() [7]int64 {
	tx, own := e.split.charges, e.charges
	own.total = cmp.Or(own.total, own.records)
	all := [7]int64{1: tx.records, tx.total, own.records, own.total}
	if tx.add(own) == nil {
		all[5], all[6] = tx.records, tx.total
	}
	return all
}

// proveEntry compares the entry with what its transactions and charges come to.
func (p *camt) proveEntry(computed int64) error {
	e := &p.entry
	text := func(minor int64) string { return money.Amount{Currency: e.amount.Currency, Minor: minor}.String() }
	return p.emit(Part{Proof: &Proof{At: e.at, Rule: RuleEntry, Stated: text(e.moves()), Computed: text(computed)}})
}
