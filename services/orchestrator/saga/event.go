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
	// CompensationDecided: the saga turns back, for a cause.
	CompensationDecided EventType = "compensation_decided"
	// StepCompensated: nothing is left of a step.
	StepCompensated EventType = "step_compensated"
	// CompensationUnknown: a compensation was sent and its outcome is not known.
	CompensationUnknown EventType = "compensation_unknown"
	// SagaCompleted: every step is done.
	SagaCompleted EventType = "completed"
	// SagaCompensated: everything that may have been done is undone.
	SagaCompensated EventType = "compensated"
	// SagaParked: a person is needed, for a cause.
	SagaParked EventType = "parked"
)

// Event is one fact of a saga's history.
type Event struct {
	Seq  int
	Type EventType
	// Step names the step it happened to; empty for the saga as a whole.
	Step string
	At   time.Time
	Detail
}

// Detail is the rest of a fact; each field belongs to the types that name it.
type Detail struct {
	// Cause says why: StepRefused, StepUnknown, CompensationUnknown, CompensationDecided, SagaParked.
	Cause string `json:"cause,omitempty"`
	// Result is what the step answered, as JSON: StepDone.
	Result json.RawMessage `json:"result,omitempty"`
	// RetryAt is when it is tried again: StepUnknown, CompensationUnknown.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// Deadline is the saga's: Started.
	Deadline time.Time `json:"deadline,omitzero"`
}
