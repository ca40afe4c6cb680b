package billing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
)

// serviceName is the source of the service's events.
const serviceName = "billing"

func event(bid BatchID, name string, payload proto.Message) bus.Event {
	return bus.Event{Service: serviceName, Entity: "batch", Name: name, Subject: bid.String(), Reference: bid.String(), Data: bus.Payload(payload)}
}

func eventPlanned(p plan) bus.Event {
	e := &eventv1.BatchPlanned{BatchId: p.id.String(), Items: p.items}
	for _, s := range p.sums {
		e.Sums = append(e.Sums, amountToProto(s.Amount))
	}
	return event(p.id, "planned", e)
}

func eventStarted(bid BatchID) bus.Event {
	return event(bid, "started", &eventv1.BatchStarted{BatchId: bid.String()})
}

func eventPaused(bid BatchID, reason string) bus.Event {
	return event(bid, "paused", &eventv1.BatchPaused{BatchId: bid.String(), Reason: reason})
}

func eventResumed(bid BatchID) bus.Event {
	return event(bid, "resumed", &eventv1.BatchResumed{BatchId: bid.String()})
}

func eventCancelling(bid BatchID, reason string) bus.Event {
	return event(bid, "cancelling", &eventv1.BatchCancelling{BatchId: bid.String(), Reason: reason})
}

func eventEnded(b *batch, p proof) bus.Event {
	e := &eventv1.BatchEnded{
		BatchId: b.id.String(), State: b.state.String(), Succeeded: b.succeeded, Failed: b.failed, Unknown: b.unknown,
		Cancelled: b.cancelled, Proven: p.difference == "",
	}
	for _, s := range p.collected {
		e.Collected = append(e.Collected, amountToProto(s.Amount))
	}
	return event(b.id, "ended", e)
}

// eventDunningEnded tells that an item is not tried again any more: it was recovered, where there is no reason why not.
func eventDunningEnded(bid BatchID, reference, customer string, attempts int32, why string) bus.Event {
	return bus.Event{
		Service: serviceName, Entity: "dunning", Name: "ended", Subject: bid.String(), Reference: bid.String(),
		Data: bus.Payload(&eventv1.DunningEnded{
			BatchId: bid.String(), Reference: reference, CustomerId: customer, Attempts: attempts, Recovered: why == "", Reason: why,
		}),
	}
}

func scheduleEvent(sid ScheduleID, name string, payload proto.Message) bus.Event {
	return bus.Event{Service: serviceName, Entity: "schedule", Name: name, Subject: sid.String(), Reference: sid.String(), Data: bus.Payload(payload)}
}

func eventScheduleCreated(s *schedule) bus.Event {
	return scheduleEvent(s.id, "created", &eventv1.ScheduleCreated{ScheduleId: s.id.String(), CustomerId: s.terms.CustomerID})
}

func eventScheduleUpdated(s *schedule) bus.Event {
	return scheduleEvent(s.id, "updated", &eventv1.ScheduleUpdated{ScheduleId: s.id.String()})
}

func eventSchedulePaused(s *schedule) bus.Event {
	return scheduleEvent(s.id, "paused", &eventv1.SchedulePaused{ScheduleId: s.id.String(), Note: s.note})
}

func eventScheduleResumed(s *schedule) bus.Event {
	return scheduleEvent(s.id, "resumed", &eventv1.ScheduleResumed{ScheduleId: s.id.String()})
}

func eventScheduleEnded(s *schedule) bus.Event {
	return scheduleEvent(s.id, "ended", &eventv1.ScheduleEnded{ScheduleId: s.id.String(), Note: s.note})
}

// eventNotRun is about an occurrence that was missed, or is skipped.
func eventNotRun(o *occurrence) bus.Event {
	sid, t := o.schedule.id, o.schedule.terms
	if o.state == occurrenceMissed {
		return scheduleEvent(sid, "occurrence_missed", &eventv1.ScheduleOccurrenceMissed{
			ScheduleId: sid.String(), Date: o.date.String(), CustomerId: t.CustomerID, Amount: amountToProto(t.Amount), Reason: string(o.why),
		})
	}
	return scheduleEvent(sid, "occurrence_skipped", &eventv1.ScheduleOccurrenceSkipped{
		ScheduleId: sid.String(), Date: o.date.String(), CustomerId: t.CustomerID, Amount: amountToProto(t.Amount), Reason: string(o.why),
	})
}

// outcomeFrom reads what the orchestrator tells of a recurring payment; ours is false for one that somebody else
// started.
func outcomeFrom(e bus.Event) (o outcome, ours bool, err error) {
	var reference, sagaID string
	switch e.Name {
	case "completed":
		var m eventv1.RecurringPaymentCompleted
		err = proto.Unmarshal(e.Data, &m)
		reference, sagaID, o.state, o.paymentID = m.GetReference(), m.GetSagaId(), itemSucceeded, m.GetPaymentId()
	case "compensated":
		var m eventv1.RecurringPaymentCompensated
		err = proto.Unmarshal(e.Data, &m)
		reference, sagaID, o.state, o.paymentID = m.GetReference(), m.GetSagaId(), itemFailed, m.GetPaymentId()
		o.reason, o.detail, o.declined = reasonOf(&m), m.GetCause(), m.GetDeclineReason() != ""
	case "parked":
		var m eventv1.RecurringPaymentParked
		err = proto.Unmarshal(e.Data, &m)
		reference, sagaID, o.state, o.detail = m.GetReference(), m.GetSagaId(), itemUnknown, m.GetCause()
	default:
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("decoding event %s: %w", e.ID, err)
	}
	if ours, err = o.about(reference); err != nil || !ours {
		return o, ours, err
	}
	saga, err := id.Parse[sagaKind](sagaID)
	o.sagaID = saga.UUID()
	return o, true, err
}

// ruledOut is why an item failed that a person has ruled out.
const ruledOut = "RULED_OUT"

// reasonOf is the provider's code of a decline, or the reason of another refusal.
func reasonOf(m *eventv1.RecurringPaymentCompensated) string {
	switch {
	case m.GetDeclineReason() != "":
		return m.GetDeclineReason()
	case m.GetReason() != "":
		return m.GetReason()
	}
	return ruledOut
}

// about reads the reference that the item was started with, see itemKey.
func (o *outcome) about(reference string) (ours bool, err error) {
	parts := strings.Split(reference, "/")
	if len(parts) != 3 {
		return false, nil
	}
	if o.batchID, err = id.Parse[batchKind](parts[0]); err != nil {
		return false, nil //nolint:nilerr // somebody else's
	}
	number, err1 := strconv.ParseInt(parts[2], 10, 32)
	line, err2 := strconv.ParseInt(parts[1], 10, 64)
	o.line, o.attempt = line, int32(number)
	return true, errors.Join(err1, err2)
}

type sagaKind struct{}

// Prefix implements id.Kind.
func (sagaKind) Prefix() string { return "sag" }
