package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/tieout/tieout/cmd/tieout/output"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

const (
	breakStatePrefix      = "BREAK_STATE_"
	breakResolutionPrefix = "BREAK_RESOLUTION_"
	breakSeverityPrefix   = "BREAK_SEVERITY_"
	breakVerbPrefix       = "BREAK_VERB_"
	breakOperationPrefix  = "BREAK_OPERATION_STATE_"
)

var breakColumns = []output.Column[*reconciliationv1.Break]{
	{Name: "break_id", Value: (*reconciliationv1.Break).GetBreakId},
	{Name: "code", Value: (*reconciliationv1.Break).GetCode},
	{Name: "severity", Value: func(b *reconciliationv1.Break) string { return enum(b.GetSeverity(), breakSeverityPrefix) }},
	{Name: "state", Value: func(b *reconciliationv1.Break) string { return enum(b.GetState(), breakStatePrefix) }},
	{Name: "resolution", Value: resolutionText},
	{Name: "amount", Value: func(b *reconciliationv1.Break) string { return amount(b.GetAmount()) }},
	{Name: "age_days", Value: func(b *reconciliationv1.Break) string { return strconv.Itoa(int(b.GetAgeDays())) }},
	{Name: "assignee", Value: (*reconciliationv1.Break).GetAssignee},
	{Name: "order_id", Value: (*reconciliationv1.Break).GetOrderId},
	{Name: "create_time", Value: func(b *reconciliationv1.Break) string { return instant(b.GetCreateTime()) }},
}

var breakFields = []output.Column[*reconciliationv1.Break]{
	{Name: "account", Value: (*reconciliationv1.Break).GetAccount},
	{Name: "payment_id", Value: (*reconciliationv1.Break).GetPaymentId},
	{Name: "subject", Value: (*reconciliationv1.Break).GetSubject},
	{Name: "snooze_until_time", Value: func(b *reconciliationv1.Break) string { return instant(b.GetSnoozeUntilTime()) }},
	{Name: "update_time", Value: func(b *reconciliationv1.Break) string { return instant(b.GetUpdateTime()) }},
	{Name: "note", Value: (*reconciliationv1.Break).GetNote},
	{Name: "action", Value: (*reconciliationv1.Break).GetAction},
	{Name: "detail", Value: (*reconciliationv1.Break).GetDetail},
}

func resolutionText(b *reconciliationv1.Break) string {
	if b.GetResolution() == 0 {
		return ""
	}
	return enum(b.GetResolution(), breakResolutionPrefix)
}

var breakView = output.View[*reconciliationv1.Break]{JSON: output.Message[*reconciliationv1.Break], Columns: breakColumns, Fields: breakFields}

var breakInFullView = output.View[*reconciliationv1.GetBreakResponse]{
	JSON: output.Message[*reconciliationv1.GetBreakResponse], Columns: ofBreak(breakColumns), Fields: ofBreak(breakFields),
	Sections: func(w io.Writer, b *reconciliationv1.GetBreakResponse) error {
		if err := output.Section(w, "Movements", breakMovementColumns, b.GetMovements()); err != nil {
			return err
		}
		if err := output.Section(w, "Journals", breakJournalColumns, b.GetJournals()); err != nil {
			return err
		}
		return output.Section(w, "History", breakEventColumns, b.GetEvents())
	},
}

// ofBreak are the columns of a break for what holds one.
func ofBreak(columns []output.Column[*reconciliationv1.Break]) (out []output.Column[*reconciliationv1.GetBreakResponse]) {
	for _, c := range columns {
		out = append(out, output.Column[*reconciliationv1.GetBreakResponse]{
			Name: c.Name, Value: func(b *reconciliationv1.GetBreakResponse) string { return c.Value(b.GetBreak()) },
		})
	}
	return out
}

var breakMovementColumns = []output.Column[*reconciliationv1.BreakMovement]{
	{Name: "side", Value: func(m *reconciliationv1.BreakMovement) string {
		if m.GetOurs() {
			return "ours"
		}
		return "theirs"
	}},
	{Name: "stage", Value: (*reconciliationv1.BreakMovement).GetStage},
	{Name: "date", Value: (*reconciliationv1.BreakMovement).GetDate},
	{Name: "amount", Value: func(m *reconciliationv1.BreakMovement) string { return amount(m.GetAmount()) }},
	{Name: "fee", Value: func(m *reconciliationv1.BreakMovement) string { return amount(m.GetFee()) }},
	{Name: "provider_id", Value: (*reconciliationv1.BreakMovement).GetProviderId},
	{Name: "key", Value: (*reconciliationv1.BreakMovement).GetKey},
	{Name: "reference", Value: (*reconciliationv1.BreakMovement).GetReference},
	{Name: "payment_id", Value: (*reconciliationv1.BreakMovement).GetPaymentId},
	{Name: "note", Value: (*reconciliationv1.BreakMovement).GetNote},
}

