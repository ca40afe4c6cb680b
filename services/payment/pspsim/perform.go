package pspsim

import (
	"context"
	"net/http"
	"time"
)

// An operation is a request that may have an effect.
type operation struct {
	op               EntryType
	key, fingerprint string
	method           string // of the charge
	// record lets the effect happen: delta more than was asked for, or a decline.
	record func(delta int64, decline string) (Entry, error)
	// answer is what the request that caused an effect is told, and every replay of it.
	answer func(Entry) reply
}

// perform carries an operation out, once per key, with the fault that is due.
// The effect does not depend on whether the client is still there.
func (s *Server) perform(ctx context.Context, o operation) (reply, error) {
	how := s.faults.take(target{op: o.op, method: o.method})
	effect, requests, err := s.book.begin(o.key, o.fingerprint)
	if isInFlight(err) && how.silent() {
		return reply{}, hold(ctx)
	}
	if err != nil {
		return reply{}, err
	}
	replayed := effect != nil
	if !replayed {
		defer s.book.end(o.key)
	}
	if how.perKey > 0 && (replayed || requests > how.perKey) {
		how = Fault{}
	}
	if how.prevents() {
		return s.instead(ctx, how)
	}
	if !replayed {
		var decline string
		if how.Kind == FaultDecline {
			decline = how.DeclineCode
			if decline == "" {
				decline = "generic_decline"
			}
		}
		e, err := o.record(how.delta(), decline)
		if err != nil {
			return reply{}, err
		}
		s.hooks.tell(e)
		effect = &e
	}
	answer := o.answer(*effect)
	answer.replayed = replayed
	return s.after(ctx, how, answer)
}

// instead is what happens to a request that is prevented from having its effect.
func (s *Server) instead(ctx context.Context, how Fault) (reply, error) {
	switch how.Kind {
	case FaultErrorBefore:
		return reply{}, how.failure()
	case FaultRateLimited:
		return reply{}, how.refusal()
	case FaultLostBefore:
		return reply{status: http.StatusOK, lost: true}, nil
	}
	return reply{}, hold(ctx)
}

// after is how the answer to a request that had its effect goes wrong.
func (s *Server) after(ctx context.Context, how Fault, answer reply) (reply, error) {
	switch how.Kind {
	case FaultTimeoutAfter:
		return reply{}, hold(ctx)
	case FaultLostAfter:
		answer.lost = true
	case FaultErrorAfter:
		return reply{}, how.failure()
	case FaultSlow:
		if !answer.replayed {
			return answer, dawdle(ctx, how.delay(s.slowDelay))
		}
	case FaultMalformed:
		answer.malformed = true
	case FaultDrip:
		answer.drip = how.delay(100 * time.Millisecond)
	}
	return answer, nil
}
