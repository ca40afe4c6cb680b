package pspsim

import (
	"net/http"
	"slices"
	"time"
)

// find is the endpoint that looks up what a key has brought about, with the fault that is due. Of charges and
// authorizations op is TypeCharge.
func (s *Server) find(op EntryType, show func([]*Entry) (any, error)) func(*http.Request, []byte) (reply, error) {
	return func(r *http.Request, _ []byte) (reply, error) {
		key := r.URL.Query().Get("idempotency_key")
		if key == "" {
			return reply{}, invalid(codeInvalidParam, "idempotency_key", "is required")
		}
		effects, err := s.book.effectsOf(key)
		if err != nil {
			return reply{}, err
		}
		of := target{op: op, lookup: true}
		if len(effects) > 0 {
			of.method = effects[0].PaymentMethod
		}
		how := s.faults.take(of)
		switch {
		case how.prevents():
			return s.instead(r.Context(), how)
		case how.Kind == FaultNotFound:
			effects = olderThan(how.delay(s.slowDelay), effects, s.book.now())
		}
		found, err := show(effects)
		if err != nil {
			return reply{}, err
		}
		return s.after(r.Context(), how, reply{status: http.StatusOK, body: found})
	}
}

// olderThan gives the effects of that age.
func olderThan(age time.Duration, effects []*Entry, now time.Time) []*Entry {
	return slices.DeleteFunc(effects, func(e *Entry) bool { return now.Sub(e.At) < age })
}