var breakJournalColumns = []output.Column[*reconciliationv1.BreakJournal]{
	{Name: "kind", Value: (*reconciliationv1.BreakJournal).GetKind},
	{Name: "state", Value: (*reconciliationv1.BreakJournal).GetState},
	{Name: "from", Value: (*reconciliationv1.BreakJournal).GetFromAccount},
	{Name: "to", Value: (*reconciliationv1.BreakJournal).GetToAccount},
	{Name: "amount", Value: func(j *reconciliationv1.BreakJournal) string { return amount(j.GetAmount()) }},
	{Name: "asked_by", Value: (*reconciliationv1.BreakJournal).GetAskedBy},
	{Name: "approved_by", Value: (*reconciliationv1.BreakJournal).GetApprovedBy},
	{Name: "result", Value: (*reconciliationv1.BreakJournal).GetResult},
	{Name: "note", Value: (*reconciliationv1.BreakJournal).GetNote},
}

var breakEventColumns = []output.Column[*reconciliationv1.BreakEvent]{
	{Name: "number", Value: func(e *reconciliationv1.BreakEvent) string { return strconv.Itoa(int(e.GetNumber())) }},
	{Name: "time", Value: func(e *reconciliationv1.BreakEvent) string { return instant(e.GetTime()) }},
	{Name: "actor", Value: (*reconciliationv1.BreakEvent).GetActor},
	{Name: "verb", Value: (*reconciliationv1.BreakEvent).GetVerb},
	{Name: "reason", Value: (*reconciliationv1.BreakEvent).GetReason},
	{Name: "detail", Value: (*reconciliationv1.BreakEvent).GetDetail},
}

var breakOperationView = output.View[*reconciliationv1.BreakOperation]{
	JSON: output.Message[*reconciliationv1.BreakOperation],
	Columns: []output.Column[*reconciliationv1.BreakOperation]{
		{Name: "operation_id", Value: (*reconciliationv1.BreakOperation).GetOperationId},
		{Name: "state", Value: func(o *reconciliationv1.BreakOperation) string { return enum(o.GetState(), breakOperationPrefix) }},
		{Name: "verb", Value: func(o *reconciliationv1.BreakOperation) string {
			return enum(o.GetDecision().GetVerb(), breakVerbPrefix)
		}},
		{Name: "matched", Value: func(o *reconciliationv1.BreakOperation) string { return pieces(o.GetMatched()) }},
		{Name: "done", Value: func(o *reconciliationv1.BreakOperation) string { return pieces(o.GetDone()) }},
		{Name: "refused", Value: func(o *reconciliationv1.BreakOperation) string { return pieces(o.GetRefused()) }},
		{Name: "totals", Value: breakSums},
		{Name: "create_time", Value: func(o *reconciliationv1.BreakOperation) string { return instant(o.GetCreateTime()) }},
		{Name: "planned_by", Value: (*reconciliationv1.BreakOperation).GetPlannedBy},
		{Name: "reason", Value: func(o *reconciliationv1.BreakOperation) string { return o.GetDecision().GetReason() }},
		{Name: "filter", Value: (*reconciliationv1.BreakOperation).GetFilter},
	},
	Fields: []output.Column[*reconciliationv1.BreakOperation]{
		{Name: "expire_time", Value: func(o *reconciliationv1.BreakOperation) string { return instant(o.GetExpireTime()) }},
		{Name: "applied_by", Value: (*reconciliationv1.BreakOperation).GetAppliedBy},
		{Name: "apply_time", Value: func(o *reconciliationv1.BreakOperation) string { return instant(o.GetApplyTime()) }},
		{Name: "cancelled_by", Value: (*reconciliationv1.BreakOperation).GetCancelledBy},
		{Name: "cancel_reason", Value: (*reconciliationv1.BreakOperation).GetCancelReason},
		{Name: "end_time", Value: func(o *reconciliationv1.BreakOperation) string { return instant(o.GetEndTime()) }},
	},
	Sections: func(w io.Writer, o *reconciliationv1.BreakOperation) error {
		if err := output.Section(w, "Totals", breakTotalColumns, o.GetTotals()); err != nil {
			return err
		}
		return output.Section(w, "Refused", breakRefusalColumns, o.GetRefusals())
	},
}

var breakTotalColumns = []output.Column[*reconciliationv1.BreakTotal]{
	{Name: "breaks", Value: func(t *reconciliationv1.BreakTotal) string { return fmt.Sprint(t.GetCount()) }},
	{Name: "sum", Value: func(t *reconciliationv1.BreakTotal) string { return amount(t.GetSum()) }},
}

var breakRefusalColumns = []output.Column[*reconciliationv1.BreakRefusal]{
	{Name: "break_id", Value: (*reconciliationv1.BreakRefusal).GetBreakId},
	{Name: "reason", Value: (*reconciliationv1.BreakRefusal).GetReason},
}
