package pg

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// IsTransient reports whether err is the database's or the moment's, and not the fault of what was to be done: trying again
// later may well succeed, and nothing is learned about that.
func IsTransient(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // whatever the reason, a wrong password included
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isTransientCode(refusal.Code)
	}
	if _, ok := errors.AsType[net.Error](err); ok && !errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for _, sign := range []error{
		ErrCommitUnknown, context.Canceled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return pgconn.SafeToRetry(err)
}

func isTransientCode(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", // connection
		"40", // serialization failure, deadlock
		"53", // out of connections, memory, disk
		"58": // input and output
		return true
	}
	switch code {
	case "57P01", "57P02", "57P03", "57P05": // shutdown, crash, starting up, idle for too long
		return true
	case "25006", // read only: a failover sent us to a standby
		"55P03": // lock not available
		return true
	}
	return false
}
