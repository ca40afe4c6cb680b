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

// The faults. "Before" and "after" are of the effect; a fault that is neither is after it. A lookup has no effect.
const (
	FaultTimeoutBefore FaultKind = "timeout_before" // nothing happens, and no answer comes
	FaultTimeoutAfter  FaultKind = "timeout_after"  // it happens, and no answer comes
	FaultLostBefore    FaultKind = "lost_before"    // nothing happens, and the connection dies with the answer
	FaultLostAfter     FaultKind = "lost_after"     // it happens, and the connection dies with the answer
	FaultErrorBefore   FaultKind = "error_before"   // nothing happens, and the answer is Status
	FaultErrorAfter    FaultKind = "error_after"    // it happens, and the answer is Status
	FaultRateLimited   FaultKind = "rate_limited"   // nothing happens, and the answer is 429 with RetryAfter
	FaultMalformed     FaultKind = "malformed"      // it happens, and the answer breaks off in mid JSON
	FaultOtherAmount   FaultKind = "other_amount"   // it happens with AmountDelta more, or less if there is no more
	FaultDrip          FaultKind = "drip"           // it happens, and the answer comes a byte each DelayMillis
	FaultSlow          FaultKind = "slow"           // it happens, and the answer comes after DelayMillis
	FaultDecline       FaultKind = "decline"        // a charge or an authorization is declined with DeclineCode
	FaultNotFound      FaultKind = "not_found"      // a lookup does not find what is younger than DelayMillis
)

// A Fault says how requests are to go wrong, and which.
type Fault struct {
	Kind FaultKind `json:"fault"`
	// Op narrows it to one kind of operation: charge, authorize, capture, void or refund.
	Op EntryType `json:"op,omitempty"`
	// Lookup has it go wrong with lookups of such operations, instead of the operations themselves. Those of charges and
	// authorizations are the same.
	Lookup bool `json:"lookup,omitempty"`
	// PaymentMethod narrows it to requests with this payment method, about a charge with it, or lookups that find it.
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

func (f Fault) validate() error {
	switch f.Kind {
	case FaultTimeoutBefore, FaultTimeoutAfter, FaultLostBefore, FaultLostAfter, FaultErrorBefore, FaultErrorAfter,
		FaultRateLimited, FaultMalformed, FaultDrip, FaultSlow:
	case FaultOtherAmount, FaultDecline, FaultNotFound:
		if f.Lookup != (f.Kind == FaultNotFound) {
			return invalid(codeInvalidParam, "lookup", "must be given with not_found, and not with decline and other_amount")
		}
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

// target is what a fault may be for: a request, or a lookup of one.
type target struct {
	op     EntryType
	lookup bool
	method string // the payment method; empty of a lookup that finds nothing
}

// hits says whether the fault is for this.
func (f Fault) hits(r target) bool {
	op := f.Op
	if r.lookup && op == TypeAuthorize {
		op = TypeCharge
	}
	switch {
	case f.Lookup != r.lookup, f.Kind == FaultDecline && r.op.follows():
		return false
	}
	return (op == "" || op == r.op) && (f.PaymentMethod == "" || f.PaymentMethod == r.method)
}

// silent says whether requests get no answer.
func (f Fault) silent() bool { return f.Kind == FaultTimeoutBefore || f.Kind == FaultTimeoutAfter }

// prevents says whether requests have no effect.
func (f Fault) prevents() bool {
	return slices.Contains([]FaultKind{FaultTimeoutBefore, FaultLostBefore, FaultErrorBefore, FaultRateLimited}, f.Kind)
}

func (f Fault) refusal() *apiError {
	return &apiError{status: http.StatusTooManyRequests, retryAfter: strconv.Itoa(max(1, f.RetryAfter)),
		Type: typeInvalid, Code: codeRateLimit, Message: "too many requests"}
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

// take gives the fault of a request or a lookup, and uses it up by one.
func (f *faults) take(r target) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.ordered {
		if !o.hits(r) {
			continue
		}
		if o.Count == 1 {
			f.ordered = slices.Delete(f.ordered, i, i+1)
		} else if o.Count > 1 {
			o.Count--
		}
		return *o
	}
	return ofMethod(r)
}
