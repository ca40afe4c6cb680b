// Package rpcerr is the one error that crosses the wire: a gRPC code, a registered reason, a message that is
// safe to show, and the details that fit (AIP-193).
//
// Inside a service errors are ordinary Go errors. Where a client must be told something definite, the use case
// returns an *Error; the interceptor of package rpc finds it with errors.AsType, however deeply it is wrapped,
// and sends only that. Everything else reaches the client as INTERNAL without its text.
package rpcerr
