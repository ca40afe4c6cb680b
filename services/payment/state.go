package payment

import "fmt"

// state is where a payment stands, as in the proto and in the database.
type state int16

const (
	// capturing: the charge, or the capture of the authorization, is durable and may have left. After a restart its
	// next request, or the resolver, asks the provider what became of it.
	capturing state = 1
	// unknown: the provider was asked and the answer was lost. After a restart as capturing; told to the world.
	unknown state = 2
	// captured: the provider has taken the money. After a restart nothing is due; a refund that was begun is an
	// operation of its own, and the payment stays captured until it is known.
	captured state = 3
	// declined: the provider said no. Final.
	declined state = 4
	// refunded: all the money went back. Final, but for a chargeback.
	refunded state = 5
	// voided: no money was taken, and none will be. Final.
	voided state = 6
	// created: durable, and nothing has left, or it certainly did not arrive. After a restart the next request sends.
	created state = 7
	// authorizing: as capturing, for an authorization.
	authorizing state = 8
	// authorized: the provider has set the money aside. After a restart nothing is due; a void that was begun is
	// looked up.
	authorized state = 9
	// partiallyRefunded: as captured, and a part of it went back.
	partiallyRefunded state = 10
	// chargeback: the customer's bank took money back. Until it is reversed.
	chargeback state = 11
)

var stateNames = map[state]string{
	capturing: "capturing", unknown: "unknown", captured: "captured", declined: "declined", refunded: "refunded",
	voided: "voided", created: "created", authorizing: "authorizing", authorized: "authorized",
	partiallyRefunded: "partially_refunded", chargeback: "chargeback",
}

// String is the name of the state.
func (s state) String() string { return stateNames[s] }

// change is what can happen to a payment.
type change string

const (
	changeSendCharge    change = "send charge"
	changeSendAuthorize change = "send authorize"
	changeSendCapture   change = "send capture"
	changeUnsend        change = "unsend" // the charge or authorization has certainly not arrived
	changeAuthorize     change = "authorize"
	changeCapture       change = "capture"
	changeDecline       change = "decline"
	changeLose          change = "lose" // the answer to what was asked
	changeKeep          change = "keep" // the authorization, which was certainly neither captured nor voided
	changeVoid          change = "void"
	changeRefundPart    change = "refund part"
	changeRefundAll     change = "refund all"
	changeChargeBack    change = "charge back"
	changeReverse       change = "reverse" // the chargeback, of a payment of which nothing was refunded
	changeReversePart   change = "reverse, part refunded"
	changeReverseAll    change = "reverse, all refunded"
)

// transition is a row of the table.
type transition struct {
	from state
	by   change
	to   state
}

// transitions are all there are.
var transitions = []transition{
	{created, changeSendCharge, capturing},
	{created, changeSendAuthorize, authorizing},
	{created, changeVoid, voided},

	{authorizing, changeAuthorize, authorized},
	{authorizing, changeDecline, declined},
	{authorizing, changeLose, unknown},
	{authorizing, changeUnsend, created},

	{authorized, changeSendCapture, capturing},
	{authorized, changeVoid, voided},
	{authorized, changeLose, unknown},

	{capturing, changeCapture, captured},
	{capturing, changeDecline, declined},
	{capturing, changeLose, unknown},
	{capturing, changeUnsend, created},
	{capturing, changeKeep, authorized},

	{unknown, changeAuthorize, authorized},
	{unknown, changeCapture, captured},
	{unknown, changeDecline, declined},
	{unknown, changeUnsend, created},
	{unknown, changeKeep, authorized},
	{unknown, changeVoid, voided},

	{captured, changeRefundPart, partiallyRefunded},
	{captured, changeRefundAll, refunded},
	{captured, changeChargeBack, chargeback},
	{partiallyRefunded, changeRefundPart, partiallyRefunded},
	{partiallyRefunded, changeRefundAll, refunded},
	{partiallyRefunded, changeChargeBack, chargeback},
	{refunded, changeChargeBack, chargeback},

	{chargeback, changeChargeBack, chargeback},
	{chargeback, changeReverse, captured},
	{chargeback, changeReversePart, partiallyRefunded},
	{chargeback, changeReverseAll, refunded},
}

// after is the state that a change leads to; an error when the table does not have it.
func (s state) after(by change) (state, error) {
	for _, t := range transitions {
		if t.from == s && t.by == by {
			return t.to, nil
		}
	}
	return 0, fmt.Errorf("a payment that is %s cannot %s", s, by)
}
