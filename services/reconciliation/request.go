package reconciliation

import (
	"time"

	"github.com/tieout/tieout/pkg/idem"
)

// request is who asks, and under which key.
type request struct {
	caller, key string
}

func (r request) idem(method string, ttl time.Duration, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Fields: fields, TTL: ttl}
}
