package payment

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/provider"
)

// opState is what is known of an operation, as in the proto and in the database.
type opState int16

const (
	opCreated   opState = 1 // durable, and nothing has left, or it certainly did not arrive
	opSent      opState = 2 // may have left
	opUnknown   opState = 3 // may have left, and the answer was lost
	opDone      opState = 4 // has happened
	opDeclined  opState = 5 // the provider said no
	opAbandoned opState = 6 // given up before it left, or when it certainly had not arrived
)

// open: it may or may not have happened.
func (s opState) open() bool { return s == opSent || s == opUnknown }

// ops are the operations, at their number in the proto and in the database.
var ops = [...]provider.Op{1: provider.Charge, 2: provider.Authorize, 3: provider.Capture, 4: provider.Void, 5: provider.Refund}

// operation is something that the provider is asked for about a payment. At most the last one of a payment is open.
type operation struct {
	Payment       PaymentID
	Seq           int16
	Op            provider.Op
	State         opState
	Amount        money.Amount
	Key           string // under which the provider knows it
	ID            string // the provider's
	DeclineReason string
	Sends         int32
	LastSentAt    *time.Time // nil: it is not on its way
	Looks         int32
	LookAt        *time.Time // when the resolver asks; nil where nothing is in doubt
	ByOperator    bool
	Calls         []call
	CreatedAt     time.Time
	UpdatedAt     time.Time

	// Of one that is written.
	lookIn time.Duration // until the resolver asks, where it is open
	leaves bool          // it may leave from now on
}

// opColumn reads an operation as it is in the database.
type opColumn provider.Op

// ScanInt64 implements pgtype.Int64Scanner.
func (c *opColumn) ScanInt64(n pgtype.Int8) error {
	if n.Int64 < 1 || n.Int64 >= int64(len(ops)) {
		return fmt.Errorf("there is no operation %d", n.Int64)
	}
	*c = opColumn(ops[n.Int64])
	return nil
}

func opNumber(o provider.Op) int16 { return int16(slices.Index(ops[:], o)) }

// call is one exchange with the provider.
type call struct {
	At      time.Time `json:"at"`
	Ask     string    `json:"ask"`
	Outcome string    `json:"outcome"`
	Detail  string    `json:"detail,omitempty"`
}

// maxCalls is how many exchanges are kept of an operation, and maxDetail how much of what was wrong, in bytes.
const (
	maxCalls  = 50
	maxDetail = 300
)

// noted is the operation with one more exchange.
func (o operation) noted(c call) operation {
	calls := append(slices.Clone(o.Calls), c)
	o.Calls = calls[max(0, len(calls)-maxCalls):]
	return o
}

// request is what the provider is asked.
func (o operation) request(p payment) provider.Request {
	r := provider.Request{Op: o.Op, Key: o.Key, Amount: o.Amount}
	if o.Op.Follows() {
		r.ChargeID = p.ChargeID
	} else {
		r.PaymentMethod, r.Reference = p.Method, p.Reference
	}
	return r
}

// untilSettled is how much longer, from a time of the database's clock, the provider's knowing nothing of the operation
// does not count: it may still be travelling, or not be shown yet.
func (o operation) untilSettled(c provider.Capabilities, now time.Time) time.Duration {
	if o.LastSentAt == nil {
		return 0
	}
	return max(0, o.LastSentAt.Add(c.CallTimeout+c.NotFoundLag).Sub(now))
}

// maySend tells whether the provider still remembers the key for sure, so that a second send has no second effect; past
// 80 % of the key's lifetime it is only asked.
func (o operation) maySend(c provider.Capabilities, now time.Time) bool {
	return o.Sends == 0 || c.KeyLifetime == 0 || now.Sub(o.CreatedAt) < c.KeyLifetime/5*4
}

// finding is what is learnt of an operation.
type finding int

