package saga

import (
	"encoding/json"
	"time"
)

// EventType is what happened.
type EventType string

// The types of events.
const (
	// Started: the saga exists; its first step is open.
	Started EventType = "started"
	// StepDone: the open step took effect; the next one is open.
	StepDone EventType = "step_done"
	// StepRefused: the open step was refused, nothing happened.
	StepRefused EventType = "step_refused"
	// StepUnknown: the open step was sent and its outcome is not known.
	StepUnknown EventType = "step_unknown"
	// StepPending: the participant has taken the open step over, and is not done with it.
	StepPending EventType = "step_pending"
	// StepNotFound: the open step was looked up, and its participant has never seen it.
	StepNotFound EventType = "step_not_found"
	// CompensationDecided: the saga turns back, for a cause.
	CompensationDecided EventType = "compensation_decided"
	// StepCompensated: nothing is left of a step.
	StepCompensated EventType = "step_compensated"
	// CompensationUnknown: a compensation was sent and its outcome is not known.
	CompensationUnknown EventType = "compensation_unknown"
	// CompensationPending: the participant has taken a compensation over, and is not done with it.
	CompensationPending EventType = "compensation_pending"
	// SagaCompleted: every step is done.
	SagaCompleted EventType = "completed"
	// SagaCompensated: everything that may have been done is undone.
	SagaCompensated EventType = "compensated"
	// SagaParked: a person is needed, for a cause.
	SagaParked EventType = "parked"

	// What operators do, each with its actor and reason.

	// SagaPaused: nothing more is sent until it is resumed.
	SagaPaused EventType = "paused"
	// SagaResumed: a paused saga goes on.
	SagaResumed EventType = "resumed"
	// SagaRetried: what waits is tried now, and a parked saga goes on where it stopped, with new patience.
	SagaRetried EventType = "retried"
	// StepResolved: a person has found out that a step, or its compensation, took effect.
	StepResolved EventType = "step_resolved"
	// StepRuledOut: a person has found out that the open step did not happen and never will.
	StepRuledOut EventType = "step_ruled_out"
	// StepSkipped: a person has decided that the saga goes on without a step, or without its compensation.
	StepSkipped EventType = "step_skipped"
)

// ofStep tells whether it happens to a step, or to the saga as a whole.
func (t EventType) ofStep() bool {
	switch t {
	case StepDone, StepRefused, StepUnknown, StepPending, StepNotFound, StepCompensated, CompensationUnknown,
		CompensationPending, StepResolved, StepRuledOut, StepSkipped:
		return true
	}
	return false
}

// ComesUp tells whether a step, or its compensation, comes up by it: what happened before was another's, or a person has given
// the step a new chance.
func (t EventType) ComesUp() bool {
	switch t {
	case Started, StepDone, StepRefused, CompensationDecided, StepCompensated, SagaRetried, StepResolved, StepRuledOut, StepSkipped:
		return true
	}
	return false
}

// Event is one fact of a saga's history.
type Event struct {
	Seq  int
	Type EventType
	// Step names the step it happened to; empty for the saga as a whole.
	Step string
	At   time.Time
	Detail
}

// Info is what a participant says with a refusal for machines, its google.rpc.ErrorInfo and ResourceInfo.
type Info struct {
	// Reason is the registered reason: "PAYMENT_DECLINED".
	Reason string `json:"reason,omitempty"`
	// Resource is the id of what it is about; empty where there is nothing.
	Resource string `json:"resource,omitempty"`
	// Metadata are further facts: "declineReason".
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Detail is the rest of a fact; each field belongs to the types that name it.
type Detail struct {
	// Cause says why: whatever did not go well, and the reason of what a person did.
	Cause string `json:"cause,omitempty"`
	// Result is what the step answered, as JSON: StepDone.
	Result json.RawMessage `json:"result,omitempty"`
	// Info is what the participant said with it: StepRefused.
	Info Info `json:"info,omitzero"`
	// Actor is who did it: the operators' events, and CompensationDecided when a person decided.
	Actor string `json:"actor,omitempty"`
	// Evidence is what a person relied on: StepResolved, StepRuledOut, StepSkipped.
	Evidence string `json:"evidence,omitempty"`
	// RetryAt is when it is tried again: StepUnknown, CompensationUnknown; or asked again: StepPending,
	// CompensationPending.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// Deadline is the saga's: Started.
	Deadline time.Time `json:"deadline,omitzero"`
}
