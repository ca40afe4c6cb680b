package reconciliation

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// breakAmount is nil for no money.
func breakAmount(a money.Amount) *commonv1.Amount {
	if a.Currency == "" {
		return nil
	}
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

func breakTime(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func (s *breakServer) toProto(b *broken) *reconciliationv1.Break {
	kind, _ := breaks.Describe(b.code)
	age := s.reconciliation.age(b)
	severity := breaks.Severity(b.BaseSeverity)
	if b.state != breaks.Resolved {
		severity = s.reconciliation.policy().Severity(severity, age)
	}
	return &reconciliationv1.Break{
		BreakId: b.id().String(), Code: b.Code, State: reconciliationv1.BreakState(b.state), Resolution: reconciliationv1.BreakResolution(b.resolution),
		Severity: reconciliationv1.BreakSeverity(severity), Account: b.Account, Amount: breakAmount(b.amount), AgeDays: int32(age),
		Assignee: b.Assignee, SnoozeUntilTime: breakTime(b.SnoozedUntil), CreateTime: timestamppb.New(b.OpenedAt),
		UpdateTime: timestamppb.New(b.ChangedAt), Note: b.Note, OrderId: b.OrderID, PaymentId: b.PaymentID, Subject: b.Subject,
		Watcher: b.Watcher, Scope: b.Scope, RunNumber: b.RunNumber, Matched: b.Matched, Detail: string(b.Detail), Action: kind.Action,
		LastEvent: b.LastEvent,
	}
}

func (s *breakServer) inFull(b brokenInFull) *reconciliationv1.GetBreakResponse {
	out := &reconciliationv1.GetBreakResponse{Break: s.toProto(b.broken)}
	for _, m := range b.movements {
		out.Movements = append(out.Movements, breakMovementToProto(m))
	}
	for _, e := range b.events {
		out.Events = append(out.Events, &reconciliationv1.BreakEvent{
			Number: e.Number, Time: timestamppb.New(e.At), Actor: e.Actor, Verb: e.Verb, Reason: e.Reason, Detail: string(e.Detail),
		})
	}
	for _, j := range b.journals {
		out.Journals = append(out.Journals, breakJournalToProto(j))
	}
	return out
}

func breakMovementToProto(m reconciliationdb.ListBreakMovementsRow) *reconciliationv1.BreakMovement {
	in := func(minor int64) *commonv1.Amount {
		return &commonv1.Amount{CurrencyCode: m.Currency, MinorUnits: minor}
	}
	return &reconciliationv1.BreakMovement{
		MovementId: m.ID, Ours: m.Ours, Stage: stage(m.Stage).String(), Amount: in(m.AmountMinor), Fee: in(m.FeeMinor),
		Date: m.Day.Time.Format(time.DateOnly), Line: m.Line, ProviderId: m.ProviderID, ParentId: m.ParentID, Key: m.IdemKey,
		Reference: m.Reference, PayoutId: m.PayoutID, PaymentId: m.PaymentID, Note: m.Note,
	}
}

func breakJournalToProto(j reconciliationdb.ListBreakJournalsRow) *reconciliationv1.BreakJournal {
	return &reconciliationv1.BreakJournal{
		Number: j.Number, Kind: [...]string{"", "write_off", "repost", "repair", "reversal"}[j.Kind],
		State:       [...]string{"", "to_be_approved", "due", "done", "rejected", "refused"}[j.State],
		FromAccount: j.FromAccount, ToAccount: j.ToAccount, Amount: breakAmount(money.Amount{Currency: money.Currency(j.Currency), Minor: j.AmountMinor}),
		AskedBy: j.AskedBy, ApprovedBy: j.ApprovedBy, Result: j.Result, Note: j.Note, Attempts: j.Attempts,
	}
}

// breakVerbPrefix is what the names of verbs begin with in the contract; the rest is the verb in capitals.
const breakVerbPrefix = "BREAK_VERB_"

func decisionFromProto(d *reconciliationv1.BreakDecision) breakDecision {
	out := breakDecision{
		Verb:   breaks.Verb(strings.ToLower(strings.TrimPrefix(d.GetVerb().String(), breakVerbPrefix))),
		Reason: d.GetReason(), Assignee: d.GetAssignee(), How: breaks.Resolution(d.GetResolution()), Account: d.GetAccount(), Against: d.GetAgainst(),
	}
	if d.GetSnoozeUntilTime() != nil {
		out.Until = d.GetSnoozeUntilTime().AsTime()
	}
	return out
}

func decisionToProto(d breakDecision) *reconciliationv1.BreakDecision {
	out := &reconciliationv1.BreakDecision{
		Verb:   reconciliationv1.BreakVerb(reconciliationv1.BreakVerb_value[breakVerbPrefix+strings.ToUpper(string(d.Verb))]),
		Reason: d.Reason, Assignee: d.Assignee, Resolution: reconciliationv1.BreakResolution(d.How), Account: d.Account, Against: d.Against,
	}
	if !d.Until.IsZero() {
		out.SnoozeUntilTime = timestamppb.New(d.Until)
	}
	return out
}

func breakOperationToProto(op *breakOperation) *reconciliationv1.BreakOperation {
	out := &reconciliationv1.BreakOperation{
		OperationId: op.id().String(), State: reconciliationv1.BreakOperationState(op.State),
		Filter: op.Filter, Decision: decisionToProto(op.decision), Matched: op.Matched, Done: op.Done, Refused: op.Refused,
		PlannedBy: op.PlannedBy, CreateTime: timestamppb.New(op.PlannedAt), ExpireTime: timestamppb.New(op.ExpiresAt), AppliedBy: op.AppliedBy,
		ApplyTime: breakTime(op.AppliedAt), EndTime: breakTime(op.EndedAt), CancelledBy: op.CancelledBy, CancelReason: op.CancelReason,
	}
	for _, t := range op.totals {
		out.Totals = append(out.Totals, &reconciliationv1.BreakTotal{Count: t.count, Sum: breakAmount(t.sum)})
	}
	for _, f := range op.refusals {
		out.Refusals = append(out.Refusals, &reconciliationv1.BreakRefusal{BreakId: f.breakID.String(), Reason: f.why})
	}
	return out
}

func breakEvent(id uuid.UUID, name, orderID string, payload proto.Message) bus.Event {
	return bus.Event{
		Service: serviceName, Entity: "break", Name: name, Subject: BreakID(id).String(), Reference: orderID, Data: bus.Payload(payload),
	}
}

func eventBreakOpened(id uuid.UUID, s sighting, base breaks.Severity) bus.Event {
	return breakEvent(id, "opened", s.orderID, &eventv1.BreakOpened{
		BreakId: BreakID(id).String(), Code: string(s.code), Account: s.account, Amount: breakAmount(s.amount), Severity: base.String(),
		PaymentId: s.paymentID,
	})
}

func eventBreakReopened(id uuid.UUID, code, orderID, reason string) bus.Event {
	return breakEvent(id, "reopened", orderID, &eventv1.BreakReopened{BreakId: BreakID(id).String(), Code: code, Reason: reason})
}

func eventBreakResolved(id uuid.UUID, code, orderID string, by breaks.Resolution, result string) bus.Event {
	return breakEvent(id, "resolved", orderID, &eventv1.BreakResolved{
		BreakId: BreakID(id).String(), Code: code, Resolution: by.String(), Result: result,
	})
}