const (
	happened  finding = iota // the provider has done it
	refusedIt                // the provider said no
	lost                     // the answer
	unsent                   // nothing has left this time
	absent                   // it left, and certainly did not arrive
	sent                     // it may leave from now on
	abandoned                // it will not be sent any more
)

// findingOf is what a provider's word means for an operation that may have left. What is no word about it is none.
func findingOf(k provider.Kind) finding {
	switch k {
	case provider.Succeeded:
		return happened
	case provider.Declined, provider.MethodUnknown:
		return refusedIt
	case provider.NotFound:
		return absent
	}
	return lost
}

// definite: the provider has decided it.
func (f finding) definite() bool { return f == happened || f == refusedIt }

// learn gives what an operation, the payment's last, and its payment become by what is learnt; by is what happened to
// the payment, empty when nothing did. An error says that the tables do not have it.
func (p payment) learn(f finding, said provider.Outcome) (becomes payment, by change, err error) {
	o, known := p.Last, false
	switch f {
	case happened:
		o.State, o.ID, known = opDone, said.ID, true
	case refusedIt:
		o.State, o.ID, o.DeclineReason, known = opDeclined, said.ID, said.Reason, true
	case lost:
		o.State = opUnknown
	case unsent:
		o.State, o.Sends, known = opCreated, max(0, o.Sends-1), true
	case absent:
		o.State, known = opCreated, true
	case sent:
		o.State, o.Sends, o.Looks, o.leaves = max(opSent, o.State), o.Sends+1, 0, true
	case abandoned:
		o.State, known = opAbandoned, true
	}
	if known {
		o.LastSentAt, o.LookAt = nil, nil
	}
	if p.Last.State > opUnknown || p.Last.State == opCreated && f != sent && f != abandoned {
		return p, "", fmt.Errorf("an operation in state %d is not learnt to be %d", p.Last.State, f)
	}
	by = p.changeBy(o, f)
	becomes = p
	becomes.Last = o
	switch by {
	case "":
		return becomes, by, nil
	case changeCapture:
		becomes.Captured = o.Amount.Minor
	case changeRefundPart, changeRefundAll:
		becomes.Refunded += o.Amount.Minor
	case changeDecline:
		becomes.DeclineReason = said.Reason
	}
	if f == happened && !o.Op.Follows() {
		becomes.ChargeID = said.ID
	}
	becomes.State, err = p.State.after(by)
	return becomes, by, err
}

// changeBy is what a finding about its last operation means for the payment; empty for nothing.
func (p payment) changeBy(o operation, f finding) change {
	if f == sent && p.Last.State.open() { // once more
		return ""
	}
	switch o.Op {
	case provider.Charge, provider.Authorize:
		return map[finding]change{
			happened:  map[provider.Op]change{provider.Charge: changeCapture, provider.Authorize: changeAuthorize}[o.Op],
			sent:      map[provider.Op]change{provider.Charge: changeSendCharge, provider.Authorize: changeSendAuthorize}[o.Op],
			refusedIt: changeDecline, lost: p.loses(), unsent: changeUnsend, absent: changeUnsend, abandoned: changeVoid,
		}[f]
	case provider.Capture:
		return map[finding]change{
			happened: changeCapture, sent: changeSendCapture, refusedIt: changeKeep, lost: p.loses(), unsent: changeKeep, absent: changeKeep,
		}[f]
	case provider.Void:
		by := map[finding]change{happened: changeVoid, lost: p.loses(), refusedIt: changeKeep, unsent: changeKeep, absent: changeKeep}[f]
		if by == changeKeep && p.State == authorized { // which it was kept as
			return ""
		}
		return by
	case provider.Refund:
		if f != happened {
			return ""
		}
		if p.Refunded+o.Amount.Minor < p.Captured {
			return changeRefundPart
		}
		return changeRefundAll
	}
	return ""
}

// loses is the change by an answer that is lost; none when it was before.
func (p payment) loses() change {
	if p.State == unknown {
		return ""
	}
	return changeLose
}
