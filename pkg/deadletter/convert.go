package deadletter

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/inbox"
)

func letterToProto(l letter) *deadletterv1.DeadLetter {
	out := &deadletterv1.DeadLetter{
		DeadLetterId: l.id.String(), Service: l.service, Consumer: l.consumer, State: deadletterv1.DeadLetterState(l.state),
		EventType: l.eventType, Subject: l.subject, Error: l.err, Attempts: l.attempts, DeliveryCount: l.deliveries,
		Traceparent: l.traceparent, PublishTime: stamp(l.publishedAt), CreateTime: timestamppb.New(l.createdAt),
		FailTime: timestamppb.New(l.failedAt), EndTime: stamp(l.endedAt), PayloadBytes: l.payloadBytes, Payload: l.payload,
	}
	if l.eventID.Valid {
		out.EventId = l.eventID.UUID.String()
	}
	if l.streamSeq != nil {
		out.StreamSequence = *l.streamSeq
	}
	for _, name := range slices.Sorted(maps.Keys(l.headers)) {
		for _, value := range l.headers[name] {
			out.Headers = append(out.Headers, &deadletterv1.DeadLetterHeader{Name: name, Value: value})
		}
	}
	for _, a := range l.actions {
		did := &deadletterv1.DeadLetterAction{
			Time: timestamppb.New(a.at), Actor: a.actor, Verb: deadletterv1.DeadLetterVerb(a.verb), Reason: a.reason,
			Outcome: deadletterv1.DeadLetterOutcome(a.outcome), Error: a.err,
		}
		if a.operation != nil {
			did.OperationId = OperationID(*a.operation).String()
		}
		out.Actions = append(out.Actions, did)
	}
	return out
}

func operationToProto(op operation) *deadletterv1.DeadLetterOperation {
	out := &deadletterv1.DeadLetterOperation{
		OperationId: op.id.String(), Service: op.service, State: op.state(), Verb: deadletterv1.DeadLetterVerb(op.verb), Filter: op.filter,
		Reason: op.reason, Matched: op.matched, Done: op.done, Refused: op.refused, PlannedBy: op.plannedBy,
		CreateTime: timestamppb.New(op.plannedAt), ExpireTime: timestamppb.New(op.expiresAt), AppliedBy: op.appliedBy, EndTime: stamp(op.endedAt),
	}
	for _, c := range op.consumers {
		out.Consumers = append(out.Consumers, &deadletterv1.DeadLetterCount{Consumer: c.Consumer, Count: c.Letters})
	}
	for _, r := range op.refusals {
		out.Refusals = append(out.Refusals, &deadletterv1.DeadLetterRefusal{DeadLetterId: inbox.DeadLetterID(r.LetterID).String(), Reason: r.Why})
	}
	return out
}

func (op operation) state() deadletterv1.DeadLetterOperationState {
	switch {
	case op.endedAt != nil:
		return deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_FINISHED
	case op.appliedBy != "":
		return deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_RUNNING
	case op.expired:
		return deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_EXPIRED
	}
	return deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_PLANNED
}

func stamp(at *time.Time) *timestamppb.Timestamp {
	if at == nil {
		return nil
	}
	return timestamppb.New(*at)
}
