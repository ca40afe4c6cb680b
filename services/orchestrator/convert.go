package orchestrator

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// orderStates and sagaPhases say how a saga's phase is told to clients and to operators.
var (
	orderStates = map[saga.Phase]orderv1.OrderState{
		saga.Running:      orderv1.OrderState_ORDER_STATE_PROCESSING,
		saga.Compensating: orderv1.OrderState_ORDER_STATE_COMPENSATING,
		saga.Completed:    orderv1.OrderState_ORDER_STATE_COMPLETED,
		saga.Compensated:  orderv1.OrderState_ORDER_STATE_COMPENSATED,
		saga.Parked:       orderv1.OrderState_ORDER_STATE_PARKED,
	}
	sagaPhases = map[saga.Phase]sagav1.SagaPhase{
		saga.Running:      sagav1.SagaPhase_SAGA_PHASE_RUNNING,
		saga.Compensating: sagav1.SagaPhase_SAGA_PHASE_COMPENSATING,
		saga.Completed:    sagav1.SagaPhase_SAGA_PHASE_COMPLETED,
		saga.Compensated:  sagav1.SagaPhase_SAGA_PHASE_COMPENSATED,
		saga.Parked:       sagav1.SagaPhase_SAGA_PHASE_PARKED,
	}
)

var sagaVerbs = map[sagav1.SagaVerb]saga.Verb{
	sagav1.SagaVerb_SAGA_VERB_RETRY:      saga.RetryNow,
	sagav1.SagaVerb_SAGA_VERB_COMPENSATE: saga.TurnBack,
	sagav1.SagaVerb_SAGA_VERB_PAUSE:      saga.Pause,
	sagav1.SagaVerb_SAGA_VERB_RESUME:     saga.Resume,
	sagav1.SagaVerb_SAGA_VERB_RESOLVE:    saga.Resolve,
	sagav1.SagaVerb_SAGA_VERB_RULE_OUT:   saga.RuleOut,
	sagav1.SagaVerb_SAGA_VERB_SKIP:       saga.Skip,
}

func verbToProto(verb saga.Verb) sagav1.SagaVerb {
	for told, v := range sagaVerbs {
		if v == verb {
			return told
		}
	}
	return sagav1.SagaVerb_SAGA_VERB_UNSPECIFIED
}

var operationStates = map[operationState]sagav1.SagaOperationState{
	operationPlanned:   sagav1.SagaOperationState_SAGA_OPERATION_STATE_PLANNED,
	operationRunning:   sagav1.SagaOperationState_SAGA_OPERATION_STATE_RUNNING,
	operationFinished:  sagav1.SagaOperationState_SAGA_OPERATION_STATE_FINISHED,
	operationCancelled: sagav1.SagaOperationState_SAGA_OPERATION_STATE_CANCELLED,
	operationExpired:   sagav1.SagaOperationState_SAGA_OPERATION_STATE_EXPIRED,
}

func linesFromProto(lines []*orderv1.OrderLine) []line {
	out := make([]line, len(lines))
	for i, l := range lines {
		out[i] = line{SKU: l.GetSku(), Quantity: l.GetQuantity(), UnitPrice: amountFromProto(l.GetUnitPrice())}
	}
	return out
}

func addressFromProto(a *commonv1.Address) address {
	return address{Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry()}
}

func addressToProto(a address) *commonv1.Address {
	return &commonv1.Address{Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country}
}

func amountFromProto(a *commonv1.Amount) money.Amount {
	return money.Amount{Currency: money.Currency(a.GetCurrencyCode()), Minor: a.GetMinorUnits()}
}

func amountToProto(a money.Amount) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

func orderToProto(v orderView) *orderv1.Order {
	o := &orderv1.Order{
		OrderId: v.id.String(), SagaId: v.sagaID.String(), State: stateOf(v), CustomerId: v.customerID,
		Total: amountToProto(v.total), PaymentMethod: v.paymentMethod, ShipTo: addressToProto(v.shipTo),
		CreateTime: timestamppb.New(v.createdAt), UpdateTime: timestamppb.New(v.updatedAt), Cause: v.cause,
	}
	for _, l := range v.lines {
		o.Lines = append(o.Lines, &orderv1.OrderLine{Sku: l.SKU, Quantity: l.Quantity, UnitPrice: amountToProto(l.UnitPrice)})
	}
	return o
}

