package orchestrator

import (
	"time"

	"github.com/tieout/tieout/services/orchestrator/saga"
)

// The calls that definitions name; steps.go says what each sends.
const (
	callReserve = "inventory.Reserve"
	callRelease = "inventory.Release"
	callCommit  = "inventory.Commit"
	callCharge  = "payment.Charge"
	// callChargeRecurring is callCharge for batches, which wait in a lane of their own.
	callChargeRecurring = "payment.ChargeRecurring"
	callRefund          = "payment.Refund"
	callAuthorize       = "payment.Authorize"
	callVoid            = "payment.Void"
	callCapture         = "payment.Capture"
	callSchedule        = "shipment.Schedule"
	callCancel          = "shipment.Cancel"
	callLookUp          = "shipment.LookUp"
)

const (
	stepReserve   = "reserve"
	stepCharge    = "charge"
	stepAuthorize = "authorize"
	stepShip      = "ship"
	stepCapture   = "capture"
	stepCommit    = "commit"
)

// orderSagas are the versions of the order saga; new orders run the last one.
var orderSagas = []saga.Definition{orderV1, orderV2}

// orderV1 is the order saga: reserve the stock, charge the customer, ship, take the stock out.
var orderV1 = saga.Definition{
	Name: "order", Version: 1, Deadline: 15 * time.Minute,
	Steps: []saga.Step{
		{
			Name: stepReserve, Kind: saga.Compensatable, Execute: callReserve, Compensate: callRelease,
			Forward: patience(5*time.Second, 8), Back: patience(5*time.Second, untilSomeoneLooks),
		},
		{
			// A charge may hang at the provider, and be looked up before it is tried again.
			Name: stepCharge, Kind: saga.Compensatable, Execute: callCharge, Compensate: callRefund, Money: true,
			Forward: patience(10*time.Second, 6), Back: patience(10*time.Second, untilSomeoneLooks),
		},
		{
			Name: stepShip, Kind: saga.Pivot, Execute: callSchedule, Compensate: callCancel, Lookup: callLookUp,
			Forward: patience(10*time.Second, untilSomeoneLooks), Back: patience(10*time.Second, untilSomeoneLooks),
		},
		{
			Name: stepCommit, Kind: saga.Retriable, Execute: callCommit,
			Forward: patience(5*time.Second, untilSomeoneLooks),
		},
	},
}

// orderV2 takes the money when the goods are on their way: reserve the stock, set the money aside, ship, take the money,
// take the stock out. What turns back before it ships is never charged, and has nothing to be refunded.
var orderV2 = saga.Definition{
	Name: "order", Version: 2, Deadline: 15 * time.Minute,
	Steps: []saga.Step{
		{
			Name: stepReserve, Kind: saga.Compensatable, Execute: callReserve, Compensate: callRelease,
			Forward: patience(5*time.Second, 8), Back: patience(5*time.Second, untilSomeoneLooks),
		},
		{
			// An authorization may hang at the provider, and be looked up before it is tried again.
			Name: stepAuthorize, Kind: saga.Compensatable, Execute: callAuthorize, Compensate: callVoid, Money: true,
			Forward: patience(10*time.Second, 6), Back: patience(10*time.Second, untilSomeoneLooks),
		},
		{
			Name: stepShip, Kind: saga.Pivot, Execute: callSchedule, Compensate: callCancel, Lookup: callLookUp,
			Forward: patience(10*time.Second, untilSomeoneLooks), Back: patience(10*time.Second, untilSomeoneLooks),
		},
		{
			// The goods are on their way: a capture that is refused, or stays unknown, is for a person to look at.
			Name: stepCapture, Kind: saga.Retriable, Execute: callCapture, Money: true,
			Forward: patience(10*time.Second, untilSomeoneLooks),
		},
		{
			Name: stepCommit, Kind: saga.Retriable, Execute: callCommit,
			Forward: patience(5*time.Second, untilSomeoneLooks),
		},
	},
}

// untilSomeoneLooks is as many attempts as fill about a quarter of an hour; then an operator is told.
const untilSomeoneLooks = 60

func patience(timeout time.Duration, attempts int) saga.Retry {
	return saga.Retry{Timeout: timeout, Initial: 100 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Attempts: attempts}
}
