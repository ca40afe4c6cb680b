package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/cmd/tieout/resend"
	redislocal "github.com/tieout/tieout/pkg/cache/local"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

// The exit codes. Scripts rely on them.
const (
	exitOK           = 0
	exitInternal     = 1
	exitUsage        = 2 // also a request that the server finds invalid
	exitNotFound     = 3 // or a prerequisite is missing
	exitPrecondition = 4
	exitDenied       = 5
	exitUnavailable  = 6
	exitPartial      = 7 // some of what was asked for was done
	exitFindings     = 8 // what was looked for was found
)

// usageError is a command line that cannot be followed.
type usageError struct{ error }

// Unwrap gives what is wrong.
func (e usageError) Unwrap() error { return e.error }

// exit ends the command with a code; err may be nil when all was said already.
type exit struct {
	code int
	err  error
}

// Error implements error.
func (e *exit) Error() string { return fmt.Sprint(e.err) }

// Unwrap gives the error itself.
func (e *exit) Unwrap() error { return e.err }

// remoteError is a call that the server at addr did not answer as wished.
type remoteError struct {
	error
	addr, traceID string
}

// Unwrap gives the call's error.
func (e *remoteError) Unwrap() error { return e.error }

var exitCodes = map[codes.Code]int{
	codes.InvalidArgument:    exitUsage,
	codes.OutOfRange:         exitUsage,
	codes.NotFound:           exitNotFound,
	codes.Unimplemented:      exitNotFound, // the service does not run there
	codes.FailedPrecondition: exitPrecondition,
	codes.AlreadyExists:      exitPrecondition,
	codes.Unauthenticated:    exitDenied,
	codes.PermissionDenied:   exitDenied,
	codes.Unavailable:        exitUnavailable,
	codes.DeadlineExceeded:   exitUnavailable,
	codes.ResourceExhausted:  exitUnavailable,
	codes.Aborted:            exitUnavailable,
}

// exitCode is the code that tells scripts about err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	switch {
	case errors.Is(err, service.ErrConfig):
		return exitUsage
	case errors.Is(err, resend.ErrGone):
		return exitUnavailable
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, local.ErrNotInstalled), errors.Is(err, redislocal.ErrNotInstalled),
		errors.Is(err, service.ErrNotMigrated):
		return exitNotFound
	case errors.Is(err, dev.ErrBusy):
		return exitPrecondition
	}
	return cmp.Or(exitCodes[status.Code(err)], exitInternal)
}

// printError tells people about err.
func (c *cli) printError(cmd *cobra.Command, err error) {
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*exit](err); ok && e.err == nil {
		return
	}
	e, _ := rpcerr.FromError(err)
	if e == nil {
		c.note("tieout: %v", err)
		if _, ok := errors.AsType[usageError](err); ok && cmd != nil {
			c.note("See '%s --help'.", cmd.CommandPath())
		}
		return
	}
	c.note("tieout: %s: %s", cmp.Or(string(e.Reason), code.Code(status.Code(err)).String()), e.Message)
	for _, f := range e.Fields {
		c.note("  field        %s: %s", f.Path, f.Description)
	}
	if e.Resource != "" {
		c.note("  resource     %s", e.Resource)
	}
	if e.RetryAfter > 0 {
		c.note("  retry after  %s", e.RetryAfter)
	}
	remote, ok := errors.AsType[*remoteError](err)
	if !ok {
		return
	}
	c.note("  trace        %s", remote.traceID)
	if status.Code(err) == codes.Unimplemented {
		c.note("The server at %s does not run that service.", remote.addr)
	}
	if e.Reason == rpcerr.DestinationDown {
		c.note("Is the server running at %s? `tieout dev` starts one here; --addr or TIEOUT_ADDR says where it is.", remote.addr)
	}
}
