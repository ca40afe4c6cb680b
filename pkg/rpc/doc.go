// Package rpc is how services speak gRPC: one server and one client, with the same interceptors everywhere.
//
// What a method needs is declared in its proto (tieout.options.v1.method) and held here. From the outside in, a
// server answers panics and errors ([rpcerr]), refuses what cannot be decoded, keeps 20 ms of the caller's
// deadline for the way back, knows the caller, and checks the idempotency key and the fields (protovalidate)
// before any handler runs. A client adds the default deadline and the caller's name, and holds a circuit breaker
// per destination.
//
// Neither retries: the one layer that retries is the saga engine.
package rpc
