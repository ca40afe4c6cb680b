package pspsim

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A FaultKind is a way to misbehave.
type FaultKind string

// The faults. "Before" and "after" are of the effect; a fault that is neither is after it.
const (
	FaultTimeoutBefore FaultKind = "timeout_before" // nothing happens, and no answer comes
	FaultTimeoutAfter  FaultKind = "timeout_after"  // it happens, and no answer comes
	FaultErrorBefore   FaultKind = "error_before"   // nothing happens, and the answer is Status
	FaultErrorAfter    FaultKind = "error_after"    // it happens, and the answer is Status
	FaultRateLimited   FaultKind = "rate_limited"   // nothing happens, and the answer is 429 with RetryAfter
	FaultMalformed     FaultKind = "malformed"      // it happens, and the answer breaks off in mid JSON
	FaultOtherAmount   FaultKind = "other_amount"   // it happens with AmountDelta more, or less
	FaultDrip          FaultKind = "drip"           // it happens, and the answer comes a byte each DelayMillis
	FaultSlow          FaultKind = "slow"           // it happens, and the answer comes after DelayMillis
	FaultDecline       FaultKind = "decline"        // a charge or an authorization is declined with DeclineCode
)

// A Fault says how requests are to go wrong, and which.
type Fault struct {
	Kind FaultKind `json:"fault"`
	// Op narrows it to one kind of operation: charge, authorize, capture, void or refund.
	Op EntryType `json:"op,omitempty"`
	// PaymentMethod narrows it to requests with this payment method, or about a charge with it.
	PaymentMethod string `json:"payment_method,omitempty"`
	// Count is how many requests it is for; zero: all, until it is cleared.
	Count int `json:"count,omitempty"`
	// Status of an error, 500 if zero.
	Status int `json:"status,omitempty"`
	// RetryAfter is seconds, 1 if zero.
	RetryAfter int `json:"retry_after,omitempty"`
	// DeclineCode is generic_decline if empty.
	DeclineCode string `json:"decline_code,omitempty"`
	// AmountDelta is minor units, 1 if zero.
	AmountDelta int64 `json:"amount_delta,omitempty"`
	// DelayMillis is Options.SlowDelay if zero, and 100 of a drip.
	DelayMillis int `json:"delay_ms,omitempty"`

	perKey int // it is for the first so many requests of a key; zero: for all
}

// methods are the payment methods there are, and how a charge or an authorization with them goes. It is never
// written to.
var methods = map[string]Fault{
	"pm_ok":             {},
	"pm_declined":       {Kind: FaultDecline, DeclineCode: "insufficient_funds"},
	"pm_lost_card":      {Kind: FaultDecline, DeclineCode: "lost_card"},
	"pm_expired_card":   {Kind: FaultDecline, DeclineCode: "expired_card"},
	"pm_timeout_after":  {Kind: FaultTimeoutAfter},
	"pm_timeout_before": {Kind: FaultTimeoutBefore},
	"pm_500_then_ok":    {Kind: FaultErrorBefore, perKey: 1},
	"pm_500_after":      {Kind: FaultErrorAfter, perKey: 1},
	"pm_429_then_ok":    {Kind: FaultRateLimited, perKey: 1},
	"pm_malformed":      {Kind: FaultMalformed},
	"pm_other_amount":   {Kind: FaultOtherAmount},
	"pm_drip":           {Kind: FaultDrip},
	"pm_slow":           {Kind: FaultSlow},
}

func (f Fault) validate() error {
	switch f.Kind {
	case FaultTimeoutBefore, FaultTimeoutAfter, FaultErrorBefore, FaultErrorAfter, FaultRateLimited, FaultMalformed,
		FaultOtherAmount, FaultDrip, FaultSlow, FaultDecline:
	default:
		return invalid(codeInvalidParam, "fault", "there is no such fault")
	}
	if f.Op != "" && !slices.Contains([]EntryType{TypeCharge, TypeAuthorize, TypeCapture, TypeVoid, TypeRefund}, f.Op) {
		return invalid(codeInvalidParam, "op", "there is no such operation")
	}
	if f.Count < 0 || f.RetryAfter < 0 || f.DelayMillis < 0 {
		return invalid(codeInvalidParam, "", "count, retry_after and delay_ms must not be negative")
	}
	if f.Status != 0 && (f.Status < 500 || f.Status > 599) {
		return invalid(codeInvalidParam, "status", "must be 500 to 599")
	}
	return nil
}

// hits says whether the fault is for a request of this kind and payment method.
func (f Fault) hits(op EntryType, method string) bool {
	if f.Kind == FaultDecline && op != TypeCharge && op != TypeAuthorize {
		return false
	}
	return (f.Op == "" || f.Op == op) && (f.PaymentMethod == "" || f.PaymentMethod == method)
}

// silent says whether requests get no answer.
func (f Fault) silent() bool { return f.Kind == FaultTimeoutBefore || f.Kind == FaultTimeoutAfter }

// before is what a request is answered instead of being carried out; nil: it is carried out, or held.
func (f Fault) before() *apiError {
	switch f.Kind {
	case FaultErrorBefore:
		return f.failure()
	case FaultRateLimited:
		return &apiError{status: http.StatusTooManyRequests, retryAfter: strconv.Itoa(max(1, f.RetryAfter)),
			Type: typeInvalid, Code: codeRateLimit, Message: "too many requests"}
	}
	return nil
}

func (f Fault) failure() *apiError {
	status := f.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return &apiError{status: status, Type: typeAPI, Code: codeInternal, Message: "something went wrong on the provider's side"}
}

// delta is how much more takes effect than was asked for, in minor units.
func (f Fault) delta() int64 {
	switch {
	case f.Kind != FaultOtherAmount:
		return 0
	case f.AmountDelta == 0:
		return 1
	}
	return f.AmountDelta
}

func (f Fault) delay(otherwise time.Duration) time.Duration {
	if f.DelayMillis == 0 {
		return otherwise
	}
	return time.Duration(f.DelayMillis) * time.Millisecond
}

// faults are those that were ordered at run time. They come before what a payment method does by itself.
type faults struct {
	mu      sync.Mutex
	ordered []*Fault
}

// Inject orders a fault. Of several that a request fits, the one that was ordered first and is not used up counts.
func (s *Server) Inject(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.ordered = append(s.faults.ordered, &f)
	return nil
}

// ClearFaults forgets all faults that were ordered.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.ordered = nil
}

// list gives the faults that are not used up.
func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := make([]Fault, len(f.ordered))
	for i, o := range f.ordered {
		left[i] = *o
	}
	return left
}

// take gives the fault of a request, and uses it up by one. What follows a charge is not subject to what its payment
// method does by itself.
func (f *faults) take(op EntryType, method string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.ordered {
		if !o.hits(op, method) {
			continue
		}
		if o.Count == 1 {
			f.ordered = slices.Delete(f.ordered, i, i+1)
		} else if o.Count > 1 {
			o.Count--
		}
		return *o
	}
	if op == TypeCharge || op == TypeAuthorize {
		return methods[method]
	}
	return Fault{}
}