func stateOf(v orderView) orderv1.OrderState {
	if v.queued {
		return orderv1.OrderState_ORDER_STATE_QUEUED
	}
	return orderStates[v.phase]
}

func sightingToProto(s sighting) *orderv1.WatchOrderResponse {
	out := &orderv1.WatchOrderResponse{Cursor: s.cursor}
	if s.order != nil {
		out.Order = orderToProto(*s.order)
	}
	return out
}

func timelineToProto(entries []timelineEntry) []*orderv1.TimelineEntry {
	out := make([]*orderv1.TimelineEntry, len(entries))
	for i, e := range entries {
		out[i] = &orderv1.TimelineEntry{
			Time: timestamppb.New(e.at), Service: e.service, Type: e.kind, Subject: e.subject, EventId: e.eventID.String(),
		}
	}
	return out
}

func sagaToProto(l listedSaga) *sagav1.Saga {
	v := l.sagaView
	out := &sagav1.Saga{
		SagaId: v.id.String(), Definition: v.definition.name, DefinitionVersion: int32(v.definition.version),
		Phase: sagaPhases[v.phase], Reference: v.reference, Step: v.step, Cause: v.cause, Sequence: int32(v.seq),
		CreateTime: timestamppb.New(v.createdAt), UpdateTime: timestamppb.New(v.updatedAt),
		Deadline: timestamppb.New(v.deadline), NextActionTime: optionalTime(v.nextAt), Paused: v.paused,
		CustomerId: l.customerID, Total: amountToProto(l.total),
	}
	if v.definition.name == recurring {
		out.RecurringPaymentId = v.subjectID()
	} else {
		out.OrderId = v.subjectID()
	}
	if v.atRisk {
		out.MoneyAtRisk = amountToProto(l.total)
	}
	return out
}

func optionalTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// drivenToProto is a saga with its steps and history.
func drivenToProto(r driven) (*sagav1.Saga, error) {
	out := sagaToProto(listedSaga{r.view, r.subject.customerID, r.subject.total})
	for i, s := range r.state.Steps {
		step := r.def.Steps[i]
		out.Steps = append(out.Steps, &sagav1.SagaStep{
			Name: step.Name, Kind: step.Kind.String(), Execution: s.Execution.String(), Attempts: int32(s.Attempts),
			Compensation: s.Compensation.String(), CompensationAttempts: int32(s.BackAttempts),
			IdempotencyKey: stepKey(r.view.id, step.Name),
		})
	}
	for _, e := range r.events {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, &sagav1.SagaEvent{
			Sequence: int32(e.Seq), Type: string(e.Type), Step: e.Step, Time: timestamppb.New(e.At), DetailJson: string(detail),
		})
	}
	return out, nil
}

func operationToProto(op operation) *sagav1.SagaOperation {
	in := op.instruction
	out := &sagav1.SagaOperation{
		OperationId: op.id.String(), State: operationStates[op.state], Filter: op.filter, Verb: verbToProto(in.Verb), Step: in.Step,
		Reason: in.Reason, Evidence: in.Evidence, Matched: op.matched, Possible: op.possible, Done: op.done, Refused: op.refused,
		RatePerSecond: op.rate, PlannedBy: op.plannedBy, CreateTime: timestamppb.New(op.plannedAt), ExpireTime: timestamppb.New(op.expiresAt),
		AppliedBy: in.Actor, ApplyTime: optionalTime(op.appliedAt), CancelledBy: op.cancelledBy, CancelReason: op.cancelReason,
		EndTime: optionalTime(op.endedAt),
	}
	for _, total := range op.totals {
		out.Totals = append(out.Totals, &sagav1.SagaOperationTotal{Count: total.count, Sum: amountToProto(total.sum)})
	}
	for _, r := range op.refusals {
		out.Refusals = append(out.Refusals, &sagav1.SagaRefusal{SagaId: r.sagaID.String(), Reason: r.why})
	}
	return out
}
