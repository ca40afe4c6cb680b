// Package rpc is how services speak gRPC: one server and one client, with the same interceptors everywhere.
//
// What a method needs is declared in its proto (tieout.options.v1.method) and held here. From the outside in, a
// server refuses what is beyond the caller's quota ([quota]) or more than can be done ([shed]) before it reads the request,
// answers panics and errors ([rpcerr]), refuses what cannot be decoded, keeps 20 ms of the caller's
// deadline for the way back, knows the caller, and checks the idempotency key and the fields (protovalidate)
// before any handler runs. A client adds the default deadline, the caller's name and what the call is worth, sends nothing
// when too little time is left, and holds a circuit breaker per destination.
//
// Neither retries: the one layer that retries is the saga engine.
package rpc
