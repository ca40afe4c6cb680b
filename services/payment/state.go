package payment

import "fmt"

// state is where a payment stands, as in the proto and in the database.
type state int16

const (
	// capturing: durable, and if it was sent, the provider may have been asked. After a restart: look up, and
	// send (again) only if the provider knows nothing of it.
	capturing state = 1
	// unknown: the provider was asked and the answer was lost. After a restart as capturing; told to the world.
	unknown state = 2
	// captured: the provider has taken the money. After a restart nothing is due, unless a refund was begun:
	// then that is looked up, by a key of its own.
	captured state = 3
	// declined: the provider said no. Final.
	declined state = 4
	// refunded: all the money went back. Final.
	refunded state = 5
	// voided: no money was taken, and none will be. Final.
	voided state = 6
)

// change is what can happen to a payment.
type change string

const (
	changeCapture change = "capture"
	changeDecline change = "decline"
	changeLose    change = "lose" // the answer to whether it was captured
	changeRefund  change = "refund"
	changeVoid    change = "void"
)

// transitions are all there are.
var transitions = []struct {
	from state
	by   change
	to   state
}{
	{capturing, changeCapture, captured},
	{capturing, changeDecline, declined},
	{capturing, changeLose, unknown},
	{capturing, changeVoid, voided},
	{unknown, changeCapture, captured},
	{unknown, changeDecline, declined},
	{unknown, changeVoid, voided},
	{captured, changeRefund, refunded},
}

// after is the state that a change leads to; an error when the table does not have it.
func (s state) after(by change) (state, error) {
	for _, t := range transitions {
		if t.from == s && t.by == by {
			return t.to, nil
		}
	}
	return 0, fmt.Errorf("a payment in state %d cannot %s", s, by)
}
