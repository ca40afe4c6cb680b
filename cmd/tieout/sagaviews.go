package main

import (
	"io"
	"strconv"

	"github.com/tieout/tieout/cmd/tieout/output"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

var sagaView = output.View[*sagav1.Saga]{
	JSON: output.Message[*sagav1.Saga],
	Columns: []output.Column[*sagav1.Saga]{
		{Name: "saga_id", Value: (*sagav1.Saga).GetSagaId},
		{Name: "definition", Value: func(s *sagav1.Saga) string {
			return s.GetDefinition() + " v" + strconv.Itoa(int(s.GetDefinitionVersion()))
		}},
		{Name: "phase", Value: phaseOf},
		{Name: "step", Value: (*sagav1.Saga).GetStep},
		{Name: "order_id", Value: (*sagav1.Saga).GetOrderId},
		{Name: "customer_id", Value: (*sagav1.Saga).GetCustomerId},
		{Name: "total", Value: func(s *sagav1.Saga) string { return amount(s.GetTotal()) }},
		{Name: "money_at_risk", Value: func(s *sagav1.Saga) string { return amount(s.GetMoneyAtRisk()) }},
		{Name: "create_time", Value: func(s *sagav1.Saga) string { return instant(s.GetCreateTime()) }},
		{Name: "next_action_time", Value: func(s *sagav1.Saga) string { return instant(s.GetNextActionTime()) }},
		{Name: "cause", Value: (*sagav1.Saga).GetCause},
	},
	Fields: []output.Column[*sagav1.Saga]{
		{Name: "update_time", Value: func(s *sagav1.Saga) string { return instant(s.GetUpdateTime()) }},
		{Name: "deadline", Value: func(s *sagav1.Saga) string { return instant(s.GetDeadline()) }},
		{Name: "sequence", Value: func(s *sagav1.Saga) string { return strconv.Itoa(int(s.GetSequence())) }},
	},
	Sections: func(w io.Writer, s *sagav1.Saga) error {
		if err := output.Section(w, "Steps", stepColumns, s.GetSteps()); err != nil {
			return err
		}
		return output.Section(w, "History", eventColumns, s.GetEvents())
	},
}

var stepColumns = []output.Column[*sagav1.SagaStep]{
	{Name: "step", Value: (*sagav1.SagaStep).GetName},
	{Name: "kind", Value: (*sagav1.SagaStep).GetKind},
	{Name: "execution", Value: (*sagav1.SagaStep).GetExecution},
	{Name: "attempts", Value: func(s *sagav1.SagaStep) string { return strconv.Itoa(int(s.GetAttempts())) }},
	{Name: "compensation", Value: (*sagav1.SagaStep).GetCompensation},
	{Name: "attempts", Value: func(s *sagav1.SagaStep) string { return strconv.Itoa(int(s.GetCompensationAttempts())) }},
	{Name: "idempotency_key", Value: (*sagav1.SagaStep).GetIdempotencyKey},
}

var eventColumns = []output.Column[*sagav1.SagaEvent]{
	{Name: "sequence", Value: func(e *sagav1.SagaEvent) string { return strconv.Itoa(int(e.GetSequence())) }},
	{Name: "time", Value: func(e *sagav1.SagaEvent) string { return instant(e.GetTime()) }},
	{Name: "type", Value: (*sagav1.SagaEvent).GetType},
	{Name: "step", Value: (*sagav1.SagaEvent).GetStep},
	{Name: "detail", Value: (*sagav1.SagaEvent).GetDetailJson},
}

var eventView = output.View[*sagav1.SagaEvent]{JSON: output.Message[*sagav1.SagaEvent], Columns: eventColumns}

var explainView = output.View[*sagav1.ExplainSagaResponse]{
	JSON: output.Message[*sagav1.ExplainSagaResponse],
	Columns: []output.Column[*sagav1.ExplainSagaResponse]{
		{Name: "waits_for", Value: (*sagav1.ExplainSagaResponse).GetWaitsFor},
		{Name: "why", Value: (*sagav1.ExplainSagaResponse).GetWhy},
		{Name: "unblocked_by", Value: (*sagav1.ExplainSagaResponse).GetUnblockedBy},
	},
}

var operationView = output.View[*sagav1.SagaOperation]{
	JSON: output.Message[*sagav1.SagaOperation],
	Columns: []output.Column[*sagav1.SagaOperation]{
		{Name: "operation_id", Value: (*sagav1.SagaOperation).GetOperationId},
		{Name: "state", Value: func(o *sagav1.SagaOperation) string { return enum(o.GetState(), "SAGA_OPERATION_STATE_") }},
		{Name: "verb", Value: func(o *sagav1.SagaOperation) string { return verbName(o.GetVerb()) }},
		{Name: "matched", Value: func(o *sagav1.SagaOperation) string { return pieces(o.GetMatched()) }},
		{Name: "possible", Value: func(o *sagav1.SagaOperation) string { return pieces(o.GetPossible()) }},
		{Name: "done", Value: func(o *sagav1.SagaOperation) string { return pieces(o.GetDone()) }},
		{Name: "refused", Value: func(o *sagav1.SagaOperation) string { return pieces(o.GetRefused()) }},
		{Name: "totals", Value: sums},
		{Name: "create_time", Value: func(o *sagav1.SagaOperation) string { return instant(o.GetCreateTime()) }},
		{Name: "planned_by", Value: (*sagav1.SagaOperation).GetPlannedBy},
		{Name: "reason", Value: (*sagav1.SagaOperation).GetReason},
		{Name: "filter", Value: (*sagav1.SagaOperation).GetFilter},
	},
	Fields: []output.Column[*sagav1.SagaOperation]{
		{Name: "step", Value: (*sagav1.SagaOperation).GetStep},
		{Name: "evidence", Value: (*sagav1.SagaOperation).GetEvidence},
		{Name: "expire_time", Value: func(o *sagav1.SagaOperation) string { return instant(o.GetExpireTime()) }},
		{Name: "applied_by", Value: (*sagav1.SagaOperation).GetAppliedBy},
		{Name: "apply_time", Value: func(o *sagav1.SagaOperation) string { return instant(o.GetApplyTime()) }},
		{Name: "cancelled_by", Value: (*sagav1.SagaOperation).GetCancelledBy},
		{Name: "cancel_reason", Value: (*sagav1.SagaOperation).GetCancelReason},
		{Name: "end_time", Value: func(o *sagav1.SagaOperation) string { return instant(o.GetEndTime()) }},
	},
	Sections: func(w io.Writer, o *sagav1.SagaOperation) error {
		if err := output.Section(w, "Totals", totalColumns, o.GetTotals()); err != nil {
			return err
		}
		return output.Section(w, "Refusals", refusalColumns, o.GetRefusals())
	},
}

var totalColumns = []output.Column[*sagav1.SagaOperationTotal]{
	{Name: "sagas", Value: func(t *sagav1.SagaOperationTotal) string { return pieces(t.GetCount()) }},
	{Name: "sum", Value: func(t *sagav1.SagaOperationTotal) string { return amount(t.GetSum()) }},
}

var refusalColumns = []output.Column[*sagav1.SagaRefusal]{
	{Name: "saga_id", Value: (*sagav1.SagaRefusal).GetSagaId},
	{Name: "reason", Value: (*sagav1.SagaRefusal).GetReason},
}

// phaseOf is where a saga stands, as people say it.
func phaseOf(s *sagav1.Saga) string {
	if s.GetPaused() {
		return enum(s.GetPhase(), "SAGA_PHASE_") + ", paused"
	}
	return enum(s.GetPhase(), "SAGA_PHASE_")
}
