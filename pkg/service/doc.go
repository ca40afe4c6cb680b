// Package service is a process' life: configuration, log, telemetry, pools, NATS, the gRPC server and health,
// then the services themselves; and all of it again in reverse when the process stops.
//
// One service or all of them run in a process by the same code. A service is wired by its Run function, which
// registers its RPCs on the [Env] it is given, starts its background duties with [Env.Go], and returns. The
// server starts serving when all services of the process are wired.
//
// On SIGTERM: health says NOT_SERVING and [Env.Stopping] closes, calls in flight are finished, duties are
// cancelled and waited for, connections close, telemetry is flushed. After kill -9 nothing is needed but a
// start: whatever was acknowledged is in Postgres.
package service
