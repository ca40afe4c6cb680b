package match

import "slices"

// Day is a civil day: the days since 1970-01-01.
type Day int32

// Key is what a row is: the same in every run and every database. Nothing is decided by the order of rows; where an order is
// needed, it is that of keys.
type Key [16]byte

// Carrier is a place where a row carries what it may be found by.
type Carrier uint8

// The carriers.
const (
	CarrierID        Carrier = iota // the provider's id of what happened: ch_…, re_…; of a bank line the servicer's reference
	CarrierParent                   // the provider's id of the charge it belongs to
	CarrierKey                      // an idempotency key, an end-to-end id
	CarrierReference                // the merchant's reference: the order, the invoice
	CarrierPayout                   // the payout that it is, or that it is part of
	NumCarriers
)

// Token stands for the text of a carrier, normalised: equal texts have equal tokens, and no others do. Zero is none.
type Token [2]uint64

// IsZero says whether there is nothing.
func (t Token) IsZero() bool { return t == Token{} }

// Kind is what a row is about. Rows of different kinds are never the same money.
type Kind uint8

// The kinds.
const (
	KindCharge Kind = iota + 1
	KindRefund
	KindChargeback
	KindChargebackReversal
	KindFee
	KindPayout
	KindReturn
	KindAdjustment
	KindTransfer
)

// Standing is how sure a row of ours is. Rows of theirs are Booked or Settled.
type Standing uint8

// The standings.
const (
	// Booked: it happened, and its counterpart is to be expected.
	Booked Standing = iota
	// InDoubt: the outcome is not known. A counterpart proves it (UNKNOWN_RESOLVED); without one nothing is missing.
	InDoubt
	// Refused: it is said to have failed. A counterpart contradicts it (STATE_CONFLICT); without one nothing is missing.
	Refused
	// Settled: an earlier run matched it. It is never matched again and is in no sum; that it is there tells that what carries
	// the same id is a duplicate, and not something that nobody knows of.
	Settled
)

// Row is one movement of money on one side. It has no pointers, so that millions of them cost no more than their size.
type Row struct {
	Key Key
	// ID is how the caller finds the row again. Nothing is decided by it.
	ID int64
	// Amount is what it moves before fees, in minor units; more than zero to us.
	Amount int64
	// Fee is what is kept of it, in minor units: of theirs as reported, of ours as the fee schedule has it; see FeeKnown.
	Fee int64
	// Adjust is, of a payout, by how much the findings about its lines say that it is off: what really was paid out should be
	// Amount + Adjust. In minor units.
	Adjust int64
	// Refused is, of a payout, by how much it is off besides when lines that we say were refused were not paid out. In minor units.
	Refused int64
	// Day is when it happened (provider), or from when it counts (bank).
	Day Day
	// Due is, of ours, the last day on which the counterpart may still come.
	Due      Day
	Kind     Kind
	Standing Standing
	// FeeKnown says of ours that Fee is what is expected; otherwise any fee will do.
	FeeKnown bool
	// Carriers are what it may be found by.
	Carriers [NumCarriers]Token
}

// Net is what arrives: the amount less the fee. It must not overflow; whoever makes rows sees to that.
func (r Row) Net() int64 { return r.Amount - r.Fee }

// offs are by how much a counterpart may differ from the row: not at all, or, of a payout whose report is known to be off, by that;
// and nobody knows of what we say was refused whether it was paid out.
func (r *Row) offs() []int64 { return offsOf(r.Adjust, r.Refused) }

var asReported = []int64{0}

func offsOf(adjust, refused int64) []int64 {
	if adjust == 0 && refused == 0 {
		return asReported
	}
	return slices.Compact([]int64{0, adjust, adjust + refused})
}
