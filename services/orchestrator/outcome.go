package orchestrator

import (
	"encoding/json"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// outcomes says what a participant's gRPC code means. A code that may follow on a request which took effect is
// unknown; only a service that looked and said no is a refusal.
var outcomes = map[codes.Code]saga.OutcomeKind{
	codes.OK:                 saga.Success,
	codes.InvalidArgument:    saga.Refusal,
	codes.NotFound:           saga.Refusal,
	codes.AlreadyExists:      saga.Refusal,
	codes.FailedPrecondition: saga.Refusal,
	codes.OutOfRange:         saga.Refusal,
	codes.Canceled:           saga.Unknown,
	codes.Unknown:            saga.Unknown,
	codes.DeadlineExceeded:   saga.Unknown,
	codes.ResourceExhausted:  saga.Unknown,
	codes.Aborted:            saga.Unknown,
	codes.Unimplemented:      saga.Unknown, // a participant one version behind: it will learn
	codes.Internal:           saga.Unknown,
	codes.Unavailable:        saga.Unknown,
	codes.DataLoss:           saga.Unknown,
	codes.PermissionDenied:   saga.Denied,
	codes.Unauthenticated:    saga.Denied,
}

// classify tells what came of a call, and whether anything was sent. A request that is in flight under its key is one
// that the participant has taken over.
func classify(result json.RawMessage, err error) (o saga.Outcome, sent bool) {
	e, ours := rpcerr.FromError(err)
	if ours && e.Reason.NotBegun() {
		return saga.Outcome{Kind: saga.Unknown, Cause: e.Error()}, false
	}
	o = saga.Outcome{Kind: outcomes[status.Code(err)], Result: result}
	if ours {
		o.Cause, o.RetryAfter = e.Error(), e.RetryAfter
		if o.Kind == saga.Refusal {
			o.Info = saga.Info{Reason: string(e.Reason), Resource: e.Resource, Metadata: e.Metadata}
		}
		if e.Reason == rpcerr.IdempotencyKeyInFlight {
			o.Kind = saga.Pending
		}
	} else if err != nil {
		o.Cause = status.Code(err).String() + ": " + status.Convert(err).Message()
	}
	return o, true
}

// lookedUp tells what came of a look-up, for which NOT_FOUND is an answer.
func lookedUp(o saga.Outcome, err error) saga.Outcome {
	if status.Code(err) == codes.NotFound {
		o.Kind = saga.NotFound
	}
	return o
}
